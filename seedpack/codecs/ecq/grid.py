"""The grid of a layer: its levels, what they decode to, and its params in the manifest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.rans import CodeTable, Layout
from seedpack.codecs.streams import ESCAPE, are_finite, is_step, level_words
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer, Params
    from seedpack.dtypes import DType

MAX_LEVEL: Final = 1 << 23  # COD-ECQ-4: exact in float32

_STEP: Final = struct.Struct("<f")
_LOWEST: Final = struct.Struct("<i")


class Grid(NamedTuple):
    """What the symbols of a layer stand for, and how often each occurs."""

    step: float  # a float32
    lowest: int  # level of symbol 1; symbol 0 escapes
    table: CodeTable

    def symbols_of(self, levels: np.ndarray) -> np.ndarray:
        """Return the symbols (v,) of levels (v,), the escape where there is none."""
        symbols: np.ndarray = levels - (self.lowest - 1)
        symbols[(symbols < 0) | (symbols >= self.table.frequencies.size)] = ESCAPE
        is_unused = self.table.frequencies == 0
        if is_unused[ESCAPE + 1 :].any():
            symbols[is_unused.take(symbols)] = ESCAPE
        return symbols

    def words(self, dtype: DType) -> np.ndarray:
        """Return the bits of what each symbol decodes to; a NaN's for the escape."""
        levels = np.arange(self.lowest - 1, self.lowest - 1 + self.table.frequencies.size)
        return level_words(levels, self.step, dtype)

    def is_finite(self, dtype: DType) -> bool:
        """Return whether all levels that occur decode to finite values."""
        return are_finite(self.words(dtype), self.table.frequencies, dtype)


def are_levels(lowest: int, nlevels: int) -> bool:
    """Return whether all of ``nlevels`` levels are within 2^23 of zero."""
    return lowest >= -MAX_LEVEL and lowest + nlevels - 1 <= MAX_LEVEL


class Coding(NamedTuple):
    """All params of a layer."""

    chunk_values: int
    layout: Layout
    grid: Grid

    def pack(self) -> Params:
        """Return the params of the layer record."""
        return {
            "chunk_values": self.chunk_values,
            "lane_values": self.layout.lane_values,
            "lowest": _LOWEST.pack(self.grid.lowest),
            "table": self.grid.table.pack(),
            "step": _STEP.pack(self.grid.step),
            "tail_rows": self.layout.tail_rows,
        }


def read_coding(layer: Layer, where: str) -> Coding:
    """Return the params of a layer.

    Raises:
        CodecError: COD-ECQ-2 to COD-ECQ-4, COD-RANS-1 or COD-RANS-2.
    """
    match layer.params:
        case {
            "chunk_values": int(chunk_values),
            "lane_values": int(lane_values),
            "lowest": bytes(lowest),
            "table": bytes(packed),
            "step": bytes(step),
            "tail_rows": int(tail_rows),
            **others,
        } if chunk_values >= 1 and len(lowest) == _LOWEST.size and not others:
            layout = Layout(lane_values, tail_rows)
        case _:
            message = "params of codec ecq are not those of its page"
            raise CodecError(message, rule="COD-ECQ-2", where=where)
    layout.check(where)
    if len(step) != _STEP.size or not is_step(_STEP.unpack(step)[0]):
        raise CodecError("step is no positive normal number", rule="COD-ECQ-3", where=where)
    grid = Grid(_STEP.unpack(step)[0], _LOWEST.unpack(lowest)[0], CodeTable.unpack(packed, where))
    _check_levels(grid, where)
    return Coding(chunk_values, layout, grid)


def _check_levels(grid: Grid, where: str) -> None:
    of_levels = grid.table.frequencies[ESCAPE + 1 :]
    if not of_levels.size or not (of_levels[0] and of_levels[-1]):
        message = "table without levels, or whose first or last does not occur"
        raise CodecError(message, rule="COD-ECQ-4", where=where)
    if not are_levels(grid.lowest, of_levels.size):
        message = f"levels {grid.lowest} to {grid.lowest + of_levels.size - 1}"
        raise CodecError(message, rule="COD-ECQ-4", where=where)
