"""How performance grows with the number of samples, beside random weights.

0 samples ──as it is──┐
5, 20, 50 ... ──tuned─┴──> curve: assembled │ random init (control)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.base import Audit
from seedpack.audits.gates import decide
from seedpack.audits.measures import (
    as_control,
    consumer_arm,
    curve_seeds,
    data_of,
    gate_on,
    is_small,
    make_difference,
    make_figure,
    make_series,
    make_zero_shot,
    score_arm,
    tell,
    with_samples,
)
from seedpack.audits.results import AuditResult, Curve, Severity, Status

if TYPE_CHECKING:
    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.training.scores import Score

_ZERO: Final = "assembled, 0 samples"
_MARGIN: Final = 0.05  # AUD-LOW-2: points of the metric


class LowData(Audit):
    """How few samples are enough?"""

    id = "low-data"
    title = "With few samples"
    needs = frozenset({"data"})

    def run(self, context: Context) -> AuditResult:
        """Tune both arms on each number of samples.

        Raises:
            TrainingError: An arm cannot be tuned, or its loss is no number.
        """
        sizes, left_out = _sizes(context)
        assembled, control = _score_all(context, sizes)
        gains = {
            size: make_difference(
                f"assembled minus random init, {size} samples",
                assembled[size],
                control[size],
                note="tuned on the same samples",
            )
            for size in sizes
        }
        zero = _zero_shot(context)
        judged = _judge(context, gains, _losses(assembled, zero)) if sizes else []
        figures = [] if zero is None else [make_zero_shot(_ZERO, zero)]
        for size in sizes:
            figures += [_figure(size, assembled[size], control[size]), gains[size]]
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            reason="" if judged else f"no size of sample can be tried: {left_out}",
            searched=_searched(sizes, left_out, context),
            findings=tuple(finding for _, finding in judged),
            figures=tuple(figures),
            gates=tuple(gate for gate, _ in judged) or (_no_gate(left_out),),
            curves=_curves(zero, assembled, control),
            seeds=context.seeds,
        )


def _sizes(context: Context) -> tuple[list[int], str]:
    """Return the numbers of samples to try (AUD-LOW-1), and why others are left out."""
    _, split = data_of(context)
    wanted = set(context.profile.sample_sizes) | {consumer_arm(context).samples or 0}
    fewest = max(len(split.labels) if split.train.form != "tokens" else 0, 2)
    sizes = [size for size in sorted(wanted - {0}) if fewest <= size <= len(split.train)]
    lost = sorted(wanted - {0} - set(sizes))
    why = f"the data have {len(split.train)} examples of {len(split.labels) or 'no'} classes"
    return sizes, f"{', '.join(map(str, lost))} left out: {why}" if lost else ""


def _score_all(
    context: Context, sizes: list[int]
) -> tuple[dict[int, list[Score]], dict[int, list[Score]]]:
    usual = consumer_arm(context)
    thorough = is_small(context)
    assembled, control = {}, {}
    for done, size in enumerate(sizes):
        context.progress(done, len(sizes), f"{size} samples")
        seeds = context.seeds if size == usual.samples else curve_seeds(context)
        arm = with_samples(usual, size)
        assembled[size] = score_arm(context, arm, seeds=seeds)
        control[size] = score_arm(context, as_control(arm, thorough=thorough), seeds=seeds)
    return assembled, control


def _judge(
    context: Context, gains: dict[int, Figure], losses: dict[int, Figure]
) -> list[tuple[Gate, Finding]]:
    usual = consumer_arm(context).samples or 0
    judged = [_judge_gain(usual, gains[usual])] if usual in gains else []
    worst = min(losses.values(), key=_low)
    return [*judged, _judge_loss(worst)]


def _low(figure: Figure) -> float:
    return figure.interval[0] if figure.interval is not None else 0.0


def _judge_gain(size: int, gain: Figure) -> tuple[Gate, Finding]:
    gate = gate_on(
        gain,
        "above-control",
        f"with {size} samples the seed knows more than random weights",
        at_least=0.0,
    )
    finding = tell(
        gate,
        gain,
        bad=f"With {size} samples random weights do better than this seed",
        severity=Severity.MEDIUM,
        hint="tune on more samples, or ask for a seed with more bits per weight",
    )
    return gate, finding


def _judge_loss(worst: Figure) -> tuple[Gate, Finding]:
    gate = gate_on(
        worst,
        "no-collapse",
        f"no number of samples costs more than {100 * _MARGIN:.0f} points of what was there before",
        at_least=-_MARGIN,
    )
    finding = tell(
        gate,
        worst,
        bad="Tuning on few samples destroys what the model knew",
        severity=Severity.MEDIUM,
        hint="do not tune on so few samples; use the model as it is",
    )
    return gate, finding


def _losses(assembled: dict[int, list[Score]], zero: Score | None) -> dict[int, Figure]:
    """Return by size what tuning gained on the model as it was, or on chance."""
    if zero is None:
        return {size: _above_chance(size, scores) for size, scores in assembled.items()}
    return {
        size: make_difference(
            f"assembled, {size} samples minus 0 samples",
            scores,
            [zero] * len(scores),
            note="the same model, tuned and as it is",
        )
        for size, scores in assembled.items()
    }


def _above_chance(size: int, scores: list[Score]) -> Figure:
    """Return how far above chance a model without a head of its own came."""
    figure, chance = (
        make_figure(f"assembled, {size} samples, minus chance", scores),
        scores[0].chance,
    )
    low, high = figure.interval or (chance, chance)
    return msgspec.structs.replace(
        figure,
        value=(figure.value or 0.0) - chance,
        interval=(low - chance, high - chance),
        chance=0.0,
        note="there is no head for the task before tuning",
    )


def _no_gate(left_out: str) -> Gate:
    statement = "with some number of samples the seed is no worse than random weights"
    return decide(
        "above-control", statement, value=None, interval=None, at_least=0.0, reason=left_out
    )


def _figure(size: int, assembled: list[Score], control: list[Score]) -> Figure:
    return make_figure(f"assembled, {size} samples", assembled, control=control)


def _zero_shot(context: Context) -> Score | None:
    arms, _ = data_of(context)
    scores = arms.zero_shot(context.spec.model)
    return None if scores is None else scores[0]


def _curves(
    zero: Score | None, assembled: dict[int, list[Score]], control: dict[int, list[Score]]
) -> tuple[Curve, ...]:
    if not assembled:
        return ()
    first = next(iter(assembled.values()))[0]
    points: list[tuple[float, Figure | None]] = []
    if zero is not None:
        points.append((0.0, make_zero_shot(_ZERO, zero)))
    points += [(float(size), make_figure("", scores)) for size, scores in assembled.items()]
    beside = [(float(size), make_figure("", scores)) for size, scores in control.items()]
    return (
        Curve(
            title="Performance by the number of samples",
            x_label="samples",
            y_label=first.metric,
            series=(
                make_series("assembled", points),
                make_series("random init (control)", beside, is_control=True),
            ),
            chance=first.chance,
        ),
    )


def _searched(sizes: list[int], left_out: str, context: Context) -> str:
    text = (
        f"{', '.join(map(str, sizes)) or 'no'} samples, {len(context.seeds)} seeds each; beside "
        "random weights of the same architecture"
    )
    return f"{text}; {left_out}" if left_out else text
