"""The benchmark's figures as tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.lab.benchmark import Report
    from seedpack.lab.metrics import Mean, Rate
    from seedpack.lab.rows import DefenceRow, DetectorRow, FamilyReport

_NOTE: Final = """\
Shares with 95 % intervals. TPR: found where 5 % of the clean models may raise alarm; found, false
alarms: at the limit fixed beforehand.
Removed: success rate (ASR) at most 10 %, or at most 5 points above that of the clean twin. Cost:
accuracy lost, in points. Effect: what the trigger adds to the share of the same victims that get
the target without it; above twins: how much more that is than in clean twins.
No sooner: of those removed, how many come back no sooner than clean twins learn them, where the
attacker has the defender's very samples; unseen: samples that are new to all models.
Two controls: "twin defended" is a clean twin that went through the same defence, "clean" one more
clean twin, undefended; both stand in the place of the defended model, but for "no sooner than twin
defended", which compares the defended model with that."""


class _DefenceTable(NamedTuple):
    """Columns about one question, behind those that name the row."""

    title: str
    head: tuple[str, ...]
    cells: Callable[[DefenceRow], tuple[str, ...]]


_DEFENCE_TABLES: Final = (
    _DefenceTable(
        "What is left",
        ("n", "ASR", "removed", "twin defended", "clean", "cost", "s"),
        lambda row: (
            str(row.removed.n if row.removed else 0),
            f"{row.asr_before:.2f} -> {row.asr_after:.2f}",
            _rate(row.removed),
            _rate(row.removed_alike),
            _rate(row.removed_clean),
            _mean(row.accuracy_cost, "{:.1f}", 100),
            f"{row.seconds:.1f}",
        ),
    ),
    _DefenceTable(
        "What the trigger does by itself",
        ("effect", "above twins", "twin defended", "clean"),
        lambda row: (
            _mean(row.effect),
            _mean(row.effect_above),
            _mean(row.effect_above_alike),
            _mean(row.effect_above_clean),
        ),
    ),
    _DefenceTable(
        "What comes back",
        ("no sooner", "clean", "unseen", "clean, unseen", "no sooner than twin defended"),
        lambda row: (
            _rate(row.no_sooner),
            _rate(row.no_sooner_clean),
            _rate(row.no_sooner_unseen),
            _rate(row.no_sooner_unseen_clean),
            _rate(row.no_sooner_alike),
        ),
    ),
)


def benchmark_row(report: Report) -> dict[str, Any]:
    """Return everything."""
    row: dict[str, Any] = msgspec.to_builtins(report)
    return row


def benchmark_text(report: Report) -> str:
    """Return tables."""
    lines = [f"Zoo, {report.plan.part} part. {_NOTE}"]
    for family in report.families:
        lines += ["", *_family_lines(family)]
    return "\n".join(lines)


def _family_lines(family: FamilyReport) -> Iterator[str]:
    yield (
        f"{family.family}: {family.nclean} clean (accuracy {_percent(family.accuracy)}), "
        f"{family.ntwins} twins, {family.nplanted} planted (ASR {_percent(family.asr)}, in clean "
        f"twins {_percent(family.control_asr)}; {family.nbelow} below 50 %)"
    )
    if family.detectors:
        head = ("detector", "group", "n", "AUC", "TPR", "found", "false alarms", "s")
        yield from _table(head, [_detector_cells(row) for row in family.detectors])
    if family.defences:
        yield from _defence_lines(family.defences)


def _defence_lines(rows: Sequence[DefenceRow]) -> Iterator[str]:
    for table in _DEFENCE_TABLES:
        yield from ("", table.title)
        named = [(row.defence, str(row.samples), row.group, *table.cells(row)) for row in rows]
        yield from _table(("defence", "samples", "group", *table.head), named)


def _detector_cells(row: DetectorRow) -> tuple[str, ...]:
    return (
        row.detector,
        row.group,
        str(row.found.n if row.found else 0),
        _rate(row.auc, digits=3),
        _rate(row.tpr),
        _rate(row.found),
        _rate(row.false_alarms),
        f"{row.seconds:.1f}",
    )


def _rate(rate: Rate | None, *, digits: int = 2) -> str:
    if rate is None:
        return "-"
    return f"{rate.value:.{digits}f} [{rate.low:.2f}, {rate.high:.2f}]"


def _mean(mean: Mean | None, form: str = "{:+.2f}", unit: float = 1) -> str:
    if mean is None:
        return "-"
    value, *bounds = (
        form.format(unit * v) for v in (mean.value, mean.low, mean.high) if v is not None
    )
    return f"{value} [{', '.join(bounds)}]" if bounds else value


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  " + "  ".join(cells).rstrip()
