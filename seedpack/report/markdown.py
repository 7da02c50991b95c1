"""``report.md``: the report for reviews and issue trackers (spec: RPT-10, RPT-11).

Text from elsewhere never begins a line, and no character of it can open markup, a link or HTML.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from seedpack.report import wording as w

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from seedpack.audits.results import AuditReport, AuditResult, Figure, Finding, Gate

_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~#$^@])")
_LINKS: Final = re.compile(r"(:(?=//)|(?<=www)\.)", re.IGNORECASE)
_GATE_HEAD: Final = ("status", "gate", "statement", "measured", "interval", "bound", "reason")
_FIGURE_HEAD: Final = (
    *("figure", "value", "interval", "n", "seeds", "unit", "chance", "control"),
    *("control interval", "note"),
)


def render_markdown(report: AuditReport) -> bytes:
    """Return the report as GitHub-flavoured Markdown."""
    lines = [*_head(report), *_attention(report), *_all_gates(report)]
    for result in report.results:
        lines += _audit(result)
    lines += ["## How to read this", "", *(f"{caveat}\n" for caveat in w.CAVEATS)]
    return ("\n".join(lines) + "\n").encode()


def escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    shown = _SPECIAL.sub(r"\\\1", w.visible(text))
    return _LINKS.sub(r"\\\1", shown).translate(_HTML)


def _head(report: AuditReport) -> Iterator[str]:
    subject = report.subject
    yield f"# Audit of {escape(subject.name)}, version {subject.version}"
    yield ""
    yield f"**{w.STATUS_WORDS[report.status].upper()}**: {w.verdict(report)}"
    yield ""
    yield from (f"- {label}: {escape(value)}" for label, value in w.facts(report))
    yield ""


def _attention(report: AuditReport) -> Iterator[str]:
    yield "## What failed or is undecided"
    yield ""
    rows = [
        f"- **{w.STATUS_WORDS[gate.status]}**: {escape(gate.name)}: {escape(gate.statement)} "
        f"({escape(w.explain(gate))})"
        for gate in (each.gate for each in w.open_gates(report))
    ]
    rows += [
        f"- **{w.STATUS_WORDS[result.status]}**: audit {escape(result.audit)}: "
        f"{escape(result.reason or 'no gate was decided')}"
        for result in w.open_audits(report)
    ]
    rows += [
        f"- **not run**: audit {escape(name)}: {escape(reason)}" for name, reason in report.skipped
    ]
    yield from rows or ["Nothing: every gate passed."]
    yield ""


def _all_gates(report: AuditReport) -> Iterator[str]:
    yield "## Gates"
    yield ""
    yield from _grid(_GATE_HEAD, (_gate_row(gate) for r in report.results for gate in r.gates))


def _gate_row(gate: Gate) -> list[str]:
    return [
        w.STATUS_WORDS[gate.status],
        gate.name,
        gate.statement,
        w.number(gate.value),
        w.interval(gate.interval),
        w.condition(gate),
        gate.reason,
    ]


def _audit(result: AuditResult) -> Iterator[str]:
    yield f"## Audit {escape(result.audit)}: {escape(result.title)}"
    yield ""
    seeds = ", ".join(map(str, result.seeds)) or w.ABSENT
    yield (
        f"**{w.STATUS_WORDS[result.status]}**, random seeds {seeds}, {w.duration(result.seconds)}"
    )
    yield ""
    for label, text in (("Why", result.reason), ("Searched", result.searched)):
        if text:
            yield f"{label}: {escape(text)}\n"
    yield from map(_finding, result.findings)
    if result.findings:
        yield ""
    if result.figures:
        yield from _grid(_FIGURE_HEAD, map(_figure_row, result.figures))
    for table in (*result.tables, *map(w.curve_table, result.curves)):
        yield from _table(table.title, table.columns, table.rows)
    for picture in result.pictures:
        size = f"{picture.width} x {picture.height}"
        yield f"- Picture: {escape(picture.title)} ({size}; shown in report.html)"
    yield ""


def _finding(finding: Finding) -> str:
    hint = f" Next: {escape(finding.hint)}" if finding.hint else ""
    return (
        f"- **{finding.severity}**, confidence {finding.confidence}: {escape(finding.title)}. "
        f"Evidence: {escape(finding.evidence)}.{hint}"
    )


def _figure_row(figure: Figure) -> list[str]:
    return [
        figure.name,
        w.number(figure.value),
        w.interval(figure.interval),
        w.number(figure.n),
        w.number(figure.seeds),
        figure.unit,
        w.number(figure.chance),
        w.number(figure.control),
        w.interval(figure.control_interval),
        figure.note,
    ]


def _table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str | float | None]]
) -> Iterator[str]:
    yield f"**{escape(title)}**"
    yield ""
    yield from _grid(
        columns,
        ([cell if isinstance(cell, str) else w.number(cell) for cell in row] for row in rows),
    )


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield _row(columns)
    yield _row(["---"] * len(columns), escaped=True)
    yield from map(_row, rows)
    yield ""


def _row(cells: Sequence[str], *, escaped: bool = False) -> str:
    return f"| {' | '.join(cell if escaped else escape(cell) for cell in cells)} |"
