"""Scores of arms over all seeds, and the figures, gates and findings made of them.

Arm ──each seed──> Scores ──statistics──> Figure: value, interval, chance, control
                          ──difference──> Gate on the bounds ──told──> Finding
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from seedpack.audits.arms import Arm
from seedpack.audits.gates import decide
from seedpack.audits.results import Confidence, Figure, Finding, Series, Severity, Status
from seedpack.training.statistics import (
    compare,
    compare_changes,
    mean_value,
    retention,
    score_interval,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.audits.arms import Alter, Arms
    from seedpack.audits.base import Context
    from seedpack.audits.results import Bounds, Gate
    from seedpack.training import Split
    from seedpack.training.scores import Score

RETENTION: Final = "retention"
_FEW_SEEDS: Final = 2


def data_of(context: Context) -> tuple[Arms, Split]:
    """Return what an audit that needs data was given.

    Raises:
        ValueError: The audit was run without data (programming error).
    """
    if context.arms is None or context.split is None:
        raise ValueError("an audit that needs data was run without")
    return context.arms, context.split


def consumer_arm(context: Context) -> Arm:
    """Return the assembled model, tuned as the consumer does: of each seed alike."""
    _, split = data_of(context)
    wanted = context.spec.samples or context.profile.nsamples
    return Arm(
        model=context.spec.model,
        samples=min(wanted, len(split.train)),
        robust=context.spec.robust,
    )


def as_control(arm: Arm, *, thorough: bool = False) -> Arm:
    """Return the control arm: random weights of the same architecture, on the same samples.

    Args:
        arm: What it stands beside.
        thorough: Train it as random weights ask for instead of alike: many epochs, large steps.
    """
    if not thorough:
        return msgspec.structs.replace(arm, model="")
    return msgspec.structs.replace(arm, model="", thorough=True, robust=False)


def is_small(context: Context) -> bool:
    """Whether random weights can be trained thoroughly wherever they stand as control.

    Modules of a factory learn a task from nothing in seconds. A transformer takes minutes, and a
    few hundred samples teach it nothing either way: the audit `retention` shows both.
    """
    return bool(context.spec.factory)


def curve_seeds(context: Context) -> tuple[int, ...]:
    """Return the seeds of points that no gate is about: two where each costs minutes."""
    few = not is_small(context) and context.profile.name != "deep"
    return context.seeds[:_FEW_SEEDS] if few else context.seeds


def as_original(arm: Arm, context: Context) -> Arm:
    """Return the original, tuned alike."""
    return msgspec.structs.replace(arm, model=context.spec.original)


def with_samples(arm: Arm, count: int) -> Arm:
    """Return the same with another number of samples."""
    return msgspec.structs.replace(arm, samples=count)


def score_arm(
    context: Context,
    arm: Arm,
    alter: Callable[[int], Alter] | None = None,
    *,
    seeds: Sequence[int] | None = None,
) -> list[Score]:
    """Return the deciding score of ``arm`` for each seed.

    Args:
        context: Whose seeds and arms.
        arm: Its own seed does not matter.
        alter: Makes of a seed what changes the samples; ``arm.altered`` names it.
        seeds: Fewer than all.

    Raises:
        TrainingError: It cannot be tuned, or its loss is no number.
    """
    arms, _ = data_of(context)
    return [
        arms.scores(
            msgspec.structs.replace(arm, seed=seed), None if alter is None else alter(seed)
        )[0]
        for seed in (context.seeds if seeds is None else seeds)
    ]


def make_figure(
    name: str,
    scores: Sequence[Score],
    *,
    control: Sequence[Score] | None = None,
    note: str = "",
) -> Figure:
    """Return the mean over seeds with its interval, chance and control arm."""
    first = scores[0]
    return Figure(
        name=name,
        value=mean_value(scores),
        interval=_bounds(score_interval(scores)),
        n=first.n,
        seeds=len(scores),
        unit=first.metric,
        chance=first.chance,
        control=None if control is None else mean_value(control),
        control_interval=None if control is None else _bounds(score_interval(control)),
        note=note or f"majority class: {first.majority:.3f}",
    )


def make_zero_shot(name: str, score: Score) -> Figure:
    """Return how a model with a head of its own does as it is."""
    note = f"nothing was tuned; majority class: {score.majority:.3f}"
    return make_figure(name, [score], note=note)


def make_difference(
    name: str, first: Sequence[Score], second: Sequence[Score], *, note: str
) -> Figure:
    """Return first minus second, paired by example and seed."""
    found = compare(first, second)
    return Figure(
        name=name,
        value=found.difference,
        interval=_bounds(found.interval),
        n=first[0].n,
        seeds=len(first),
        unit=f"difference in {first[0].metric}",
        chance=0.0,
        note=f"{note}; p = {found.p:.3g} for no difference",
    )


def make_excess(
    name: str,
    first: tuple[Sequence[Score], Sequence[Score]],
    second: tuple[Sequence[Score], Sequence[Score]],
    *,
    note: str,
) -> Figure:
    """Return how much more the first arm changes, from before to after, than the second."""
    found = compare_changes(first, second)
    return Figure(
        name=name,
        value=found.difference,
        interval=_bounds(found.interval),
        n=first[1][0].n,
        seeds=len(first[1]),
        unit=f"difference of changes in {first[1][0].metric}",
        chance=0.0,
        note=f"{note}; p = {found.p:.3g} for no difference",
    )


def make_retention(
    name: str,
    assembled: Sequence[Score],
    original: Sequence[Score],
    control: Sequence[Score] | None = None,
) -> Figure:
    """Return the share of the original's performance above chance; undefined with its reason."""
    kept = retention(assembled, original)
    beside = None if control is None else retention(control, original)
    return Figure(
        name=name,
        value=kept.value,
        interval=None if kept.interval is None else _bounds(kept.interval),
        n=assembled[0].n,
        seeds=len(assembled),
        unit=RETENTION,
        chance=0.0,
        control=None if beside is None else beside.value,
        control_interval=(
            None if beside is None or beside.interval is None else _bounds(beside.interval)
        ),
        note=f"undefined: {kept.reason}" if kept.reason else "share above chance of the original",
    )


