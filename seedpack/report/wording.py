"""How a report says things, the same in every form (spec: RPT-10, RPT-11).

numbers --> text that shows no more digits than help
text from elsewhere --> text in which nothing is invisible
statuses --> a verdict in words
"""

from __future__ import annotations

import math
import sys
import time
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.audits.results import Severity, Status, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.audits.results import (
        AuditReport,
        AuditResult,
        Bounds,
        Curve,
        Finding,
        Gate,
        Series,
    )

ABSENT: Final = "\N{EN DASH}"
STATUS_WORDS: Final = {Status.PASS: "pass", Status.FAIL: "fail", Status.UNDECIDED: "undecided"}
SIDES: Final = {"at least": "≥", "at most": "≤"}
_MINUS: Final = "\N{MINUS SIGN}"
_GROUPED_FROM: Final = 10_000  # four digits read well as they are
_SMALL: Final = 0.001
_TINY: Final = 1e-6  # nearer to 1 is shown as 1
_MINUTE_S: Final = 60

CAVEATS: Final = (
    (
        "An interval is where the true value lies 95 times of 100, over examples and seeds. A gate "
        "is a threshold that was declared before anything was measured: it passes when the whole "
        "interval is on its right side, fails when the whole interval is on the wrong side, and is "
        "undecided otherwise. Undecided is not pass."
    ),
    (
        "Figures stand beside a control arm, the same measurement of a model that cannot have what "
        "is measured (random weights tuned alike, or clean twins), and beside the chance level, "
        "wherever these mean something."
    ),
    (
        "A report says what was searched, and how much of what was planted such a search finds. It "
        "cannot show that nothing else is hidden. Leaks of training data were not examined."
    ),
)


class LocatedGate(NamedTuple):
    """A gate, and the audit that it is of."""

    result: AuditResult
    gate: Gate


class LocatedFinding(NamedTuple):
    """A finding, and the audit that it is of."""

    result: AuditResult
    finding: Finding


def visible(text: str) -> str:
    """Return ``text`` with every character that hides, reverses or moves others written out.

    Names and tokens are others' choice; what is shown must be what is there (RPT-10).
    """
    return "".join(c if c.isprintable() else _escape(c) for c in text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 -- one byte


def number(value: float | None) -> str:
    """Return a number with as many digits as help."""
    if value is None:
        return ABSENT
    # a signed report may hold an integer of any length, of which no float can be made
    value = float(min(max(value, -sys.float_info.max), sys.float_info.max))
    if 0 < 1 - abs(value) < _TINY:
        value = math.copysign(1.0, value)
    if value.is_integer() and abs(value) < 1e15:  # noqa: PLR2004 -- exact in any reader
        whole = f"{abs(int(value)):,}" if abs(value) >= _GROUPED_FROM else str(abs(int(value)))
        text = whole
    elif abs(value) < _SMALL or abs(value) >= _GROUPED_FROM:
        text = f"{abs(value):.3g}"
    else:
        text = f"{abs(value):.{_decimals(abs(value))}f}"
    return (_MINUS if value < 0 else "") + text


def _decimals(size: float) -> int:
    if size >= 10:  # noqa: PLR2004 -- 3 to 5 digits in all
        return 1
    # what is just below 1 is not shown as 1: that is what gates on shares are about
    nines = math.ceil(-math.log10(1 - size)) if 0.99 < size < 1 else 0  # noqa: PLR2004 -- same
    return max(3, nines)


def interval(bounds: Bounds | None) -> str:
    """Return an interval, low to high."""
    return ABSENT if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def condition(gate: Gate) -> str:
    """Return what the bound of an interval has to keep, such as ``≥ 0.900``."""
    return f"{SIDES.get(gate.side, gate.side)} {number(gate.threshold)}"


def moment(seconds: int) -> str:
    """Return a time as date and hour."""
    try:
        return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(seconds))
    except (ValueError, OverflowError, OSError):  # a year that no calendar here has
        return f"{seconds} s since 1970"


def duration(seconds: float) -> str:
    """Return a duration as people say it."""
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest} s"


