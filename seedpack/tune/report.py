"""What a tuning found, as data: every figure with what it has to be compared with (TRN-15)."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

from seedpack.training.statistics import (
    Interval,
    Retention,
    compare,
    mean_value,
    retention,
    score_interval,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score

SCHEMA: Final = 1
ASSEMBLED: Final = "assembled"
CONTROL: Final = "random-init"
ORIGINAL: Final = "original"


@dataclass(frozen=True)
class MetricReport:
    """One metric of one arm.

    Attributes:
        metric: Its name.
        value: Mean over the seeds.
        interval: 95 %, over seeds and examples.
        by_seed: The value of each seed.
        n: Examples in the evaluation.
        chance: What uniformly random answers reach.
        majority: What the most frequent answer of the training data reaches.
    """

    metric: str
    value: float
    interval: Interval
    by_seed: tuple[float, ...]
    n: int
    chance: float
    majority: float


@dataclass(frozen=True)
class ArmReport:
    """One arm: ``assembled``, ``random-init`` or ``original``."""

    arm: str
    metrics: tuple[MetricReport, ...]


@dataclass(frozen=True)
class TuneReport:
    """Everything that a tuning found.

    Attributes:
        task: What was learned.
        samples: Training examples used, held-out part included.
        dropped: Training examples left out because they stand in the evaluation.
        seeds: One run of every arm each.
        recipe: How all arms were tuned.
        arms: The assembled model first; the control arm beside it unless it was declined.
        control_difference: Assembled minus control, with its interval; None without a control.
        control_p: Chance of such a difference if there were none.
        retention: Of the first metric; None where the original was not given.
        output: The tuned model; None where only figures were asked for.
    """

    task: str
    samples: int
    dropped: int
    seeds: tuple[int, ...]
    recipe: Recipe
    arms: tuple[ArmReport, ...]
    control_difference: tuple[float, Interval] | None
    control_p: float | None
    retention: Retention | None
    output: str | None

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON has it."""
        return {"schema": SCHEMA, **asdict(self)}

    def arm(self, name: str) -> ArmReport | None:
        """Return the arm of that name, if there was one."""
        return next((arm for arm in self.arms if arm.arm == name), None)


def report_arms(scores: Mapping[str, Sequence[Sequence[Score]]]) -> tuple[ArmReport, ...]:
    """Summarise ``scores``: by arm, by seed, the metrics of a task."""
    return tuple(
        ArmReport(arm, tuple(_metric(each) for each in zip(*by_seed, strict=True)))
        for arm, by_seed in scores.items()
    )


def _metric(scores: Sequence[Score]) -> MetricReport:
    first = scores[0]
    return MetricReport(
        metric=first.metric,
        value=mean_value(scores),
        interval=score_interval(scores),
        by_seed=tuple(score.value for score in scores),
        n=first.n,
        chance=first.chance,
        majority=first.majority,
    )


def compare_arms(
    scores: Mapping[str, Sequence[Sequence[Score]]],
) -> tuple[tuple[float, Interval] | None, float | None, Retention | None]:
    """Compare the first metric: with the control arm, and with the original."""
    first = {arm: [metrics[0] for metrics in by_seed] for arm, by_seed in scores.items()}
    difference, p, kept = None, None, None
    if CONTROL in first:
        found = compare(first[ASSEMBLED], first[CONTROL])
        difference, p = (found.difference, found.interval), found.p
    if ORIGINAL in first:
        kept = retention(first[ASSEMBLED], first[ORIGINAL])
    return difference, p, kept
