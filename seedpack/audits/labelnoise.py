"""What wrong labels in the tuning data do, with and without the robust option.

samples ──10, 20, 40 % of labels changed──> tuned: plain │ robust
samples as they are ──────────────────────> tuned: plain │ robust   (from plain)
random init, same wrong labels ───────────> control
original, same wrong labels ──────────────> what they cost anyway
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from seedpack.audits.base import Audit
from seedpack.audits.gates import undecided
from seedpack.audits.measures import (
    as_control,
    as_original,
    consumer_arm,
    curve_seeds,
    data_of,
    gate_on,
    is_small,
    make_difference,
    make_excess,
    make_figure,
    make_series,
    score_arm,
    tell,
)
from seedpack.audits.results import AuditResult, Curve, Severity, Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits.arms import Alter, Arm
    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.training import Examples
    from seedpack.training.scores import Score

    Row = dict[float, list[Score]]  # share of wrong labels -> scores

_JUDGED_SHARE: Final = 0.2  # the share that gates are about
_MARGIN: Final = 0.03  # points of the metric
_CONTROL: Final = "random init"
_ORIGINAL: Final = "original"
_STREAM: Final = 0x6E6F6973  # keeps the draw apart from all others of the same seed


class LabelNoise(Audit):
    """How much do wrong labels cost?"""

    id = "label-noise"
    title = "Wrong labels in the tuning data"
    needs = frozenset({"data"})
    tasks = frozenset({"text-classification", "image-classification", "generic"})
    effort = 3

    def run(self, context: Context) -> AuditResult:
        """Tune on labels of which a share is wrong.

        Raises:
            TrainingError: An arm cannot be tuned, or its loss is no number.
        """
        _, split = data_of(context)
        if not split.labels:
            # AUD-NOI-2
            return undecided(self.id, self.title, "the targets are numbers: none is just wrong")
        shares = sorted({*context.profile.noise_shares, _JUDGED_SHARE})
        rows = _score_all(context, split.labels, shares)
        lost = make_difference(
            f"robust at {_percent(_JUDGED_SHARE)} wrong labels minus plain with right ones",
            rows["robust"][_JUDGED_SHARE],
            rows["plain"][0.0],
            note="the same samples and seeds",
        )
        judged = [_judge_gain(rows), *_judge_original(rows)]
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            searched=_searched(context, shares),
            findings=(_tell_loss(lost), *(finding for *_, finding in judged)),
            figures=(lost, *(figure for figure, *_ in judged), *_figures(rows)),
            gates=tuple(gate for _, gate, _ in judged),
            curves=(_curve(rows),),
            seeds=context.seeds,
        )


def _score_all(context: Context, labels: tuple[str, ...], shares: list[float]) -> dict[str, Row]:
    """Return by arm and share; control and original at the share that is judged only."""
    arm = msgspec.structs.replace(consumer_arm(context), robust=False)
    firm = msgspec.structs.replace(arm, robust=True)
    rows: dict[str, Row] = {
        "plain": {0.0: score_arm(context, arm)},
        "robust": {0.0: score_arm(context, firm, seeds=curve_seeds(context))},
    }
    for done, share in enumerate(shares):
        context.progress(done, len(shares) + 1, f"{_percent(share)} wrong labels")
        seeds = context.seeds if share == _JUDGED_SHARE else curve_seeds(context)
        rows["plain"][share] = _score_noisy(context, arm, labels, share, seeds)
        rows["robust"][share] = _score_noisy(context, firm, labels, share, seeds)
    context.progress(len(shares), len(shares) + 1, "control arms")
    share, seeds = _JUDGED_SHARE, context.seeds
    control = as_control(arm, thorough=is_small(context))
    rows[_CONTROL] = {share: _score_noisy(context, control, labels, share, seeds)}
    if context.spec.original:
        rows[_ORIGINAL] = {
            0.0: score_arm(context, as_original(arm, context)),
            share: _score_noisy(context, as_original(firm, context), labels, share, seeds),
        }
    return rows


def _score_noisy(
    context: Context, arm: Arm, labels: tuple[str, ...], share: float, seeds: tuple[int, ...]
) -> list[Score]:
    noisy = msgspec.structs.replace(arm, altered=f"{_percent(share)} wrong labels")
    return score_arm(context, noisy, mislabel(labels, share), seeds=seeds)


def mislabel(labels: tuple[str, ...], share: float) -> Callable[[int], Alter]:
    """Return what makes, by seed, a share of the labels wrong (AUD-NOI-1).

    Args:
        labels: All classes, at least two.
        share: Of the examples, 0 to 1.
    """

    def of_seed(seed: int) -> Alter:
        def alter(examples: Examples) -> Examples:
            random = np.random.Generator(np.random.PCG64([seed, _STREAM]))
            targets = list(examples.targets)
            for i in random.permutation(len(targets))[: round(share * len(targets))].tolist():
                others = [label for label in labels if label != targets[i]]
                targets[i] = others[int(random.integers(len(others)))]
            return replace(examples, targets=targets)

        return alter

    return of_seed


def _tell_loss(lost: Figure) -> Finding:
    """Say whether the loss is within the margin: a matter of the data more than of the seed."""
    points = f"{100 * _MARGIN:.0f} points"
    statement = f"{_percent(_JUDGED_SHARE)} wrong labels cost at most {points}"
    return tell(
        gate_on(lost, "loss", f"{statement} with the robust option", at_least=-_MARGIN),
        lost,
        bad=f"{_percent(_JUDGED_SHARE)} wrong labels cost more than {points}",
        severity=Severity.LOW,
        hint="have the labels of the samples checked, or use more samples, with --robust",
    )


def _judge_gain(rows: dict[str, Row]) -> tuple[Figure, Gate, Finding]:
    share = _JUDGED_SHARE
    gain = make_difference(
        f"robust minus random init at {_percent(share)} wrong labels",
        rows["robust"][share],
        rows[_CONTROL][share],
        note="tuned on the same wrong labels",
    )
    gate = gate_on(
        gain,
        "noise-above-control",
        f"with {_percent(share)} wrong labels the seed knows more than random weights",
        at_least=0.0,
    )
    finding = tell(
        gate,
        gain,
        bad=f"With {_percent(share)} wrong labels random weights do as well as this seed",
        severity=Severity.MEDIUM,
        hint="have the labels of the samples checked, or use more samples, with --robust",
    )
    return gain, gate, finding


def _judge_original(rows: dict[str, Row]) -> list[tuple[Figure, Gate, Finding]]:
    if _ORIGINAL not in rows:
        return []
    share, points = _JUDGED_SHARE, f"{100 * _MARGIN:.0f} points"
    excess = make_excess(
        f"change by {_percent(share)} wrong labels: assembled minus original",
        (rows["plain"][0.0], rows["robust"][share]),
        (rows[_ORIGINAL][0.0], rows[_ORIGINAL][share]),
        note="both with the robust option on the same wrong labels",
    )
    gate = gate_on(
        excess,
        "noise-as-original",
        f"wrong labels cost the seed at most {points} more than they cost the original",
        at_least=-_MARGIN,
    )
    finding = tell(
        gate,
        excess,
        bad="Wrong labels harm this seed more than its original",
        severity=Severity.MEDIUM,
        hint="ask the publisher for a seed with more bits per weight",
    )
    return [(excess, gate, finding)]


def _figures(rows: dict[str, Row]) -> list[Figure]:
    control = rows[_CONTROL]
    return [
        make_figure(f"{name}, {_percent(share)} wrong labels", scores, control=control.get(share))
        for name, row in rows.items()
        for share, scores in row.items()
    ]


def _curve(rows: dict[str, Row]) -> Curve:
    first = rows["plain"][0.0][0]
    return Curve(
        title="Performance by the share of wrong labels",
        x_label="wrong labels, %",
        y_label=first.metric,
        series=tuple(
            make_series(
                name,
                [(100 * share, make_figure("", scores)) for share, scores in row.items()],
                is_control=name == _CONTROL,
            )
            for name, row in rows.items()
        ),
        chance=first.chance,
    )


def _searched(context: Context, shares: list[float]) -> str:
    named = ", ".join(_percent(share) for share in shares)
    return (
        f"{named} of {consumer_arm(context).samples} labels replaced by another class, drawn anew "
        f"for each of {len(context.seeds)} seeds, those of the held-out part included; beside the "
        "same samples with their right labels, and random weights tuned on the wrong ones"
    )


def _percent(share: float) -> str:
    return f"{100 * share:g} %"
