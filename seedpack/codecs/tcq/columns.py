"""Lanes that are columns of a matrix, so that columns can be coded one after another.

    values in C order, lanes that divide the columns:  lane j has the columns j, j + lanes, ...

Each lane's path is its own, so that any lane may be chosen after what others lost is known: an
encoder can feed the errors of some columns to the targets of the columns still to come. No reader
knows of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.floats import store_float32
from seedpack.codecs.rans.layouts import MAX_LANE_VALUES, MIN_LANE_VALUES
from seedpack.codecs.streams import DTYPE_NAMES, Cut, is_step, most_chunk_values
from seedpack.codecs.tcq.codec import store_paths
from seedpack.codecs.tcq.grid import Grid
from seedpack.codecs.tcq.menu import BEYOND
from seedpack.codecs.tcq.paths import Steps, Walker, Weights
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from seedpack.codecs.base import Encoded
    from seedpack.dtypes import DType

# A lane costs 15 to 20 bits: 0.03 a value at 600, and 0.1 at 200, half of what a trellis brings.
_GOOD_LANE_VALUES: Final = 600
_LEAST_LANE_VALUES: Final = 200


class Columns(NamedTuple):
    """How the columns of a matrix (rows, width) lie in the lanes of its chunks."""

    rows: int
    width: int
    chunk_rows: int
    lanes: int  # divides the width; of every chunk

    @property
    def nchunks(self) -> int:
        """Number of chunks; the last one may have fewer rows."""
        return -(-self.rows // self.chunk_rows)

    @property
    def together(self) -> int:
        """Columns that share a lane."""
        return self.width // self.lanes

    @property
    def cut(self) -> Cut:
        """Return the same as chunks and lanes."""
        return Cut(self.chunk_rows * self.width, self.chunk_rows * self.together)

    def of_lanes(self, lanes: np.ndarray) -> np.ndarray:
        """Return the columns (n, together) that ``lanes`` (n,) have."""
        columns: np.ndarray = lanes[:, None] + self.lanes * np.arange(self.together)
        return columns


def lay_columns(shape: tuple[int, int], dtype: DType, chunk_raw_nbytes: int) -> Columns | None:
    """Return lanes that are columns; None where none would be as long as a lane should be."""
    rows, width = shape
    if not rows or not width:
        return None
    most = min(most_chunk_values(dtype.itemsize, chunk_raw_nbytes) // width, MAX_LANE_VALUES)
    if not most:
        return None
    best: Columns | None = None
    least = -(-rows // most)
    for nchunks in range(least, least + 4):
        for together in (m for m in range(1, min(width, MAX_LANE_VALUES) + 1) if not width % m):
            found = Columns(rows, width, -(-rows // nchunks), width // together)
            if _is_possible(found) and (best is None or _badness(found) < _badness(best)):
                best = found
    return best


def _is_possible(found: Columns) -> bool:
    lane_values = found.cut.lane_values
    last = found.rows - (found.nchunks - 1) * found.chunk_rows
    return (
        max(_LEAST_LANE_VALUES, MIN_LANE_VALUES) <= lane_values <= MAX_LANE_VALUES
        and found.cut.lanes(last * found.width) == found.lanes
    )


def _badness(found: Columns) -> tuple[bool, int]:
    """Return what is least for lanes just long enough."""
    lane_values = found.cut.lane_values
    is_short = lane_values < _GOOD_LANE_VALUES
    return is_short, -lane_values if is_short else lane_values


class ColumnCoder:
    """Codes a matrix, some lanes at a time."""

    def __init__(
        self, weight: np.ndarray, dtype: DType, step: float, mu: float, columns: Columns
    ) -> None:
        """Learn code lengths from ``weight`` (rows, width), float32 and finite.

        Raises:
            ValueError: A step whose half is no positive normal float32, or another dtype (wrong
                call).
        """
        if not is_step(step / 2) or dtype.name not in DTYPE_NAMES:
            raise ValueError(f"step {step!r} for {dtype.name}")
        self._half_step, self._dtype, self._columns = step / 2, dtype, columns
        self._walker = Walker(weight.ravel(), step / 2, 8 * dtype.itemsize, Weights((mu,)))
        shape = columns.nchunks * columns.chunk_rows, columns.together, columns.lanes
        self._targets = np.zeros(shape, np.float32)
        self._bins = np.empty(shape, np.int32)
        self._steps = Steps(np.empty(shape, np.uint8), np.empty(shape, np.int16))

    def code(self, lanes: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Choose the levels of ``lanes``; return what their values become.

        Args:
            lanes: (n,).
            targets: (n * together, rows) float32, of the columns ``of_lanes(lanes)``.
        """
        columns = self._columns
        nchunks, chunk_rows, together = columns.nchunks, columns.chunk_rows, columns.together
        padded = np.zeros((nchunks * chunk_rows, together, lanes.size), np.float32)
        padded[: columns.rows] = targets.reshape(lanes.size, together, -1).transpose(2, 1, 0)
        bins = self._walker.bins(padded.ravel(), None).reshape(padded.shape)
        bins[columns.rows :] = -1  # no value
        # (chunks, rows of lanes, n) -> (rows of lanes, chunks * n): a path in each chunk
        grid = bins.reshape(nchunks, chunk_rows * together, -1).transpose(1, 0, 2)
        steps = self._walker.walk(np.ascontiguousarray(grid.reshape(chunk_rows * together, -1)))
        labels, levels = (
            each.reshape(-1, nchunks, lanes.size).transpose(1, 0, 2).reshape(padded.shape)
            for each in steps
        )
        self._targets[:, :, lanes], self._bins[:, :, lanes] = padded, bins
        self._steps.labels[:, :, lanes], self._steps.levels[:, :, lanes] = labels, levels
        values = np.where(levels == BEYOND, padded, self._walker.ruler.values(labels, levels))
        return values[: columns.rows].transpose(2, 1, 0).reshape(targets.shape)

    def finish(self, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form, once all lanes are coded; None where raw takes no more."""
        nvalues = self._columns.rows * self._columns.width
        bins = self._bins.reshape(-1)[:nvalues]
        steps = Steps(*(each.reshape(-1)[:nvalues] for each in self._steps))
        # A lane found anew now would lose what others have made up for.
        paths = self._walker.finish(bins, steps, self._columns.cut, is_final=True)
        grid = Grid(self._half_step, paths.quantisers)
        values = np.empty(nvalues, self._dtype.storage)
        store_float32(self._targets.reshape(-1)[:nvalues], values, self._dtype)
        if not all_finite(values, self._dtype):  # errors of others can outgrow 16 bits
            return None
        return store_paths(
            values, self._dtype, grid, paths, self._columns.cut, chunk_raw_nbytes=chunk_raw_nbytes
        )
