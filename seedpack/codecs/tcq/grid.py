"""The two quantisers of a layer, what their symbols decode to, and its params in the manifest."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.rans import CodeTable, JointTable, Layout
from seedpack.codecs.streams import ESCAPE, are_finite, is_step, level_words
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer, Params
    from seedpack.dtypes import DType

MAX_LEVEL: Final = 1 << 24  # COD-TCQ-4: exact in float32

_STEP: Final = struct.Struct("<f")
_LOWEST: Final = struct.Struct("<i")


class Quantiser(NamedTuple):
    """What the symbols of one table stand for, and how often each occurs."""

    lowest: int  # k of symbol 1; symbol 0 escapes
    table: CodeTable

    def ks(self) -> np.ndarray:
        """Return k of each symbol (symbols,); the escape's means nothing but is even."""
        ks = np.arange(self.lowest - 1, self.lowest - 1 + self.table.frequencies.size)
        ks[ESCAPE] = 0
        return ks


class Grid(NamedTuple):
    """Levels and frequencies of a layer."""

    half_step: float  # a float32, between neighbouring levels of both quantisers together
    quantisers: tuple[Quantiser, Quantiser]  # of the even levels 2 k, of the odd ones 2 k + 1

    def words(self, dtype: DType) -> list[np.ndarray]:
        """Return the bits of what each symbol of each quantiser decodes to."""
        return [
            level_words(2 * quantiser.ks() + number, self.half_step, dtype)
            for number, quantiser in enumerate(self.quantisers)
        ]

    def meanings(self, dtype: DType) -> np.ndarray:
        """Return what each slot of both tables (8192,) decodes to."""
        pairs = zip(self.quantisers, self.words(dtype), strict=True)
        return np.concatenate([quantiser.table.spread(words) for quantiser, words in pairs])

    def slot_inputs(self) -> np.ndarray:
        """Return k mod 2 of each slot of both tables (8192,)."""
        return np.concatenate([each.table.spread(each.ks() & 1) for each in self.quantisers])

    def joint_table(self) -> JointTable:
        """Return both tables as one."""
        return JointTable([quantiser.table for quantiser in self.quantisers])

    def has_escapes(self) -> bool:
        """Return whether either table has an escape that occurs."""
        return any(quantiser.table.frequencies[ESCAPE] > 0 for quantiser in self.quantisers)

    def has_levels_in_range(self) -> bool:
        """Return whether all levels are within 2^24 of zero."""
        return all(
            2 * quantiser.lowest + number >= -MAX_LEVEL
            and 2 * (quantiser.lowest + quantiser.table.frequencies.size - 2) + number <= MAX_LEVEL
            for number, quantiser in enumerate(self.quantisers)
        )

    def is_finite(self, dtype: DType) -> bool:
        """Return whether all levels that occur decode to finite values."""
        pairs = zip(self.quantisers, self.words(dtype), strict=True)
        return all(are_finite(words, each.table.frequencies, dtype) for each, words in pairs)


class Coding(NamedTuple):
    """All params of a layer."""

    chunk_values: int
    layout: Layout
    grid: Grid

    def pack(self) -> Params:
        """Return the params of the layer record."""
        even, odd = self.grid.quantisers
        return {
            "chunk_values": self.chunk_values,
            "half_step": _STEP.pack(self.grid.half_step),
            "lane_values": self.layout.lane_values,
            "lowest_even": _LOWEST.pack(even.lowest),
            "lowest_odd": _LOWEST.pack(odd.lowest),
            "table_even": even.table.pack(),
            "table_odd": odd.table.pack(),
            "tail_rows": self.layout.tail_rows,
        }


def read_coding(layer: Layer, where: str) -> Coding:
    """Return the params of a layer.

    Raises:
        CodecError: COD-TCQ-2 to COD-TCQ-4, COD-RANS-1 or COD-RANS-2.
    """
    match layer.params:
        case {
            "chunk_values": int(chunk_values),
            "half_step": bytes(half_step),
            "lane_values": int(lane_values),
            "lowest_even": bytes(lowest_even),
            "lowest_odd": bytes(lowest_odd),
            "table_even": bytes(table_even),
            "table_odd": bytes(table_odd),
            "tail_rows": int(tail_rows),
            **others,
        } if chunk_values >= 1 and len(lowest_even) == len(lowest_odd) == 4 and not others:  # noqa: PLR2004 -- bytes of an i32
            layout = Layout(lane_values, tail_rows)
        case _:
            message = "params of codec tcq are not those of its page"
            raise CodecError(message, rule="COD-TCQ-2", where=where)
    layout.check(where)
    if len(half_step) != _STEP.size or not is_step(_STEP.unpack(half_step)[0]):
        raise CodecError("half step is no positive normal number", rule="COD-TCQ-3", where=where)
    even = Quantiser(_LOWEST.unpack(lowest_even)[0], CodeTable.unpack(table_even, where))
    odd = Quantiser(_LOWEST.unpack(lowest_odd)[0], CodeTable.unpack(table_odd, where))
    grid = Grid(_STEP.unpack(half_step)[0], (even, odd))
    _check_levels(grid, where)
    return Coding(chunk_values, layout, grid)


def _check_levels(grid: Grid, where: str) -> None:
    for quantiser in grid.quantisers:
        of_levels = quantiser.table.frequencies[ESCAPE + 1 :]
        if not of_levels.size or not (of_levels[0] and of_levels[-1]):
            message = "table without levels, or whose first or last does not occur"
            raise CodecError(message, rule="COD-TCQ-4", where=where)
    if not grid.has_levels_in_range():
        raise CodecError("level beyond 2^24", rule="COD-TCQ-4", where=where)