def gate_on(figure: Figure, name: str, statement: str, **threshold: Any) -> Gate:  # noqa: ANN401 -- of decide
    """Return the gate on the bounds of ``figure``."""
    reason = figure.note if figure.value is None else ""
    return decide(
        name, statement, value=figure.value, interval=figure.interval, reason=reason, **threshold
    )


def tell(gate: Gate, figure: Figure, *, bad: str, severity: Severity, hint: str) -> Finding:
    """Return what a person should make of ``gate``.

    Args:
        gate: Decided.
        figure: What it was decided on.
        bad: One sentence: what is so where it fails.
        severity: Of that.
        hint: What to do then.
    """
    evidence = f"{figure.name}: {show(figure)}; asked for: {gate.side} {gate.threshold:g}"
    if gate.status is Status.PASS:
        return Finding(
            title=f"As declared: {gate.statement}",
            severity=Severity.INFO,
            confidence=Confidence.HIGH,
            evidence=evidence,
        )
    if gate.status is Status.FAIL:
        return Finding(
            title=bad, severity=severity, confidence=Confidence.HIGH, evidence=evidence, hint=hint
        )
    return Finding(
        title=f"Not decided: {gate.statement}",
        severity=Severity.LOW,
        confidence=Confidence.LOW,
        evidence=f"{evidence}; {gate.reason}",
        hint="more evaluation examples, or the profile standard or deep, narrow the interval",
    )


def show(figure: Figure) -> str:
    """Return a figure in words, with all that belongs to it."""
    if figure.value is None:
        return figure.note
    text = f"{figure.value:.3f}"
    if figure.interval is not None:
        text += f" ({figure.interval[0]:.3f} to {figure.interval[1]:.3f})"
    if figure.control is not None:
        text += f", control {figure.control:.3f}"
    if figure.chance is not None:
        text += f", chance {figure.chance:.3f}"
    seeds = "1 seed" if figure.seeds == 1 else f"{figure.seeds} seeds"
    return f"{text}, n = {figure.n}, {seeds}"


def make_series(
    name: str, points: Sequence[tuple[float, Figure | None]], *, is_control: bool = False
) -> Series:
    """Return a line through figures; a point without one stays open."""
    figures = [figure for _, figure in points]
    return Series(
        name=name,
        x=tuple(x for x, _ in points),
        y=tuple(None if f is None else f.value for f in figures),
        low=tuple(None if f is None or f.interval is None else f.interval[0] for f in figures),
        high=tuple(None if f is None or f.interval is None else f.interval[1] for f in figures),
        is_control=is_control,
    )


def _bounds(interval: tuple[float, float]) -> Bounds:
    return (float(interval[0]), float(interval[1]))
