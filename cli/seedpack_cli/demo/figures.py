"""Figures with their uncertainty: a rate never stands alone.

Source: Wilson, JASA 22 (1927), 209-212; Efron, Annals of Statistics 7 (1979), 1-26.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

_Z95 = 1.959963984540054  # two-sided 95 % of the normal distribution
_RESAMPLES = 2000


class Interval(NamedTuple):
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


def rate(right: np.ndarray) -> Interval:
    """Return the share of True in ``right`` with Wilson's interval.

    Shapes:
        right: (m, n) of bool, m networks on the same n images.

    The interval counts n, not m n: what several networks say of one image is not independent.
    """
    n = right.shape[-1]
    share = float(right.mean())
    centre = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    spread = math.sqrt(share * (1 - share) / n + _Z95**2 / (4 * n * n))
    half = _Z95 * spread / (1 + _Z95**2 / n)
    # Rounding can leave the bound beside the rate itself where that is 0 or 1.
    return Interval(share, min(share, centre - half), max(share, centre + half))


def retention(original: np.ndarray, rebuilt: np.ndarray, chance: float) -> Interval | None:
    """Return (rebuilt - chance) / (original - chance), paired bootstrap; None where undefined.

    Shapes:
        original, rebuilt: (m, n) of bool, m networks on the same n images, which are resampled.

    It is undefined where the original is not above chance with its whole interval:
    of nothing, no share can be kept.
    """
    if rate(original).low <= chance:
        return None
    rng = np.random.default_rng(0)
    n = original.shape[-1]
    picks = rng.integers(0, n, (_RESAMPLES, n))
    per_image = rebuilt.mean(0), original.mean(0)  # (n,) each
    ratios = (per_image[0][picks].mean(1) - chance) / (per_image[1][picks].mean(1) - chance)
    low, high = np.quantile(ratios, [0.025, 0.975])
    value = (rebuilt.mean() - chance) / (original.mean() - chance)
    return Interval(float(value), float(low), float(high))


def show(figure: Interval | None) -> str:
    """Return a figure in per cent with its interval."""
    if figure is None:
        return "undefined (the original is not above chance)"
    return f"{100 * figure.value:5.1f} % [{100 * figure.low:.1f}, {100 * figure.high:.1f}]"
