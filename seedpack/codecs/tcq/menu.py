"""What each label would cost each value: distortion + lambda * bits, tabulated.

    value --Ruler--> bin, a sixteenth of half a step --Menu--> level and cost of each label

All is relative to an even ``middle``: k there is k - middle here, so parities stay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.ecq.levels import MAX_TABLE_LEVELS

if TYPE_CHECKING:
    from collections.abc import Sequence

BEYOND: Final = np.iinfo(np.int16).max  # in place of a level: escape

_BINS: Final = 16  # per half step; finer ones change no rate by 0.001 bits
_BLOCK_VALUES: Final = 1 << 16
_MOST: Final = MAX_TABLE_LEVELS // 2 - 4  # k on either side of the middle
_MAX_ERROR: Final = 5.9  # half steps; a bin is 1/16 wide, so that 6 is the bound (COD-TCQ-8)
_MARGIN: Final = 3  # so that every label has a level within 2 half steps
DEFAULT_MU: Final = 0.11  # squared steps per bit
_BEYOND_ENDS: Final = 8  # k that bins at either end are next to, and no level has
_LENGTH_UNITS: Final = 1 << 16  # code lengths are rounded to these, away from libm's last bit


class Ruler(NamedTuple):
    """Where values lie on the grid."""

    half_step: float
    middle: int  # k, even
    width: int  # k from -width to width have places on the menu

    @property
    def reach(self) -> int:
        """Half steps from the middle at which bins end."""
        return 2 * self.width - _MARGIN

    @property
    def nbins(self) -> int:
        """Number of bins of one class."""
        return 2 * self.reach * _BINS + 3

    def bins(self, values: np.ndarray) -> np.ndarray:
        """Return int32 (v,) of float32 values; the first and the last are beyond all levels."""
        end = self.reach * _BINS + 1
        bins = np.empty(values.size, np.int32)
        for start in range(0, values.size, _BLOCK_VALUES):
            halves = values[start : start + _BLOCK_VALUES] / np.float64(self.half_step)
            halves -= 2 * self.middle
            halves *= _BINS
            np.clip(np.rint(halves, halves), -end, end, halves)
            bins[start : start + _BLOCK_VALUES] = halves + end
        return bins

    def values(self, labels: np.ndarray, levels: np.ndarray) -> np.ndarray:
        """Return float32 what ``levels`` (k - middle) stand for; BEYOND for nothing."""
        halves = 2 * (levels + np.float32(self.middle)) + labels // 2
        return np.asarray(halves * np.float32(self.half_step), np.float32)

    def count_levels(self, levels: np.ndarray) -> Counts:
        """Count levels: k - middle, or BEYOND."""
        inside = levels[levels != BEYOND].astype(np.int64) + self.width
        counts = np.bincount(inside, minlength=2 * self.width + 1)
        return Counts(counts, levels.size - inside.size)


class Counts(NamedTuple):
    """How often the symbols of one quantiser occur."""

    levels: np.ndarray  # (2 width + 1,), of k from -width
    escape: int


class Lengths(NamedTuple):
    """Code lengths of one quantiser, in bits."""

    levels: np.ndarray  # (2 width + 1,), of k from -width; infinite where there is none
    escape: float  # of the symbol and the value behind the stream


class Menu(NamedTuple):
    """Per label 2 q + p and bin; the last bin stands for a place without a value."""

    costs: np.ndarray  # (4, bins) float32
    levels: np.ndarray  # (4, bins) int16, k or BEYOND


def make_ruler(values: np.ndarray, half_step: float) -> Ruler:
    """Return a ruler about the median of ``values`` (v,) float32, finite, v >= 1."""
    median = float(np.partition(values, values.size // 2)[values.size // 2])
    # At most 2^24, whatever the step: what is farther away is declined later.
    middle = 2 * round(min(max(median / half_step / 4, -(2.0**23)), 2.0**23))
    farthest = max(abs(float(values.max()) / half_step), abs(float(values.min()) / half_step))
    needed = min((farthest + 2.0 * abs(middle)) / 2 + _MARGIN, float(_MOST))
    return Ruler(half_step, middle, math.ceil(needed))


def guess_counts(bins: np.ndarray, ruler: Ruler, quantiser: int) -> Counts:
    """Return how often levels would occur if one quantiser rounded all ``bins`` to nearest."""
    centres = bins / _BINS - (ruler.reach + 1 / _BINS)
    nearest = np.rint((centres - quantiser) / 2).astype(np.int64)
    return Counts(np.bincount(nearest + ruler.width, minlength=2 * ruler.width + 1), 0)


def measure_lengths(counts: Counts, escape_bits: int, *, rarest: float = 0.25) -> Lengths:
    """Return the lengths of a code for symbols that occur so often.

    Args:
        counts: Of one quantiser.
        escape_bits: What an escaped value takes.
        rarest: What none counts as: a level that a sample lacks is not free, and neither
            impossible. With 0 its length is infinite.
    """
    each = np.maximum(np.append(counts.levels, counts.escape), rarest)
    with np.errstate(divide="ignore"):
        bits = np.log2(max(each.sum(), 1)) - np.log2(each)
    rounded = np.rint(bits * _LENGTH_UNITS) / _LENGTH_UNITS
    return Lengths(rounded[:-1], float(rounded[-1]) + escape_bits)


class Offers:
    """What each label has for each bin, whatever it costs in bits: the same in every turn."""

    def __init__(self, ruler: Ruler) -> None:
        """Find the levels next to each bin of ``ruler``."""
        end = ruler.reach * _BINS + 1
        centres = np.arange(-end, end + 1) / _BINS  # (b,), half steps
        self._offers: Final = [_offer(centres, ruler, label) for label in range(4)]

    def make_menu(self, lengths: Sequence[Lengths], mus: Sequence[float] = (DEFAULT_MU,)) -> Menu:
        """Return for each bin what is best with each label, for quantisers of these lengths.

        Args:
            lengths: Of both quantisers.
            mus: What a bit is worth, in squared steps, to values of each class: the bins of one
                class stand behind those of another. An error counts the less, the larger its mu.
        """
        nbins = self._offers[0].nearest.size
        costs = np.zeros((4, len(mus) * nbins + 1), np.float32)
        levels = np.zeros(costs.shape, np.int16)
        for number, mu in enumerate(mus):
            own = slice(number * nbins, (number + 1) * nbins)
            for label, offer in enumerate(self._offers):
                cost, best = _best(offer, lengths[label // 2], label, 4 * mu)
                costs[label, own], levels[label, own] = cost * (mus[0] / mu), best
        return Menu(costs, levels)


class _Offer(NamedTuple):
    """Of one label: the levels nearest to each bin, the one below, and the one above."""

    nearest: np.ndarray  # (b,) k
    places: np.ndarray  # (b,) of the level below ``nearest`` among lengths with _BEYOND_ENDS more
    errors: tuple[np.ndarray, ...]  # (b,) squared half steps; infinite where there is no level


def _offer(centres: np.ndarray, ruler: Ruler, label: int) -> _Offer:
    quantiser, parity = divmod(label, 2)
    # Levels 2 k + q with k = 2 t + p: four half steps apart.
    nearest = 2 * np.rint((centres - 2 * parity - quantiser) / 4).astype(np.int64) + parity
    errors = []
    for k in (nearest - 2, nearest, nearest + 2):
        error = np.abs(centres - (2 * k + quantiser))
        is_allowed = (np.abs(k) <= ruler.width) & (error <= _MAX_ERROR)
        errors.append(np.where(is_allowed, np.square(error), np.inf))
    places = nearest - 2 + ruler.width + _BEYOND_ENDS
    return _Offer(nearest.astype(np.int16), places, tuple(errors))


def _best(offer: _Offer, lengths: Lengths, label: int, mu: float) -> tuple[np.ndarray, np.ndarray]:
    """Return costs, in squared half steps, and levels (b,) of one label."""
    is_even = label % 2 == 0  # an escape counts as even
    best = np.full(offer.nearest.size, mu * lengths.escape if is_even else np.inf)
    chosen = np.full(offer.nearest.size, BEYOND, np.int16)
    bits = mu * np.pad(lengths.levels, _BEYOND_ENDS)  # of no level: such an error is infinite
    for number, errors in enumerate(offer.errors):
        cost = bits[2 * number :].take(offer.places)
        cost += errors
        np.copyto(chosen, offer.nearest + np.int16(2 * (number - 1)), where=cost < best)
        np.minimum(best, cost, out=best)
    # What lies in the first and the last bin may be anywhere.
    best[[0, -1]] = 0 if is_even else np.inf
    chosen[[0, -1]] = BEYOND
    return best, chosen
