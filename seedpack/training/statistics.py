"""How sure a figure is: intervals at 95 %, comparisons, retention (spec: TRN-16).

    one Score ──wilson (shares of yes and no) | bootstrap over examples──> interval
    Scores of several seeds ──bootstrap over seeds and examples──────────> interval
    two arms, same examples ──paired bootstrap, McNemar──────────────────> difference, p
    assembled, original, chance ──────────────────────────────────────────> retention or undefined

Source:
    Wilson, JASA 22 (1927), 209-212; McNemar, Psychometrika 12 (1947), 153-157; Efron and
    Tibshirani, An Introduction to the Bootstrap (1993), chapters 13 and 16.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from seedpack.training.scores import LOWER_IS_BETTER, reduce_stats

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from seedpack.training.scores import Score

_Z: Final = 1.959963984540054  # standard normal, 97.5 %
# Student's t, 97.5 %, by degrees of freedom from 1; beyond the table the normal is used.
_T: Final = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
_NRESAMPLES: Final = 2000
_BLOCK: Final = 50  # resamples at once; bounds the memory
_KEPT_EXAMPLES: Final = 4096  # draws for more are not kept: 4 times 16 MiB at most
_PERCENTILES: Final = (2.5, 97.5)


class Interval(NamedTuple):
    """Where the true value is, 95 times of 100."""

    low: float
    high: float


@dataclass(frozen=True)
class Retention:
    """What was kept of the original's performance above chance.

    Attributes:
        value: (assembled - chance) / (original - chance); None where undefined.
        interval: Of it; None where undefined.
        reason: Why it is undefined; empty where it is defined.
    """

    value: float | None
    interval: Interval | None
    reason: str = ""


@dataclass(frozen=True)
class Comparison:
    """Two arms on the same examples.

    Attributes:
        difference: First minus second.
        interval: Of the difference.
        p: Chance of a difference as large if there were none.
    """

    difference: float
    interval: Interval
    p: float


def wilson_interval(hits: float, n: int) -> Interval:
    """Return the interval of a share.

    Args:
        hits: From 0 to ``n``.
        n: At least 1.
    """
    share = hits / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return Interval(max(centre - half, 0.0), min(centre + half, 1.0))


def mean_interval(values: Sequence[float]) -> Interval:
    """Return the t-interval of a mean; unbounded for fewer than two values."""
    if len(values) < 2:  # noqa: PLR2004 -- a spread takes two
        return Interval(-math.inf, math.inf)
    freedom = len(values) - 1
    t = _T[freedom - 1] if freedom <= len(_T) else _Z
    half = t * stdev(values) / math.sqrt(len(values))
    return Interval(fmean(values) - half, fmean(values) + half)


def score_interval(scores: Sequence[Score], *, seed: int = 0) -> Interval:
    """Return the interval of the mean over seeds, whose scores are on the same examples.

    One accuracy has Wilson's interval; all else is resampled over examples and, where there is
    more than one, over seeds.
    """
    first = scores[0]
    if len(scores) == 1 and first.metric in {"accuracy", "exact-match"}:
        return wilson_interval(float(first.stats[:, 0].sum()), first.n)
    return _percentiles(_resampled([scores], seed)[0])


def compare(first: Sequence[Score], second: Sequence[Score], *, seed: int = 0) -> Comparison:
    """Return the paired difference of two arms over the same seeds and examples."""
    a, b = _resampled([first, second], seed)
    differences = a - b
    return Comparison(
        mean_value(first) - mean_value(second), _percentiles(differences), _two_sided(differences)
    )


def compare_changes(
    first: tuple[Sequence[Score], Sequence[Score]],
    second: tuple[Sequence[Score], Sequence[Score]],
    *,
    seed: int = 0,
) -> Comparison:
    """Return how much more the first arm changes than the second: (after - before) of each.

    Args:
        first: Before and after, of the same seeds.
        second: Same. What is "before" in both has the same examples, and so has "after"; where
            all four have, the resampling is paired over all of them.
        seed: Of the resampling.
    """
    earlier = _resampled([first[0], second[0]], seed)
    later = _resampled([first[1], second[1]], seed)
    excess = (later[0] - earlier[0]) - (later[1] - earlier[1])
    value = (mean_value(first[1]) - mean_value(first[0])) - (
        mean_value(second[1]) - mean_value(second[0])
    )
    return Comparison(value, _percentiles(excess), _two_sided(excess))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return the exact two-sided p of two lists of right and wrong answers to one list."""
    only_first = int(np.count_nonzero(first & ~second))
    only_second = int(np.count_nonzero(~first & second))
    n = only_first + only_second
    tail = sum(math.comb(n, k) for k in range(min(only_first, only_second) + 1))
    return min(1.0, float(2 * tail / 2**n)) if n else 1.0


