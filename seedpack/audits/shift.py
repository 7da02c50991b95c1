"""What other data than those of the training do, beside what they do to the original.

evaluation ──generated corruptions──┐
DATA of the user (--shift) ─────────┴──> assembled │ random init (control) │ original
drop of the assembled model ──minus the original's own drop──> gate
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from seedpack.audits.base import Audit
from seedpack.audits.corruptions.sets import generated_shifts, given_shifts
from seedpack.audits.gates import undecided
from seedpack.audits.measures import (
    as_control,
    as_original,
    consumer_arm,
    data_of,
    gate_on,
    is_small,
    make_difference,
    make_excess,
    make_figure,
    tell,
)
from seedpack.audits.results import AuditResult, Severity, Status, Table
from seedpack.training.statistics import mean_value

if TYPE_CHECKING:
    from seedpack.audits.arms import Arm
    from seedpack.audits.base import Context
    from seedpack.audits.corruptions.sets import Shift
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.training.scores import Score

_MARGIN: Final = 0.05  # AUD-SHI-2: points of the metric


class DomainShift(Audit):
    """Does the seed break sooner than its original on other data?"""

    id = "shift"
    title = "Other data than in training"
    needs = frozenset({"data"})

    def run(self, context: Context) -> AuditResult:
        """Measure tuned arms on each set.

        Raises:
            TrainingError: A set does not fit the task, or an arm cannot be tuned.
        """
        _, split = data_of(context)
        shifts = [*given_shifts(context), *generated_shifts(context)]
        if not shifts:
            reason = f"{split.train.form} are not corrupted here: give data by --shift DATA"
            return undecided(self.id, self.title, reason)
        arms = _arms(context)
        clean, shifted = _score_all(context, arms, shifts)
        rows = {s.name: {arm: shifted[arm][i] for arm in arms} for i, s in enumerate(shifts)}
        judged = _judge(shifts, clean, rows)
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            searched=_searched(context, shifts),
            findings=tuple(finding for *_, finding in judged),
            figures=(*(figure for figure, *_ in judged), *_figures(rows)),
            gates=tuple(gate for _, gate, _ in judged),
            tables=(_table(shifts, clean, rows),),
            seeds=context.seeds,
        )


def _arms(context: Context) -> dict[str, Arm]:
    arm = consumer_arm(context)
    arms = {"assembled": arm, "random init": as_control(arm, thorough=is_small(context))}
    if context.spec.original:
        arms["original"] = as_original(arm, context)
    return arms


# ---------------------------------------------------------------- scores


def _score_all(
    context: Context, arms: dict[str, Arm], shifts: list[Shift]
) -> tuple[dict[str, list[list[Score]]], dict[str, list[list[Score]]]]:
    """Return by arm and set the scores of all seeds: before, on like data, and after."""
    clean: dict[str, list[list[Score]]] = {name: [[] for _ in shifts] for name in arms}
    shifted: dict[str, list[list[Score]]] = {name: [[] for _ in shifts] for name in arms}
    total = len(arms) * len(context.seeds)
    for done, (name, seed) in enumerate((n, s) for n in arms for s in context.seeds):
        context.progress(done, total, f"{name}, {len(shifts)} sets")
        arm = msgspec.structs.replace(arms[name], seed=seed)
        for i, (before, after) in enumerate(_score_one(context, arm, shifts)):
            clean[name][i].append(before)
            shifted[name][i].append(after)
    return clean, shifted


def _score_one(context: Context, arm: Arm, shifts: list[Shift]) -> list[tuple[Score, Score]]:
    from seedpack.training.batches import answer  # noqa: PLC0415 -- torch

    arms, split = data_of(context)
    before, adapter = arms.scores(arm)[0], arms.adapter(arm)
    pairs = []
    for shift in shifts:
        items = adapter.encode(shift.examples, arms.recipe(arm))
        if shift.change is not None:
            items = shift.change(items, split, adapter)
        after = adapter.score(answer(adapter, items), shift.examples)[0]
        like = before
        if shift.indices is not None:
            like = replace(before, stats=before.stats[shift.indices])
        pairs.append((like, after))
    return pairs


# ---------------------------------------------------------------- judgement


def _judge(
    shifts: list[Shift],
    clean: dict[str, list[list[Score]]],
    rows: dict[str, dict[str, list[Score]]],
) -> list[tuple[Figure, Gate, Finding]]:
    gains = [
        make_difference(
            f"{name}: assembled minus random init",
            by_arm["assembled"],
            by_arm["random init"],
            note="tuned on the same samples, asked the same",
        )
        for name, by_arm in _pooled(shifts, rows).items()
    ]
    judged = [_judge_gain(min(gains, key=_low))]
    if "original" not in clean:
        return judged
    excesses = [
        make_excess(
            f"{shift.name}: drop of the original minus drop of the assembled model",
            (clean["assembled"][i], rows[shift.name]["assembled"]),
            (clean["original"][i], rows[shift.name]["original"]),
            note="from the evaluation to this set",
        )
        for i, shift in enumerate(shifts)
    ]
    return [*judged, _judge_excess(min(excesses, key=_low))]


def _pooled(
    shifts: list[Shift], rows: dict[str, dict[str, list[Score]]]
) -> dict[str, dict[str, list[Score]]]:
    """Return given sets as they are, and all generated ones as one: they have the same examples.

    Summed by example, so that one that is asked six times counts as one example.
    """
    pooled = {s.name: rows[s.name] for s in shifts if s.indices is None}
    generated = [rows[s.name] for s in shifts if s.indices is not None]
    if generated:
        pooled["all corruptions together"] = {
            arm: [_sum(scores) for scores in zip(*(row[arm] for row in generated), strict=True)]
            for arm in generated[0]
        }
    return pooled


def _sum(scores: tuple[Score, ...]) -> Score:
    return replace(scores[0], stats=np.sum([score.stats for score in scores], axis=0))


def _judge_gain(gain: Figure) -> tuple[Figure, Gate, Finding]:
    gate = gate_on(
        gain,
        "shift-above-control",
        "on other data the seed knows more than random weights that learned from the same samples",
        at_least=0.0,
    )
    finding = tell(
        gate,
        gain,
        bad="On other data random weights do better than the seed",
        severity=Severity.MEDIUM,
        hint="tune on samples of those data",
    )
    return gain, gate, finding


def _judge_excess(excess: Figure) -> tuple[Figure, Gate, Finding]:
    points = f"{100 * _MARGIN:.0f} points"
    gate = gate_on(
        excess,
        "shift-as-original",
        f"on no set the seed loses {points} more than its original loses",
        at_least=-_MARGIN,
    )
    finding = tell(
        gate,
        excess,
        bad="On other data the seed breaks sooner than its original",
        severity=Severity.MEDIUM,
        hint="ask the publisher for a seed with more bits per weight, or tune on such data",
    )
    return excess, gate, finding


def _low(figure: Figure) -> float:
    return figure.interval[0] if figure.interval is not None else 0.0


def _figures(rows: dict[str, dict[str, list[Score]]]) -> list[Figure]:
    return [
        make_figure(f"{arm} on {name}", scores, control=by_arm["random init"])
        for name, by_arm in rows.items()
        for arm, scores in by_arm.items()
        if arm != "random init"
    ]


def _table(
    shifts: list[Shift],
    clean: dict[str, list[list[Score]]],
    rows: dict[str, dict[str, list[Score]]],
) -> Table:
    columns = (
        "set",
        "examples",
        *(f"{arm}: {when}" for arm in clean for when in ("before", "on it")),
    )
    lines = []
    for i, shift in enumerate(shifts):
        values: list[str | float | int | None] = [shift.name, len(shift.examples)]
        for arm, before in clean.items():
            after = rows[shift.name][arm]
            values += [round(mean_value(scores), 4) for scores in (before[i], after)]
        lines.append(tuple(values))
    return Table(title="Before and on each set", columns=columns, rows=tuple(lines))


def _searched(context: Context, shifts: list[Shift]) -> str:
    names = ", ".join(shift.name for shift in shifts)
    beside = "the original and random weights" if context.spec.original else "random weights"
    return (
        f"{names}; {len(context.seeds)} seeds; tuned on {consumer_arm(context).samples} samples of "
        f"the usual data, beside {beside}."
    )
