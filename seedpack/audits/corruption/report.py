"""What the corruption audit says of what it measured: figures, gates, findings, table, curves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack.audits.arms import Arm
from seedpack.audits.corruption.losses import KINDS
from seedpack.audits.gates import decide
from seedpack.audits.measures import as_control, is_small, score_arm
from seedpack.audits.results import (
    AuditResult,
    Confidence,
    Curve,
    Figure,
    Finding,
    Gate,
    Series,
    Severity,
    Status,
    Table,
)
from seedpack.training.statistics import compare, mean_value, retention, score_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.audits.base import Context
    from seedpack.audits.corruption.losses import Damaged, Damager
    from seedpack.audits.results import Bounds
    from seedpack.training.scores import Score
    from seedpack.training.statistics import Interval

_HALF: Final = 0.5
_FEW: Final = 0.1
_KEPT_OF_HALF: Final = 0.7  # founding goal: half of the file lost, 70 % kept
_KEPT_OF_FEW: Final = 0.95
OWN: Final = "the seed"


class Cell(NamedTuple):
    """What is left after one share of one kind was lost, over all draws."""

    layout: str
    share: float
    kind: str
    damaged: list[Damaged]
    zero_shot: list[Score] | None  # one per draw
    tuned: list[Score]

    @property
    def exact(self) -> int:
        """How many of the draws were restored exactly."""
        return sum(one.model is None for one in self.damaged)


class Baselines:
    """What damaged models stand beside: the whole one and random init, tuned alike (AUD-COR-2)."""

    def __init__(self, context: Context) -> None:
        """Tune them, or take them from where other audits left them."""
        assert context.arms is not None  # noqa: S101 -- the audit needs data
        self.arms, self._context = context.arms, context
        self.samples = context.profile.nsamples
        if context.split is not None:
            self.samples = min(self.samples, len(context.split.train))
        self.whole = [self.tuned(context.spec.model, seed) for seed in context.seeds]
        self.control = score_arm(context, self._control())
        zero_shot = self.arms.zero_shot(context.spec.model)
        self.zero_shot = None if zero_shot is None else zero_shot[0]

    def _control(self) -> Arm:
        """Return random weights, trained as well as they can be where that costs little."""
        return as_control(Arm(samples=self.samples), thorough=is_small(self._context))

    def tuned(self, model: str, seed: int) -> Score:
        """Return the deciding score of ``model`` tuned with few samples."""
        return self.arms.scores(Arm(model=model, samples=self.samples, seed=seed))[0]


def make_result(
    audit: str,
    title: str,
    context: Context,
    cells: Sequence[Cell],
    arms: Baselines,
    own: Damager,
) -> AuditResult:
    """Return the result; the runner concludes its status from the gates."""
    figures = [figure for cell in cells for figure in _figures(cell, arms)]
    result = AuditResult(
        audit=audit,
        title=title,
        status=Status.UNDECIDED,
        searched=(
            f"{len(cells)} kinds of damage to copies of the seed ({own.nchunks} chunks), "
            f"{_draws(cells)} draws each, drawn among all chunks. The manifest, "
            f"{100 * own.manifest_share:.1f} % of the file, was never damaged: without it nothing "
            f"is left. Layers without chunks stand in it, {100 * own.kept_share:.1f} % of the "
            f"values. Tuned with {arms.samples} examples; salvage decodes chunks with their signed "
            "digest only."
        ),
        findings=tuple(_findings(cells, arms)),
        figures=tuple(figures),
        gates=tuple(_gates(cells, arms)),
        tables=(_table(cells, arms),),
        curves=tuple(_curves(cells, arms)),
        seeds=context.seeds,
    )
    chance = score_interval(arms.whole).low <= arms.whole[0].chance
    if chance:
        reason = "the whole model is not above chance, so that retention is undefined"
        result = msgspec.structs.replace(result, reason=reason)
    return result


def _draws(cells: Sequence[Cell]) -> str:
    few, many = (pick(len(cell.damaged) for cell in cells) for pick in (min, max))
    return str(many) if few == many else f"{few} or, where a gate is about it, {many}"


def _kept(cell: Cell, arms: Baselines) -> tuple[float | None, Bounds | None, str]:
    found = retention(cell.tuned, arms.whole[: len(cell.tuned)])
    return found.value, _bounds(found.interval) if found.interval else None, found.reason


def _bounds(interval: Interval) -> Bounds:
    return interval.low, interval.high


def _figures(cell: Cell, arms: Baselines) -> list[Figure]:
    what = f"{cell.layout}, {100 * cell.share:g} % {cell.kind}"
    chance = arms.whole[0].chance
    control = score_interval(arms.control)
    note = f"{cell.exact} of {len(cell.damaged)} draws restored exactly"
    figures = [
        Figure(
            name=f"tuned {cell.tuned[0].metric}, {what}",
            value=mean_value(cell.tuned),
            interval=_bounds(score_interval(cell.tuned)),
            unit=cell.tuned[0].metric,
            control=mean_value(arms.control),
            control_interval=_bounds(control),
            note=note,
            n=cell.tuned[0].n,
            seeds=len(cell.tuned),
            chance=chance,
        ),
    ]
    value, interval, reason = _kept(cell, arms)
    random = retention(arms.control, arms.whole)
    figures.append(
        Figure(
            name=f"tuned retention, {what}",
            value=value,
            interval=interval,
            unit="share of the whole seed's",
            control=random.value,
            note=reason or note,
            n=cell.tuned[0].n,
            seeds=len(cell.tuned),
        )
    )
    return figures


def _zero_shot_kept(cell: Cell, arms: Baselines) -> float | None:
    if cell.zero_shot is None or arms.zero_shot is None:
        return None
    return retention(cell.zero_shot, [arms.zero_shot] * len(cell.zero_shot)).value


def _gates(cells: Sequence[Cell], arms: Baselines) -> list[Gate]:
    gates = []
    for share, bar in ((_FEW, _KEPT_OF_FEW), (_HALF, _KEPT_OF_HALF)):
        for cell in cells:
            if cell.layout != OWN or cell.share != _at_most([c.share for c in cells], share):
                continue
            value, interval, reason = _kept(cell, arms)
            reason = reason or _nothing_shown(cell, arms, interval, bar)
            gates.append(
                decide(
                    f"lost-{100 * cell.share:g}-{cell.kind}",
                    f"with {100 * cell.share:g} % of the chunks lost ({cell.kind}), few-sample "
                    f"tuning keeps {100 * bar:g} % of what the whole seed has after it",
                    value=value,
                    interval=interval,
                    at_least=bar,
                    reason=reason,
                )
            )
    return gates


def _nothing_shown(cell: Cell, arms: Baselines, interval: Bounds | None, bar: float) -> str:
    """Return why reaching the bar says nothing of what is left; empty where it says something."""
    if cell.exact == len(cell.damaged) or interval is None or interval[0] < bar:
        return ""
    if compare(cell.tuned, arms.control).interval.low > 0:
        return ""
    return (
        "random weights do as well after the same samples: it is not known that any of it is kept"
    )


def is_judged(layout: str, share: float, shares: Sequence[float]) -> bool:
    """Whether a gate is about this share of ``shares``."""
    return layout == OWN and share in {_at_most(shares, bar) for bar in (_FEW, _HALF)}


def _at_most(shares: Sequence[float], most: float) -> float | None:
    return max((share for share in shares if share <= most), default=None)


def _findings(cells: Sequence[Cell], arms: Baselines) -> list[Finding]:
    findings = []
    for cell in cells:
        if cell.layout != OWN or cell.exact == len(cell.damaged):
            continue
        better = compare(cell.tuned, arms.control[: len(cell.tuned)])
        if better.interval.low > 0:
            continue
        findings.append(
            Finding(
                title=f"{100 * cell.share:g} % of the chunks lost ({cell.kind}) leave no more than "
                "a start at random has after the same tuning",
                severity=Severity.LOW,
                confidence=Confidence.HIGH if better.interval.high < 0 else Confidence.MEDIUM,
                evidence=f"difference to random init {better.difference:+.3f} "
                f"[{better.interval.low:+.3f}, {better.interval.high:+.3f}]",
                hint="ask the publisher for `extract --interleave --parity 100`",
            )
        )
    return findings


def _table(cells: Sequence[Cell], arms: Baselines) -> Table:
    rows = tuple(
        (
            cell.layout,
            100 * cell.share,
            cell.kind,
            f"{cell.exact} of {len(cell.damaged)}",
            round(100 * sum(one.missing for one in cell.damaged) / len(cell.damaged), 2),
            round(100 * sum(one.coarse for one in cell.damaged) / len(cell.damaged), 2),
            _zero_shot_kept(cell, arms),
            _kept(cell, arms)[0],
            retention(arms.control, arms.whole).value,
        )
        for cell in cells
    )
    columns = (
        "layout",
        "chunks lost, %",
        "kind",
        "restored exactly",
        "values missing, %",
        "coarse, %",
        "retention zero-shot",
        "retention tuned",
        "random init tuned",
    )
    return Table(title="What is left", columns=columns, rows=rows)


def _curves(cells: Sequence[Cell], arms: Baselines) -> list[Curve]:
    curves = []
    for kind in KINDS:
        series = []
        for layout in dict.fromkeys(cell.layout for cell in cells):
            own = [cell for cell in cells if (cell.layout, cell.kind) == (layout, kind)]
            kept = [_kept(cell, arms) for cell in own]
            x = tuple(100 * cell.share for cell in own)
            bounds = [interval or (None, None) for _, interval, _ in kept]
            series.append(
                Series(
                    name=f"{layout}, tuned",
                    x=x,
                    y=tuple(value for value, _, _ in kept),
                    low=tuple(low for low, _ in bounds),
                    high=tuple(high for _, high in bounds),
                )
            )
            zero_shot = tuple(_zero_shot_kept(cell, arms) for cell in own)
            if any(value is not None for value in zero_shot):
                series.append(Series(name=f"{layout}, zero-shot", x=x, y=zero_shot))
        random = retention(arms.control, arms.whole).value
        shares = tuple(100 * share for share in dict.fromkeys(cell.share for cell in cells))
        series.append(
            Series(name="random init, tuned", x=shares, y=(random,) * len(shares), is_control=True)
        )
        curves.append(
            Curve(
                title=f"Retention after losses, {kind}",
                x_label="chunks lost, %",
                y_label="share of the whole seed's performance above chance",
                series=tuple(series),
            )
        )
    return curves
