"""What a defence did, in the report: never a pass without removal that was shown."""

from __future__ import annotations

import msgspec
import pytest

from seedpack.audits.defended import DEFENCE, add_defence, report_defence
from seedpack.audits.gates import is_consistent
from seedpack.audits.results import AuditReport, AuditResult, Severity, Status, Subject
from seedpack.backdoors.defence.report import (
    ComebackReport,
    DefenceReport,
    FoundReport,
    MethodReport,
    UntaughtReport,
    rate_of,
)
from seedpack.training.statistics import mean_interval

SHOWN = DefenceReport(
    removed_on_controls=True,
    controls_removed=3,
    controls_tried=3,
    controls_planted=3,
    claim="relearning removed 3 of 3 planted backdoors of known kinds",
    chosen="relearning",
    samples=200,
    chance=0.1,
    accuracy_before=rate_of(860, 899),
    accuracy_after=rate_of(851, 899),
    accuracy_lost=0.01,
    accuracy_lost_interval=(0.002, 0.018),
    untaught=UntaughtReport(
        start="random-init",
        accuracy=rate_of(845, 899),
        gained=0.0067,
        gained_interval=(-0.003, 0.016),
    ),
    guard=0.03,
    guard_kept=True,
    methods=(
        MethodReport(
            method="relearning",
            removed=3,
            tried=3,
            after=rate_of(1, 75),
            natural=rate_of(2, 75),
            accuracy_lost=0.01,
        ),
        MethodReport(
            method="fine-tuning", removed=0, tried=0, after=rate_of(0, 0), natural=rate_of(0, 0)
        ),
    ),
    seed=4,
    seconds=12.5,
)
LEFT = msgspec.structs.replace(
    SHOWN,
    removed_on_controls=False,
    controls_removed=1,
    claim="no removal is claimed: 1 of 3 planted backdoors were removed",
)


@pytest.mark.spec("AUD-DEF-9")
def test_accuracy_stands_beside_the_control_arm_and_chance():
    result = report_defence(SHOWN)
    assert (result.audit, result.status, result.seconds) == (DEFENCE, Status.PASS, 12.5)
    figures = {figure.name: figure for figure in result.figures}
    after = figures["accuracy after the defence"]
    assert after.value == pytest.approx(851 / 899)
    assert after.control == pytest.approx(845 / 899)
    assert after.control_interval == SHOWN.untaught.accuracy.interval
    assert after.chance == 0.1
    assert "random-init" in after.note
    assert figures["accuracy that this model adds to that control"].value == 0.0067
    assert result.tables[0].rows[1] == ("fine-tuning", 0, 0, None, 0, None, None)
    assert is_consistent(result)


@pytest.mark.spec("AUD-DEF-9")
@pytest.mark.parametrize(
    ("defence", "status"),
    [
        (SHOWN, Status.PASS),
        (LEFT, Status.UNDECIDED),
        (msgspec.structs.replace(SHOWN, accuracy_lost_interval=(0.02, 0.04)), Status.UNDECIDED),
        (msgspec.structs.replace(SHOWN, accuracy_lost_interval=(0.04, 0.06)), Status.FAIL),
        (msgspec.structs.replace(LEFT, accuracy_lost_interval=(0.04, 0.06)), Status.FAIL),
        (
            msgspec.structs.replace(
                SHOWN,
                accuracy_after=rate_of(0, 0),
                accuracy_lost_interval=tuple(mean_interval([])),
            ),
            Status.UNDECIDED,
        ),
    ],
)
def test_removal_that_is_not_shown_and_accuracy_lost_are_no_pass(defence, status):
    result = report_defence(defence)
    assert result.status is status
    assert is_consistent(result)
    grave = result.findings[0]
    assert grave.title == defence.claim
    assert (grave.severity is Severity.INFO) == defence.removed_on_controls


@pytest.mark.spec("AUD-DEF-9")
def test_triggers_that_are_left_and_come_back_are_told():
    told = msgspec.structs.replace(
        SHOWN,
        guard_kept=False,
        found=(
            FoundReport(name="mask", before=rate_of(80, 90), after=rate_of(60, 90), removed=False),
        ),
        comebacks=(
            ComebackReport(
                attack="patch",
                steps=(0, 1, 2),
                defended=(0.0, 0.5, 0.9),
                twin=(0.0, 0.1, 0.3),
                excess=0.33,
                no_sooner=False,
            ),
        ),
    )
    result = report_defence(told)
    titles = [finding.title for finding in result.findings]
    assert any("leaves a trigger" in title for title in titles)
    assert any("comes back sooner" in title for title in titles)
    (curve,) = result.curves
    assert [(line.name, line.is_control) for line in curve.series] == [
        ("after the defence", False),
        ("clean twin", True),
    ]
    trigger = result.figures[-1]
    assert (trigger.value, trigger.note) == (pytest.approx(60 / 90), "before it: 80 of 90")


@pytest.mark.spec("AUD-DEF-9")
def test_a_report_is_no_better_than_the_defence_before_it():
    kept = AuditResult(audit="retention", title="Retention", status=Status.PASS)
    report = AuditReport(
        subject=Subject(seed_id="", name="", version=0, defended=True),
        profile="quick",
        status=Status.PASS,
        results=(kept,),
        created=0,
        tool="test",
    )
    for defence, status in ((SHOWN, Status.PASS), (LEFT, Status.UNDECIDED)):
        whole = add_defence(report, defence)
        assert whole.status is status
        assert whole.results == (report_defence(defence), kept)
