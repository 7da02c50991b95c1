"""The audit of reactivation: its gate, on curves that are known and on a small world."""

from __future__ import annotations

import msgspec
import pytest

from seedpack.audits.gates import conclude
from seedpack.audits.reactivation import Reactivation, _report
from seedpack.audits.results import Status
from seedpack.backdoors.defence import relearning
from seedpack.backdoors.defence.reactivation import Comeback
from seedpack.backdoors.defence.teaching import Plan
from tests.audits.worlds import build_world, run


def comebacks(*rises):
    return [Comeback((0, 1), ((0.0, rise),) * 2, ((0.0, 0.2),) * 2) for rise in rises]


@pytest.mark.spec("AUD-REA-1")
@pytest.mark.parametrize(
    ("rises", "status"),
    [
        ((0.2, 0.2, 0.2), Status.PASS),
        ((0.9, 0.9, 0.9), Status.FAIL),
        ((0.0, 0.9, 0.2), Status.UNDECIDED),
    ],
)
def test_backdoors_that_come_back_sooner_than_a_twin_learns_them_fail(rises, status):
    found = comebacks(*rises)
    assert conclude(_report(found, found)).status is status


@pytest.mark.spec("AUD-REA-2")
def test_one_backdoor_decides_nothing():
    found = comebacks(0.2)
    assert conclude(_report(found, found)).status is Status.UNDECIDED


@pytest.mark.slow
def test_curves_stand_beside_those_of_a_clean_twin(tmp_path, monkeypatch):
    monkeypatch.setattr(relearning, "_PLAN", Plan(steps=20))
    result = run(Reactivation(), build_world(tmp_path), tmp_path)
    assert result.gates or result.reason
    if result.curves:
        names = {series.name for series in result.curves[0].series}
        assert names == {"after the defence", "clean twin", "audited model"}


def test_without_a_way_to_make_twins_nothing_passes(tmp_path):
    spec = msgspec.structs.replace(build_world(tmp_path), factory="")
    assert run(Reactivation(), spec, tmp_path).status is not Status.PASS
