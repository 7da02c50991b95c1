"""What a defence did, as a part of the report (spec: AUD-DEF-9).

    DefenceReport ──accuracy beside its control, planted backdoors, comebacks──> AuditResult
    AuditReport, that ──first of the results──> AuditReport, with the worst status of all

No removal that is not shown on planted backdoors passes: it is undecided, whatever else holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.gates import conclude, decide
from seedpack.audits.results import (
    AuditResult,
    Confidence,
    Curve,
    Figure,
    Finding,
    Series,
    Severity,
    Status,
    Table,
    worst,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.audits.results import AuditReport
    from seedpack.backdoors.defence.report import ComebackReport, DefenceReport, Rate

DEFENCE: Final = "defence"
_TITLE: Final = "Defence against backdoors"
_METHOD_HEAD: Final = (
    *("method", "removed", "tried on", "success left", "of", "success in clean bases"),
    "accuracy lost",
)


def add_defence(report: AuditReport, defence: DefenceReport) -> AuditReport:
    """Return the report with what the defence did before all that was audited after it."""
    results = (report_defence(defence), *report.results)
    return msgspec.structs.replace(
        report, results=results, status=worst(tuple(result.status for result in results))
    )


def report_defence(defence: DefenceReport) -> AuditResult:
    """Return what a defence did, judged like an audit."""
    gate = decide(
        "accuracy-kept",
        f"the defence costs at most {100 * defence.guard:g} points of accuracy",
        value=defence.accuracy_lost,
        interval=defence.accuracy_lost_interval,
        at_most=defence.guard,
    )
    return conclude(
        AuditResult(
            audit=DEFENCE,
            title=_TITLE,
            status=Status.UNDECIDED,
            reason="" if defence.removed_on_controls else defence.claim,
            searched=(
                f"{defence.chosen} on {defence.samples} clean samples, chosen by what it took out "
                f"of {defence.controls_tried} planted backdoors; nothing is said of other kinds"
            ),
            findings=tuple(_findings(defence)),
            figures=tuple(_figures(defence)),
            gates=(gate,),
            tables=(_methods(defence),),
            curves=tuple(_curve(comeback) for comeback in defence.comebacks),
            seeds=(defence.seed,),
            seconds=defence.seconds,
        )
    )


def _figures(defence: DefenceReport) -> Iterator[Figure]:
    alone = defence.untaught
    yield _accuracy("accuracy before the defence", defence.accuracy_before, defence.chance)
    yield msgspec.structs.replace(
        _accuracy("accuracy after the defence", defence.accuracy_after, defence.chance),
        control=_share(alone.accuracy),
        control_interval=alone.accuracy.interval,
        note=f"control: {alone.start}, tuned alike on the same samples without this model",
    )
    yield Figure(
        name="accuracy lost to the defence",
        value=defence.accuracy_lost,
        interval=defence.accuracy_lost_interval,
        n=defence.accuracy_after.n,
        unit="difference in accuracy",
        chance=0.0,
    )
    yield Figure(
        name="accuracy that this model adds to that control",
        value=alone.gained,
        interval=alone.gained_interval,
        n=defence.accuracy_after.n,
        unit="difference in accuracy",
        chance=0.0,
        note="what the seed is worth beside clean samples alone",
    )
    for found in defence.found:
        yield Figure(
            name=f"success of the trigger {found.name} after the defence",
            value=_share(found.after),
            interval=found.after.interval,
            n=found.after.n,
            unit="share",
            note=f"before it: {found.before.hits} of {found.before.n}",
        )


def _accuracy(name: str, rate: Rate, chance: float) -> Figure:
    return Figure(
        name=name,
        value=_share(rate),
        interval=rate.interval,
        n=rate.n,
        unit="accuracy",
        chance=chance,
    )


def _share(rate: Rate) -> float | None:
    return rate.hits / rate.n if rate.n else None


def _findings(defence: DefenceReport) -> Iterator[Finding]:
    counts = (
        f"{defence.controls_removed} of {defence.controls_tried} that took, "
        f"of {defence.controls_planted} planted"
    )
    if defence.removed_on_controls:
        yield Finding(
            title=defence.claim,
            severity=Severity.INFO,
            confidence=Confidence.MEDIUM,
            evidence=f"{counts}; backdoors of other kinds may be left",
        )
    else:
        yield Finding(
            title=defence.claim,
            severity=Severity.HIGH,
            confidence=Confidence.MEDIUM,
            evidence=counts,
            hint="more clean samples, or for texts a clean reference, take out more",
        )
    if not defence.guard_kept:
        yield Finding(
            title="Each method costs too much accuracy, or leaves a trigger that was found",
            severity=Severity.MEDIUM,
            confidence=Confidence.MEDIUM,
            evidence="on the clean samples that were held out of the choice",
            hint="give more clean samples",
        )
    sooner = [comeback.attack for comeback in defence.comebacks if not comeback.no_sooner]
    if sooner:
        yield Finding(
            title="A removed backdoor comes back sooner than a clean twin learns it",
            severity=Severity.LOW,
            confidence=Confidence.MEDIUM,
            evidence=f"{len(sooner)} of {len(defence.comebacks)} planted: {', '.join(sooner)}",
            hint="tune on data that you trust",
        )


def _methods(defence: DefenceReport) -> Table:
    rows = tuple(
        (
            method.method,
            method.removed,
            method.tried,
            _share(method.after),
            method.after.n,
            _share(method.natural),
            method.accuracy_lost,
        )
        for method in defence.methods
    )
    return Table(title="Methods on planted backdoors", columns=_METHOD_HEAD, rows=rows)


def _curve(comeback: ComebackReport) -> Curve:
    steps = tuple(map(float, comeback.steps))
    return Curve(
        title=f"Reactivation of {comeback.attack}",
        x_label="steps on ten triggered samples",
        y_label="attack success rate",
        series=(
            Series(name="after the defence", x=steps, y=comeback.defended),
            Series(name="clean twin", x=steps, y=comeback.twin, is_control=True),
        ),
    )
