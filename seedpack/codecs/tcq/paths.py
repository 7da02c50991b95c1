"""Values -> label and level of each, and the quantisers.

    sample: lengths --menu, paths--> counts --> lengths ...         found in turns
    all:    paths --> counts --> quantisers without what is too rare
    lanes that used what is now missing: paths once more, with escapes instead

Source: entropy-constrained trellis-coded quantisation, T. R. Fischer and M. Wang, IEEE Trans.
IT 38 (1992), 415-426.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.ecq.levels import choose_levels, scale_counts
from seedpack.codecs.rans import CodeTable
from seedpack.codecs.streams import ESCAPE
from seedpack.codecs.tcq.grid import Quantiser
from seedpack.codecs.tcq.menu import (
    BEYOND,
    DEFAULT_MU,
    Counts,
    Offers,
    guess_counts,
    make_ruler,
    measure_lengths,
)
from seedpack.codecs.tcq.viterbi import find_labels

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.codecs.streams import Cut
    from seedpack.codecs.tcq.menu import Menu, Ruler

_SAMPLE_VALUES: Final = 1 << 16
_SAMPLE_LANES: Final = 256
_TURNS: Final = 5
_BATCH_LANES: Final = 256  # of many small chunks; as many as a usual chunk has


class Steps(NamedTuple):
    """What paths take: arrays of one shape."""

    labels: np.ndarray  # uint8, 2 q + p
    levels: np.ndarray  # int16, k - middle, or BEYOND

    def part(self, span: slice) -> Steps:
        """Return views of a part."""
        return Steps(self.labels[span], self.levels[span])

    def of_quantiser(self, quantiser: int) -> np.ndarray:
        """Return the levels that one quantiser takes."""
        of_quantiser: np.ndarray = self.levels[self.labels // 2 == quantiser]
        return of_quantiser


class Paths(NamedTuple):
    """What all values become."""

    quantisers: tuple[Quantiser, Quantiser]
    symbols: np.ndarray  # (v,), of both tables joined
    escaped: np.ndarray  # (v,) bool


class Weights(NamedTuple):
    """How much the error of each value counts: a class of values has a mu of its own."""

    mus: tuple[float, ...] = (DEFAULT_MU,)  # what a bit is worth, in squared steps
    classes: np.ndarray | None = None  # (v,) index into ``mus``; without, all are of the first


ALIKE: Final = Weights()


class Walker:
    """What has been learned of a tensor: the cheapest way to code any value of it."""

    def __init__(
        self, values: np.ndarray, half_step: float, escape_bits: int, weights: Weights
    ) -> None:
        """Learn code lengths from a sample of ``values`` (v,) float32, finite, v >= 1."""
        self.ruler: Final = make_ruler(values, half_step)
        self._escape_bits, self._mus = escape_bits, weights.mus
        self._offers = Offers(self.ruler)
        counts = learn_counts(values, self.ruler, escape_bits, weights, offers=self._offers)
        self._menu = self._price(counts)

    def bins(self, values: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
        """Return what ``walk`` takes of float32 values (v,)."""
        return _class_bins(self.ruler, values, classes)

    def walk(self, bins: np.ndarray) -> Steps:
        """Return what the cheapest paths of whole lanes take (rows, lanes); -1 is no value."""
        return _walk(bins, self._menu)

    def finish(self, bins: np.ndarray, steps: Steps, cut: Cut, *, is_final: bool = False) -> Paths:
        """Return the paths of all values (v,) as they will be stored; ``steps`` is used up.

        Args:
            bins: Of all values.
            steps: What the paths of all lanes take.
            cut: Which values make a lane.
            is_final: Keep every level, however rare: paths do not change.
        """
        quantisers = _choose_quantisers(steps, self.ruler, is_final=is_final)
        kept = [_kept_counts(quantiser, self.ruler) for quantiser in quantisers]
        menu = self._price(kept, rarest=0)
        symbols = np.empty(bins.size, np.int32)
        for span in cut.spans(bins.size):
            own = steps.part(span)
            lost = _find_lost(own, kept, self.ruler)
            if lost.any():
                _walk_lanes(bins[span], cut, menu, own, lost)
            symbols[span] = _number(own, quantisers, self.ruler)
        return Paths(quantisers, symbols, steps.levels == BEYOND)

    def walk_all(self, bins: np.ndarray, cut: Cut) -> Steps:
        """Return what the cheapest path of every lane of every chunk takes (v,)."""
        steps = Steps(np.empty(bins.size, np.uint8), np.empty(bins.size, np.int16))
        for spans in _batches(cut, bins.size):
            grids = [_lay_out(bins[span], cut.lanes(span.stop - span.start)) for span in spans]
            found = _walk(np.concatenate(grids, axis=1), self._menu)
            width = grids[0].shape[1]
            for number, span in enumerate(spans):
                own = slice(number * width, (number + 1) * width)
                for array, part in zip(steps, found, strict=True):
                    array[span] = part[:, own].reshape(-1)[: span.stop - span.start]
        return steps

    def _price(self, counts: Sequence[Counts], *, rarest: float = 0.25) -> Menu:
        lengths = [measure_lengths(each, self._escape_bits, rarest=rarest) for each in counts]
        return self._offers.make_menu(lengths, self._mus)


def choose_paths(
    values: np.ndarray, half_step: float, cut: Cut, escape_bits: int, weights: Weights
) -> Paths:
    """Return the cheapest paths through the trellis, of every lane of every chunk.

    Args:
        values: (v,) float32, finite, v >= 1.
        half_step: Between neighbouring levels of both quantisers together.
        cut: Which values make a lane.
        escape_bits: What an escaped value takes.
        weights: Of the values.

    Cost:
        About 64 * 7 elementwise operations per value; 20 bytes per value, and 50 MiB.
    """
    walker = Walker(values, half_step, escape_bits, weights)
    bins = walker.bins(values, weights.classes)
    return walker.finish(bins, walker.walk_all(bins, cut), cut)


def learn_counts(
    values: np.ndarray,
    ruler: Ruler,
    escape_bits: int,
    weights: Weights = ALIKE,
    *,
    turns: int = _TURNS,
    offers: Offers | None = None,
) -> list[Counts]:
    """Return how often the symbols of both quantisers occur, in a sample of ``values``."""
    offers = offers or Offers(ruler)
    stride = -(-values.size // _SAMPLE_VALUES)
    few = values[::stride]
    plain = ruler.bins(few)
    classes = None if weights.classes is None else weights.classes[::stride]
    grid = _lay_out(_class_bins(ruler, few, classes), min(_SAMPLE_LANES, few.size))
    counts = [guess_counts(plain, ruler, quantiser) for quantiser in range(2)]
    for _ in range(turns):
        lengths = [measure_lengths(each, escape_bits) for each in counts]
        steps = _walk(grid, offers.make_menu(lengths, weights.mus))
        steps = Steps(*(array.reshape(-1)[: few.size] for array in steps))
        counts = [ruler.count_levels(steps.of_quantiser(quantiser)) for quantiser in range(2)]
    return counts


def _class_bins(ruler: Ruler, values: np.ndarray, classes: np.ndarray | None) -> np.ndarray:
    bins = ruler.bins(values)
    if classes is not None:
        bins += classes.astype(np.int32) * np.int32(ruler.nbins)
    return bins


def _batches(cut: Cut, nvalues: int) -> Iterator[list[slice]]:
    """Yield chunks of equal size together, small ones so that they have enough lanes."""
    waiting: list[slice] = []
    for span in cut.spans(nvalues):
        size = span.stop - span.start
        if waiting and (
            size != waiting[0].stop - waiting[0].start
            or len(waiting) * cut.lanes(size) >= _BATCH_LANES
        ):
            yield waiting
            waiting = []
        waiting.append(span)
    if waiting:
        yield waiting


def _lay_out(bins: np.ndarray, lanes: int) -> np.ndarray:
    """Return bins (rows, lanes), filled up with the last of the menu's, the one without value."""
    rows = -(-bins.size // lanes)
    grid = np.full(rows * lanes, -1, bins.dtype)
    grid[: bins.size] = bins
    return grid.reshape(rows, lanes)


def _walk(grid: np.ndarray, menu: Menu) -> Steps:
    """Return what the paths of whole lanes take (rows, lanes)."""
    labels = find_labels(grid, menu.costs)
    return Steps(labels, menu.levels[labels, grid])


def _walk_lanes(bins: np.ndarray, cut: Cut, menu: Menu, steps: Steps, lost: np.ndarray) -> None:
    """Find the paths anew of those lanes of one chunk that have values in ``lost`` (v,) bool."""
    grid = _lay_out(bins, cut.lanes(bins.size))
    lanes = np.unique(np.flatnonzero(lost) % grid.shape[1])
    # (rows, lanes), where each value stands in the chunk
    places = np.arange(grid.shape[0])[:, None] * grid.shape[1] + lanes
    is_there = places < bins.size
    for array, found in zip(steps, _walk(grid[:, lanes], menu), strict=True):
        array[places[is_there]] = found[is_there]


def _choose_quantisers(
    steps: Steps, ruler: Ruler, *, is_final: bool
) -> tuple[Quantiser, Quantiser]:
    choose = _count_levels if is_final else choose_levels
    found = []
    for number in range(2):
        levels = steps.of_quantiser(number)
        inside = levels[levels != BEYOND].astype(np.int32)
        # A quantiser that no path uses needs a table all the same.
        lowest, counts = choose(inside) if inside.size else (0, np.ones(1, np.int64))
        found.append((lowest, counts, max(levels.size - int(counts.sum()), 0)))
    # Where one value has to be escaped, any state may be the one that does it.
    least = int(any(nescaped for _, _, nescaped in found))
    even, odd = (
        Quantiser(
            lowest + ruler.middle,
            CodeTable(scale_counts(np.array([max(nescaped, least), *counts]))),
        )
        for lowest, counts, nescaped in found
    )
    return even, odd


def _count_levels(levels: np.ndarray) -> tuple[int, np.ndarray]:
    """Return the lowest level and the counts of it and all above; few enough for a table."""
    lowest = int(levels.min())
    return lowest, np.bincount(levels - lowest)


def _kept_counts(quantiser: Quantiser, ruler: Ruler) -> Counts:
    """Return the frequencies of a quantiser's table as counts."""
    frequencies = quantiser.table.frequencies
    counts = np.zeros(2 * ruler.width + 1, np.int64)
    start = quantiser.lowest - ruler.middle + ruler.width
    counts[start : start + frequencies.size - 1] = frequencies[ESCAPE + 1 :]
    return Counts(counts, int(frequencies[ESCAPE]))


def _find_lost(steps: Steps, kept: Sequence[Counts], ruler: Ruler) -> np.ndarray:
    """Return which values (v,) have levels that are in no table."""
    is_kept = np.stack([counts.levels > 0 for counts in kept])
    at = np.minimum(steps.levels, ruler.width) + ruler.width
    lost: np.ndarray = ~is_kept[steps.labels // 2, at] & (steps.levels != BEYOND)
    return lost


def _number(steps: Steps, quantisers: tuple[Quantiser, Quantiser], ruler: Ruler) -> np.ndarray:
    """Return the symbols of what the paths take."""
    first = np.array([ruler.middle - quantiser.lowest + 1 for quantiser in quantisers])
    of_table = np.array([0, quantisers[0].table.frequencies.size])
    number = steps.labels // 2
    symbols = np.where(steps.levels == BEYOND, ESCAPE, steps.levels + first.take(number))
    return np.asarray(symbols + of_table.take(number))
