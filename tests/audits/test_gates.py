"""Gates are decided on the bounds of intervals, and never pass for want of a measurement."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.audits.gates import conclude, decide, undecided
from seedpack.audits.results import (
    AuditResult,
    Confidence,
    Finding,
    Severity,
    Status,
    worst,
)

pytestmark = pytest.mark.spec("AUD-2")
finite = st.floats(-1e6, 1e6)


@given(a=finite, b=finite, threshold=finite)
def test_a_gate_passes_only_where_the_whole_interval_does(
    a: float, b: float, threshold: float
) -> None:
    low, high = sorted((a, b))
    gate = decide("g", "s", value=low, interval=(low, high), at_least=threshold)
    wanted = Status.PASS if low >= threshold else Status.FAIL if high < threshold else None
    assert gate.status is (wanted or Status.UNDECIDED)
    assert bool(gate.reason) == (gate.status is Status.UNDECIDED)


@given(a=finite, b=finite, threshold=finite)
def test_at_most_is_at_least_seen_in_a_mirror(a: float, b: float, threshold: float) -> None:
    low, high = sorted((a, b))
    at_most = decide("g", "s", value=low, interval=(low, high), at_most=threshold)
    mirrored = decide("g", "s", value=-low, interval=(-high, -low), at_least=-threshold)
    assert at_most.status is mirrored.status


@pytest.mark.parametrize("interval", [None, (math.nan, 1.0), (0.0, math.nan)])
def test_what_was_not_measured_is_undecided(interval: tuple[float, float] | None) -> None:
    gate = decide("g", "s", value=None, interval=interval, at_least=-1e9)
    assert gate.status is Status.UNDECIDED
    assert gate.reason


def test_a_reason_takes_the_right_to_pass() -> None:
    gate = decide("g", "s", value=1.0, interval=(1.0, 1.0), at_least=0.0, reason="no labels")
    assert (gate.status, gate.reason) == (Status.UNDECIDED, "no labels")


def test_a_gate_has_one_threshold() -> None:
    with pytest.raises(ValueError, match="one threshold"):
        decide("g", "s", value=1.0, interval=(1.0, 1.0))
    with pytest.raises(ValueError, match="one threshold"):
        decide("g", "s", value=1.0, interval=(1.0, 1.0), at_least=0.0, at_most=1.0)


@given(st.lists(st.sampled_from(Status)))
def test_the_whole_is_as_good_as_its_worst_part(statuses: list[Status]) -> None:
    found = worst(tuple(statuses))
    assert (found is Status.FAIL) == (Status.FAIL in statuses)
    assert (found is Status.PASS) == (bool(statuses) and set(statuses) == {Status.PASS})


def test_an_audit_without_gates_has_not_passed() -> None:
    assert conclude(AuditResult(audit="a", title="t", status=Status.PASS)).status is (
        Status.UNDECIDED
    )


def test_a_reason_makes_a_passing_audit_undecided_but_hides_no_failure() -> None:
    good = decide("g", "s", value=1.0, interval=(1.0, 1.0), at_least=0.0)
    bad = decide("g", "s", value=1.0, interval=(1.0, 1.0), at_most=0.0)

    def status(*gates: object, reason: str = "") -> Status:
        result = AuditResult(
            audit="a",
            title="t",
            status=Status.PASS,
            reason=reason,
            gates=gates,  # type: ignore[arg-type]
        )
        return conclude(result).status

    assert status(good) is Status.PASS
    assert status(good, reason="too few") is Status.UNDECIDED
    assert status(good, bad, reason="too few") is Status.FAIL
    assert undecided("a", "t", "no data").status is Status.UNDECIDED


def test_the_gravest_finding_comes_first() -> None:
    findings = tuple(
        Finding(title=severity, severity=severity, confidence=Confidence.LOW, evidence="e")
        for severity in Severity
    )
    result = conclude(AuditResult(audit="a", title="t", status=Status.PASS, findings=findings))
    assert [f.severity for f in result.findings] == list(reversed(Severity))
