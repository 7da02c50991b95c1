"""Rounding of an embedding whose rows are not read equally often (spec: EXT-64).

    counts of tokens in the calibration text --smoothed--> share f[r], weight w[r] ~ sqrt(f[r])
    minimise  sum_r w[r] * error[r] + lambda * bits        one grid and one code for all rows
        =>    level k of x:  least (|x| / step - k)^2 + mu[r] * l[k],   mu[r] ~ 1 / w[r]

The best levels for all x are the lower convex hull of the points (k, k^2 + mu l[k]).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.floats import store_float32
from seedpack.codecs.tcq import Weights, encode_weighted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.codecs.base import Encoded
    from seedpack.dtypes import DType

# The share of tokens that occur once is about the share of new ones in more text (Good
# and Turing). It is spread over all rows, so that words that the text lacks are not worthless.
_LEAST_NEW: Final = 0.02
# Rare words say more than frequent ones: of 0.15, 0.3, 0.4, 0.5, 0.55, 0.7 and 1 about the best.
_POWER: Final = 0.5
_CLASSES_PER_OCTAVE: Final = 2
_MU: Final = 0.05  # of a row of typical share, whose values are rounded nearly to the nearest
_LEAST, _MOST = 2.0**-6, 2.0**6  # of mu: less is nearest rounding, at more all becomes zero
_SAMPLE_VALUES: Final = 1 << 20
_BINS: Final = 32  # of the sample's histogram, per step
_MAX_LEVELS: Final = 1 << 10
_TURNS: Final = 12
_LENGTH_UNITS: Final = 1 << 16  # as of the codec: away from libm's last bit


class Shares(NamedTuple):
    """How much the error of each row of an embedding counts."""

    octaves: float  # of the grid's step relative to that of rows that weigh the same
    classes: np.ndarray  # (rows,) index into ``mus``
    mus: tuple[float, ...]  # what a bit is worth, in squared steps


def find_shares(counts: np.ndarray) -> Shares:
    """Return the shares of rows that a text reads ``counts`` (rows,) times, not all 0."""
    total = counts.sum()
    new = max(float((counts == 1).sum() / total), _LEAST_NEW)
    shares = (1 - new) * counts / total + new / counts.size
    weights = shares**_POWER / (shares**_POWER).sum()
    typical = float((counts * np.log2(weights)).sum() / total)
    exponents = np.rint((typical - np.log2(weights)) * _CLASSES_PER_OCTAVE)
    octaves = -(typical + math.log2(counts.size)) / 2
    kinds, classes = np.unique(exponents, return_inverse=True)
    mus = np.clip(_MU * 2.0 ** (kinds / _CLASSES_PER_OCTAVE), _LEAST, _MOST)
    return Shares(octaves, classes.reshape(-1), tuple(mus.tolist()))


def round_rows(weight: np.ndarray, step: float, shares: Shares) -> np.ndarray:
    """Return values (o, i), multiples of ``step``; the rarer its row, the fewer bits one takes.

    Args:
        weight: (o, i) float32, finite.
        step: Distance between levels.
        shares: Of o rows.

    Cost:
        O(o * i) time.
    """
    thresholds = _learn_thresholds(weight, step, shares)
    values = np.empty_like(weight)
    for kind, (levels, limits) in enumerate(thresholds):
        rows = np.flatnonzero(shares.classes == kind)
        some = weight[rows]
        steps = np.abs(some, dtype=np.float64) / step
        chosen = levels[np.searchsorted(limits, steps)]
        chosen = np.where(steps > levels[-1], np.rint(steps), chosen)  # beyond the sample
        values[rows] = np.copysign(chosen * step, some)
    return values


def encode_rows(
    weight: np.ndarray,
    dtype: DType,
    chunk_raw_nbytes: int,
    *,
    step: float,
    shares: Shares,
) -> Encoded | None:
    """Return the form that codec tcq gives ``weight`` (o, i) with errors that count by row.

    Args:
        weight: (o, i) float32, finite.
        dtype: Of the tensor.
        chunk_raw_nbytes: As for any codec.
        step: Of the codec.
        shares: Of o rows.
    """
    stored = np.empty(weight.size, dtype.storage)
    store_float32(weight.ravel(), stored, dtype)  # as it was: no bit is lost
    classes = np.repeat(shares.classes.astype(np.uint8), weight.shape[1])
    return encode_weighted(stored, dtype, step, Weights(shares.mus, classes), chunk_raw_nbytes)


def estimate_row_rates(weight: np.ndarray, steps: Sequence[float], shares: Shares) -> list[float]:
    """Return bits per value at ``steps``: the entropy of the levels that values take."""
    stride = -(-weight.size // _SAMPLE_VALUES)
    few = shares._replace(classes=shares.classes[::stride])
    return [_entropy(round_rows(weight[::stride], step, few)) for step in steps]


def _entropy(values: np.ndarray) -> float:
    _, counts = np.unique(values, return_counts=True)
    parts = counts / values.size
    return float(-(parts * np.log2(parts)).sum()) + 0.0  # no negative zero


def _learn_thresholds(
    weight: np.ndarray, step: float, shares: Shares
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return for each class the levels that it uses and the limits between them."""
    counts = _count_bins(weight, step, shares)  # (classes, bins)
    steps = (np.arange(counts.shape[1]) + 0.5) / _BINS
    occurrences = np.bincount(np.rint(steps).astype(np.int64), counts.sum(0))
    for _ in range(_TURNS):
        lengths = _lengths(occurrences)
        found = [_hull(lengths, mu) for mu in shares.mus]
        occurrences = np.zeros_like(occurrences)
        for each, (levels, limits) in zip(counts, found, strict=True):
            chosen = levels[np.searchsorted(limits, steps)]
            occurrences += np.bincount(chosen, each, minlength=occurrences.size)
    return found


def _count_bins(weight: np.ndarray, step: float, shares: Shares) -> np.ndarray:
    stride = -(-weight.size // _SAMPLE_VALUES)
    bins = np.floor(np.abs(weight[::stride], dtype=np.float64) / step * _BINS)
    width = int(min(bins.max(initial=0) + 1, _MAX_LEVELS * _BINS))
    places = np.minimum(bins, width - 1).astype(np.int64)
    places += shares.classes[::stride, None] * width
    flat = np.bincount(places.ravel(), minlength=len(shares.mus) * width)
    return flat.reshape(-1, width)


def _lengths(occurrences: np.ndarray) -> np.ndarray:
    each = occurrences.copy()
    each[1:] /= 2  # both signs
    # A level that the sample lacks is not free: it counts as a quarter of one.
    bits = math.log2(occurrences.sum()) - np.log2(np.maximum(each, 0.25))
    # Lengths need not rise with levels: rare rows may use every third level, say, that is cheap.
    return np.asarray(np.rint(bits * _LENGTH_UNITS) / _LENGTH_UNITS)


def _hull(lengths: np.ndarray, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return levels (n,) and the limits (n - 1,) between them, in steps."""
    height = np.arange(lengths.size) ** 2 + mu * lengths
    levels: list[int] = []
    limits: list[float] = []
    for level, own in enumerate(height.tolist()):
        limit = 0.0
        while levels:
            limit = (own - float(height[levels[-1]])) / (2 * (level - levels[-1]))
            if not limits or limit > limits[-1]:
                break
            levels.pop()
            limits.pop()
        limits += [limit] if levels else []
        levels.append(level)
    return np.array(levels), np.array(limits)
