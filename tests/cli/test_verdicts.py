"""What an audit says on a terminal claims no more than was measured."""

from __future__ import annotations

import msgspec
import pytest

from seedpack.audits.gates import conclude, decide, undecided
from seedpack.audits.results import AuditReport, AuditResult, Status, Subject
from seedpack_cli import auditing, verdicts

GATE = decide("kept", "enough is kept", value=0.9, interval=(0.8, 1.0), at_least=0.7)
DONE = conclude(AuditResult(audit="retention", title="x", status=Status.UNDECIDED, gates=(GATE,)))


def report_of(*results: AuditResult, status: Status, verified: bool = True) -> AuditReport:
    return AuditReport(
        subject=Subject(seed_id="0" * 64, name="n", version=1, verified=verified),
        profile="quick",
        status=status,
        results=results,
        created=0,
        tool="t",
        skipped=(("backdoor", "it needs data"),),
    )


@pytest.mark.spec("AUD-6")
def test_the_headline_says_what_was_left_out_and_who_vouches() -> None:
    assert "PASS, 1 of 2 audits run" in verdicts.describe(report_of(DONE, status=Status.PASS))
    said = verdicts.describe(report_of(DONE, status=Status.PASS, verified=False)).splitlines()[0]
    assert "NOT verified" in said


@pytest.mark.spec("AUD-6")
def test_where_nothing_was_run_or_decided_it_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    auditing.finish(report_of(status=Status.UNDECIDED))
    assert "nothing was measured" in capsys.readouterr().err
    across = msgspec.structs.replace(
        DONE,
        status=Status.UNDECIDED,
        gates=(decide("kept", "s", value=0.7, interval=(0.6, 0.8), at_least=0.7),),
    )
    auditing.finish(report_of(across, status=Status.UNDECIDED))
    assert "kept: the interval lies across 0.7" in capsys.readouterr().err


def test_a_label_of_several_lines_makes_no_lines_of_its_own() -> None:
    forged = undecided("backdoor", "x", "class a\npass      backdoor: nothing found")
    lines = verdicts.describe(report_of(forged, status=Status.UNDECIDED)).splitlines()
    assert not [line for line in lines if line.startswith("pass")]
