"""Stored chunks -> values: one table for all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from seedpack.codecs.ecq.grid import read_coding
from seedpack.codecs.griddecoder import GridDecoder, Rules
from seedpack.codecs.rans import OneTable
from seedpack.codecs.streams import ESCAPE, Meanings

if TYPE_CHECKING:
    from seedpack.codecs.rans import Layout
    from seedpack.container.manifest import Layer


class EcqDecoder(GridDecoder):
    """One layer on its way back."""

    codec: ClassVar[str] = "ecq"
    rules: ClassVar[Rules] = Rules(
        dtype="COD-ECQ-1", level="COD-ECQ-4", size="COD-ECQ-5", escapes="COD-ECQ-6"
    )

    def _read(self, layer: Layer, where: str) -> tuple[int, Layout, Meanings | None]:
        chunk_values, layout, grid = read_coding(layer, where)
        if not grid.is_finite(self._dtype):
            return chunk_values, layout, None
        self._table = OneTable(grid.table)  # without state, so free to share among threads
        words = grid.table.spread(grid.words(self._dtype))
        has_escapes = bool(grid.table.frequencies[ESCAPE])
        return chunk_values, layout, Meanings(words, self._dtype, has_escapes)

    def _coder(self, nlanes: int) -> OneTable:
        del nlanes
        return self._table