def retention(assembled: Sequence[Score], original: Sequence[Score], *, seed: int = 0) -> Retention:
    """Return the share of the original's performance above chance that was kept.

    Args:
        assembled: One score per seed.
        original: As many, of the same seeds, metric and examples.
        seed: Of the resampling.

    Returns:
        Undefined where the original's own interval is not above the chance level, or where the
        metric has no such share (perplexity).
    """
    metric, chance = original[0].metric, original[0].chance
    if metric in LOWER_IS_BETTER:
        return Retention(None, None, f"{metric} has no share above chance")
    if score_interval(original, seed=seed).low <= chance:
        return Retention(None, None, "the original is not above chance")
    kept, whole = _resampled([assembled, original], seed)
    above = whole > chance  # the few resamples without a denominator say nothing
    ratios = (kept[above] - chance) / (whole[above] - chance)
    value = (mean_value(assembled) - chance) / (mean_value(original) - chance)
    return Retention(value, _percentiles(ratios))


def mean_value(scores: Sequence[Score]) -> float:
    """Return the mean over seeds."""
    return fmean(score.value for score in scores)


def _two_sided(differences: NDArray[np.float64]) -> float:
    below = (np.count_nonzero(differences <= 0) + 1) / (len(differences) + 1)
    above = (np.count_nonzero(differences >= 0) + 1) / (len(differences) + 1)
    return float(min(2 * min(below, above), 1.0))


def _percentiles(values: NDArray[np.float64]) -> Interval:
    low, high = np.percentile(values, _PERCENTILES)
    return Interval(float(low), float(high))


def _resampled(arms: Sequence[Sequence[Score]], seed: int) -> list[NDArray[np.float64]]:
    """Return the mean of each arm under the same resamples of seeds and of examples.

    Shapes:
        a: arms, s: seeds, n: examples, k: statistics, b: resamples at once.

    Cost:
        O(_NRESAMPLES * a * s * n * k).
    """
    metric = arms[0][0].metric
    tables = np.asarray([[score.stats for score in arm] for arm in arms])  # (a, s, n, k)
    nseeds, n = tables.shape[1:3]
    draw = _kept_draws if n <= _KEPT_EXAMPLES else _draws
    means: list[NDArray[np.float64]] = []
    for weights, drawn in draw(n, nseeds, seed):
        sums = np.einsum("bn,asnk->absk", weights, tables, optimize=True)
        values = reduce_stats(metric, sums)  # (a, b, s)
        means.append(np.take_along_axis(values, drawn[None], axis=2).mean(axis=2))
    return list(np.concatenate(means, axis=1))


def _draws(
    n: int, nseeds: int, seed: int
) -> Iterator[tuple[NDArray[np.integer[Any]], NDArray[np.int64]]]:
    """Yield (b, n), how often each example is drawn, and (b, s), which seeds are."""
    random = np.random.Generator(np.random.PCG64(seed))
    for _ in range(_NRESAMPLES // _BLOCK):
        # How often each example is drawn: a product instead of a copy of the table.
        weights = random.multinomial(n, np.full(n, 1 / n), size=_BLOCK)
        yield weights, random.integers(nseeds, size=(_BLOCK, nseeds))


@functools.lru_cache(maxsize=4)
def _kept_draws(
    n: int, nseeds: int, seed: int
) -> list[tuple[NDArray[np.integer[Any]], NDArray[np.int64]]]:
    """Return the same; drawing takes most of the time, and a report asks for it often."""
    return [(weights.astype(np.int16), drawn) for weights, drawn in _draws(n, nseeds, seed)]