def plural(count: int, noun: str) -> str:
    """Return a count with its noun."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def count_gates(report: AuditReport) -> dict[Status, int]:
    """Return how many gates have each status."""
    statuses = [gate.status for result in report.results for gate in result.gates]
    return {status: statuses.count(status) for status in Status}


def verdict(report: AuditReport) -> str:
    """Return what the report comes to, in one sentence that claims no more than it may."""
    counts = count_gates(report)
    ngates = plural(sum(counts.values()), "gate")
    if report.status is Status.FAIL:
        return f"{counts[Status.FAIL]} of {ngates} failed."
    if report.status is Status.PASS:
        passed = counts[Status.PASS]
        return "The one gate passed." if passed == 1 else f"All {passed} gates passed."
    ngates_open = counts[Status.UNDECIDED]
    nopen = sum(result.status is Status.UNDECIDED for result in report.results)
    return (
        f"No gate failed, but {ngates_open} of {ngates} and {nopen} of "
        f"{plural(len(report.results), 'audit')} are undecided. Undecided is not pass."
    )


def open_gates(report: AuditReport) -> list[LocatedGate]:
    """Return gates that did not pass, the failed ones first."""
    return [
        LocatedGate(result, gate)
        for status in (Status.FAIL, Status.UNDECIDED)
        for result in report.results
        for gate in result.gates
        if gate.status is status
    ]


def open_audits(report: AuditReport) -> list[AuditResult]:
    """Return audits that did not pass though none of their gates says so."""
    return [
        result
        for result in report.results
        if result.status is not Status.PASS
        and all(gate.status is Status.PASS for gate in result.gates)
    ]


def all_findings(report: AuditReport) -> list[LocatedFinding]:
    """Return all findings, the gravest first."""
    return [
        LocatedFinding(result, finding)
        for severity in reversed(Severity)
        for result in report.results
        for finding in result.findings
        if finding.severity is severity
    ]


def explain(gate: Gate) -> str:
    """Return why a gate did not pass."""
    if gate.reason:
        return gate.reason
    return f"measured {number(gate.value)}, {interval(gate.interval)}; asked for {condition(gate)}"


def facts(report: AuditReport) -> Iterator[tuple[str, str]]:
    """Yield what was audited and how, as labels and values."""
    subject = report.subject
    signers = ", ".join(subject.signers) or "nobody was asked"
    yield "seed id", subject.seed_id or "not a seed file"
    yield "verified", "yes, before the audit" if subject.verified else "NO: nobody vouched for it"
    yield "signed by", signers
    yield "task", subject.task or "none: audited without data"
    yield "tuned on", subject.train or ABSENT
    yield "measured on", subject.evaluation or ABSENT
    yield "original", "compared with" if subject.original else "not available"
    yield "clean reference", "compared with" if subject.reference else "not available"
    yield "defence", "applied after assembly" if subject.defended else "not applied"
    yield "profile", report.profile
    yield "made", moment(report.created)
    yield "by", f"{report.tool}, report schema {report.schema}"
    yield "first random seed", str(report.random_seed)


def numeric_columns(table: Table) -> frozenset[int]:
    """Return the places of columns that hold numbers only, which are read from the right."""
    return frozenset(
        index
        for index in range(len(table.columns))
        if table.rows and not any(isinstance(row[index], str) for row in table.rows)
    )


def curve_table(curve: Curve) -> Table:
    """Return the numbers that a curve is drawn from."""
    rows = tuple(row for series in curve.series for row in _points(series))
    chance = "" if curve.chance is None else f" (chance level {number(curve.chance)})"
    columns = ("series", "arm", curve.x_label, curve.y_label, "low", "high")
    return Table(title=f"{curve.title}{chance}", columns=columns, rows=rows)


def _points(series: Series) -> Iterator[tuple[str | float | None, ...]]:
    arm = "control" if series.is_control else "measured"
    nothing = (None,) * len(series.x)
    low, high = series.low or nothing, series.high or nothing
    for place in zip(series.x, series.y, low, high, strict=True):
        yield (series.name, arm, *place)
