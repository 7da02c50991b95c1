"""The benchmark's figures as tables and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.lab.benchmark import Report
    from seedpack.lab.metrics import Mean, Rate
    from seedpack.lab.rows import DefenceRow, DetectorRow, FamilyReport

_NOTE: Final = """\
Shares with 95 % intervals. TPR: found where 5 % of the clean models may raise alarm; found, false
alarms: at the limit fixed beforehand. Removed: success rate (ASR) at most 10 %, or at most
5 points above that of the clean twin. Effect: what the trigger adds to the share of the same
victims that get the target without it; above twins: how much more that is than in clean twins.
Cost: accuracy lost, in points.
No sooner: of those removed, how many come back no sooner than clean twins learn them, where the
attacker has the defender's very samples; unseen: samples that are new to all models. Alike: a
clean twin that went through the same defence, in the place of the defended model (removed,
effect), or of the clean twins (no sooner). Clean, the control: what one more clean twin,
undefended, reaches in the place of the defended model."""
_DEFENCE_HEAD: Final = (
    *("defence", "samples", "group", "n", "ASR", "removed", "alike", "clean"),
    *("effect", "above twins", "alike", "clean", "cost"),
    *("no sooner", "alike", "clean", "unseen", "clean", "s"),
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
        yield ""
        yield from _table(_DEFENCE_HEAD, [_defence_cells(row) for row in family.defences])


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


def _defence_cells(row: DefenceRow) -> tuple[str, ...]:
    return (
        row.defence,
        str(row.samples),
        row.group,
        str(row.removed.n if row.removed else 0),
        f"{row.asr_before:.2f} -> {row.asr_after:.2f}",
        _rate(row.removed),
        _rate(row.removed_alike),
        _rate(row.removed_clean),
        _mean(row.effect),
        _mean(row.effect_above),
        _mean(row.effect_above_alike),
        _mean(row.effect_above_clean),
        _mean(row.accuracy_cost, "{:.1f}", 100),
        _rate(row.no_sooner),
        _rate(row.no_sooner_alike),
        _rate(row.no_sooner_clean),
        _rate(row.no_sooner_unseen),
        _rate(row.no_sooner_unseen_clean),
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
