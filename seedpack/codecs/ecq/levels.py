"""Values -> levels of a uniform grid that cost few bits for their error (spec/codecs/ecq.md).

    |x| / step --nearest integer--> k, or k - 1 where |x| / step is below t[k]:
    t[k] = k - 1/2 + mu * (l[k] - l[k - 1]) / 2

l[k] are the code lengths of the levels themselves, so thresholds and lengths are found in
turns, on a sample. What decides is elementwise IEEE arithmetic and rounded logarithms:
one model gives one file on every machine.

Source: entropy-constrained scalar quantisation, Chou, Lookabaugh and Gray, IEEE Trans. ASSP
37 (1989), 31-42. At high rate D = step^2 / 12 and dD/dR = -2 ln 2 * D give mu = ln 2 / 6 =
0.1155. A little more serves low rates: at 0.13, from 0.7 to 4 bits per value, weights cost at
most 0.001 bits more than with the best mu and levels decoded to the means of their cells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.ecq.grid import MAX_LEVEL
from seedpack.codecs.floats import to_float32
from seedpack.codecs.rans.tables import TOTAL
from seedpack.dtypes import DTYPES

if TYPE_CHECKING:
    from seedpack.dtypes import DType

MAX_TABLE_LEVELS: Final = 2000  # keeps the packed table within 4096 bytes (LAY-6)

DEFAULT_MU: Final = 0.13  # squared steps per bit
_SAMPLE_VALUES: Final = 1 << 16
_STEP_BINS: Final = 64  # of the sample's histogram, per step
_MAX_BINS: Final = _STEP_BINS << 10  # levels beyond 1024 are rounded as that is
_TURNS: Final = 12
_BLOCK_VALUES: Final = 1 << 16
_MAX_SMALL: Final = 1 << 13  # the distance of two such levels, and a table, fit 16 bits
_MIN_QUICK: Final = 2.0**-60  # steps of which neither reciprocals nor products are subnormal
_MARGIN: Final = 2.0**-8  # in steps: above what float32 loses of a small level
_LENGTH_UNITS: Final = 1 << 16  # code lengths are rounded to these, away from libm's last bit
# An escape costs 32 bits more than its symbol; a symbol of frequency 1 costs all others
# log2(e) / 4096 bits per value. Symbols rarer than the quotient of the two are escaped.
_WORTH_DIVISOR: Final = 20
_ESCAPE_NBYTES: Final = 5


def find_thresholds(
    values: np.ndarray, step: float, mu: float = DEFAULT_MU, *, dtype: DType = DTYPES["float32"]
) -> np.ndarray:
    """Return t (k,): a magnitude of u steps that rounds to r is level r - 1 if u < t[r].

    Args:
        values: (v,), finite, v >= 1.
        step: Distance between levels.
        mu: What a bit is worth, in squared steps of error; 0 rounds to the nearest level.
        dtype: Of the values: a float of 16 or 32 bits.
    """
    stride = -(-values.size // _SAMPLE_VALUES)
    sample = to_float32(values[::stride], dtype)
    bins = np.floor(_count_steps(sample, step) * _STEP_BINS)
    counts = np.bincount(np.minimum(bins, _MAX_BINS - 1).astype(np.int64))
    steps = (np.arange(counts.size) + 0.5) / _STEP_BINS  # (bins,) at their middle
    nearest = np.rint(steps).astype(np.int64)
    thresholds = np.zeros(int(nearest[-1]) + 1)
    for _ in range(_TURNS):
        levels = _lower(steps, nearest, thresholds)
        occurrences = np.bincount(levels, weights=counts, minlength=thresholds.size)
        thresholds, previous = _thresholds_for(occurrences, mu), thresholds
        if np.array_equal(thresholds, previous):
            break
    return thresholds


def _thresholds_for(counts: np.ndarray, mu: float) -> np.ndarray:
    """Return the thresholds that are best where levels occur ``counts`` times, in both signs."""
    each = counts.copy()
    each[1:] /= 2
    # A level that the sample lacks is not free: it counts as a quarter of one.
    lengths = -np.rint(np.log2(np.maximum(each, 0.25)) * _LENGTH_UNITS) / _LENGTH_UNITS
    dearer = np.maximum(np.diff(lengths, prepend=lengths[0]), 0)
    middle = np.arange(counts.size) - 0.5
    return np.asarray(np.minimum(middle + mu * dearer / 2, middle + 1))


def round_to_levels(
    values: np.ndarray, step: float, thresholds: np.ndarray, *, dtype: DType = DTYPES["float32"]
) -> np.ndarray:
    """Return levels (v,) of 16 or 32 bit floats; those beyond 2^24 steps become 2^24.

    They are int16 where all are small, else int32: of a large tensor, half as many bytes.
    """
    spans = [slice(at, at + _BLOCK_VALUES) for at in range(0, values.size, _BLOCK_VALUES)]
    largest = max((_largest(to_float32(values[span], dtype)) for span in spans), default=0.0)
    is_small = largest / step < _MAX_SMALL
    limits = _find_limits(step, thresholds, int(largest / step) + 2) if is_small else None
    levels = np.empty(values.size, np.int16 if is_small else np.int32)
    for span in spans:
        block = to_float32(values[span], dtype)
        if limits is not None:
            magnitudes = _compare(np.abs(block), step, limits)
        else:
            steps = _count_steps(block, step)
            magnitudes = _lower(steps, np.rint(steps).astype(np.int32), thresholds)
        signs = 1 - 2 * (block < 0).view(np.int8)
        np.multiply(magnitudes, signs, out=levels[span], casting="unsafe")
    return levels


def _largest(block: np.ndarray) -> float:
    return max(-float(block.min()), float(block.max()))


def _find_limits(step: float, thresholds: np.ndarray, most: int) -> np.ndarray | None:
    """Return for each level up to ``most`` the least float32 magnitude that reaches it.

    Looking values up there gives the very levels of the quotients, without a division. None
    where that cannot be told: steps of extreme size, thresholds a whole step too high.
    """
    numbers = np.arange(most + 1)
    middle = numbers - 0.5
    least = middle.copy()
    given = min(thresholds.size, least.size)
    least[:given] = thresholds[:given]
    if not _MIN_QUICK <= step <= 1 / _MIN_QUICK or (least > middle + 1 - 2 * _MARGIN).any():
        return None
    ties_below = (least == middle) & (numbers % 2 == 1)  # as rint does: to the even level

    def reaches(magnitudes: np.ndarray) -> np.ndarray:
        steps = magnitudes.astype(np.float64) / step
        return np.where(ties_below, steps > least, steps >= least)

    limits = np.maximum(least * step, 0).astype(np.float32)
    for _ in range(2):  # the product is within two units in the last place
        below = np.nextafter(limits, np.float32(0))
        limits = np.where(reaches(below), below, limits)
    for _ in range(2):
        limits = np.where(reaches(limits), limits, np.nextafter(limits, np.float32(np.inf)))
    return np.asarray(limits)


def _compare(magnitudes: np.ndarray, step: float, limits: np.ndarray) -> np.ndarray:
    """Return the levels of float32 magnitudes: a guess that is right or 1 too high, put right."""
    guesses = magnitudes * np.float32(1 / step)
    guesses += np.float32(0.5 + _MARGIN)
    levels = guesses.astype(np.int32)
    levels -= magnitudes < limits.take(levels, mode="clip")
    return levels


def _count_steps(values: np.ndarray, step: float) -> np.ndarray:
    # In float64 no quotient is rounded onto a tie, so the error bound is exact.
    steps = np.abs(values, dtype=np.float64)
    steps /= step
    return np.asarray(np.minimum(steps, 2 * MAX_LEVEL, out=steps))


def _lower(steps: np.ndarray, nearest: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    lowered: np.ndarray = nearest - (steps < thresholds.take(nearest, mode="clip"))
    return lowered


def choose_levels(levels: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the lowest level of a table and the counts (m,) of it and those above; 0 escapes.

    Args:
        levels: (v,), v >= 1.
    """
    middle = _median(levels[:: -(-levels.size // _SAMPLE_VALUES)])
    lowest = middle - MAX_TABLE_LEVELS // 2
    counts = np.zeros(MAX_TABLE_LEVELS, np.int64)
    for start in range(0, levels.size, _BLOCK_VALUES):  # large tensors: no copy of all levels
        places = levels[start : start + _BLOCK_VALUES].astype(np.int64)
        places -= lowest
        if int(places.min()) <= 0 or int(places.max()) >= MAX_TABLE_LEVELS:
            places = places[(places > 0) & (places < MAX_TABLE_LEVELS)]
        counts += np.bincount(places, minlength=MAX_TABLE_LEVELS)
    rare = counts * (TOTAL * _WORTH_DIVISOR) < levels.size
    rare[middle - lowest] = False  # a table has a level, even where all are rare
    counts[rare] = 0
    first, last = _trim(np.flatnonzero(counts).tolist(), counts)
    return lowest + first, counts[first : last + 1]


def _median(sample: np.ndarray) -> int:
    """Return the upper median of levels (n,), n >= 1; small ones are counted, not sorted."""
    half = sample.size // 2
    if sample.dtype != np.int16:
        return int(np.partition(sample, half)[half])
    least = int(sample.min())
    counts = np.bincount(sample.astype(np.int64) - least)
    return least + int(np.searchsorted(counts.cumsum(), half, side="right"))


def _trim(kept: list[int], counts: np.ndarray) -> tuple[int, int]:
    """Return the ends of ``kept`` without far levels: each level between costs a byte."""
    first, last = 0, len(kept) - 1
    while first < last and kept[first + 1] - kept[first] > _ESCAPE_NBYTES * counts[kept[first]]:
        first += 1
    while first < last and kept[last] - kept[last - 1] > _ESCAPE_NBYTES * counts[kept[last]]:
        last -= 1
    return kept[first], kept[last]


def scale_counts(counts: np.ndarray) -> np.ndarray:
    """Return frequencies that sum to 4096, at least 1 where the count is not 0.

    Args:
        counts: (n,), fewer than 4096 of them not 0, not all 0.
    """
    total = int(counts.sum())
    frequencies = np.maximum((counts * TOTAL + total // 2) // total, counts > 0).astype(np.int64)
    while (excess := int(frequencies.sum()) - TOTAL) != 0:
        most = int(frequencies.argmax())  # where a little more or less costs least
        little = max(int(frequencies[most]) // 64, 1)
        frequencies[most] -= min(max(excess, -little), little)
    return np.asarray(frequencies)
