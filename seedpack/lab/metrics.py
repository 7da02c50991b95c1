"""How well a score tells planted models from clean ones.

    scores of clean models, scores of planted ones ──auc──────────> planted ones are higher
                                                   ──tpr_at_fpr───> share found at 5 % false alarms
                                                   ──bootstrap────> intervals, models resampled

Higher is more suspicious; ties count half, or as not found.

Source:
    Hanley and McNeil, Radiology 143 (1982), 29-36 (AUC as a rank statistic); Efron and
    Tibshirani, An Introduction to the Bootstrap (1993), chapter 13.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Final

import msgspec
import numpy as np

from seedpack.training.statistics import mean_interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Scores = NDArray[np.float64]

FALSE_ALARMS: Final = 0.05  # the rate at which detectors are compared
_RESAMPLES: Final = 2000
_PERCENTILES: Final = (2.5, 97.5)


class Rate(msgspec.Struct, frozen=True):
    """A share, or another figure from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


class Mean(msgspec.Struct, frozen=True):
    """A mean over models, with its 95 % t-interval; of one model there is none."""

    value: float
    low: float | None
    high: float | None
    n: int


def mean_over(values: Sequence[float]) -> Mean | None:
    """Return a mean with its interval; None of nothing."""
    if not values:
        return None
    interval = mean_interval(values)
    low, high = (v if math.isfinite(v) else None for v in (interval.low, interval.high))
    return Mean(fmean(values), low, high, len(values))


def share(hits: int, n: int) -> Rate | None:
    """Return a share with Wilson's interval; None of nothing."""
    if not n:
        return None
    low, high = wilson_interval(hits, n)
    return Rate(hits / n, min(low, hits / n), max(high, hits / n), n)


def auc(clean: Scores, planted: Scores) -> float:
    """Return the chance that a planted model scores higher than a clean one, ties half.

    Shapes:
        clean (n,), planted (m,), neither empty, no NaN.
    """
    order = np.sort(clean)
    below = np.searchsorted(order, planted, "left")
    level = np.searchsorted(order, planted, "right")
    return float((below + level).mean() / (2 * len(clean)))


def threshold_at(clean: Scores, rate: float = FALSE_ALARMS) -> float:
    """Return the smallest score that at most ``rate`` of the clean models exceed."""
    allowed = int(np.floor(rate * len(clean) + 1e-9))
    return float(np.sort(clean)[len(clean) - 1 - allowed])


def tpr_at_fpr(clean: Scores, planted: Scores, rate: float = FALSE_ALARMS) -> float:
    """Return the share of planted models above the threshold that ``rate`` false alarms allow."""
    return float((planted > threshold_at(clean, rate)).mean())


def auc_rate(clean: Sequence[float], planted: Sequence[float]) -> Rate | None:
    """Return the AUC with its bootstrap interval; None where a side is empty."""
    return _bootstrapped(auc, clean, planted)


def tpr_rate(clean: Sequence[float], planted: Sequence[float]) -> Rate | None:
    """Return the true positives at 5 % false alarms.

    The interval resamples both sides, because the threshold is uncertain, too; where it comes out
    narrower than Wilson's of the planted models alone (all found), that one is taken.
    """
    found = _bootstrapped(tpr_at_fpr, clean, planted)
    if found is None:
        return None
    low, high = wilson_interval(found.value * len(planted), len(planted))
    return Rate(found.value, min(low, found.low), max(high, found.high), found.n)


def _bootstrapped(
    statistic: Callable[[Scores, Scores], float], clean: Sequence[float], planted: Sequence[float]
) -> Rate | None:
    negatives, positives = np.asarray(clean, np.float64), np.asarray(planted, np.float64)
    if not len(negatives) or not len(positives):
        return None
    rng = np.random.default_rng(0)
    values = [
        statistic(rng.choice(negatives, len(negatives)), rng.choice(positives, len(positives)))
        for _ in range(_RESAMPLES)
    ]
    value = statistic(negatives, positives)
    low, high = np.percentile(values, _PERCENTILES)
    return Rate(value, min(float(low), value), max(float(high), value), len(positives))
