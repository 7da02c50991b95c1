"""Stored chunks -> values: the table of a row's symbol is that of its trellis state."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from seedpack.codecs.griddecoder import GridDecoder, Rules
from seedpack.codecs.rans import SwitchedTables
from seedpack.codecs.streams import Meanings
from seedpack.codecs.tcq.grid import read_coding
from seedpack.codecs.tcq.trellis import TRELLIS

if TYPE_CHECKING:
    from seedpack.codecs.rans import Layout
    from seedpack.container.manifest import Layer


class TcqDecoder(GridDecoder):
    """One layer on its way back."""

    codec: ClassVar[str] = "tcq"
    rules: ClassVar[Rules] = Rules(
        dtype="COD-TCQ-1", level="COD-TCQ-4", size="COD-TCQ-5", escapes="COD-TCQ-6"
    )

    def _read(self, layer: Layer, where: str) -> tuple[int, Layout, Meanings | None]:
        chunk_values, layout, grid = read_coding(layer, where)
        if not grid.is_finite(self._dtype):
            return chunk_values, layout, None
        self._table, self._inputs = grid.joint_table(), grid.slot_inputs()
        words = grid.meanings(self._dtype)
        return chunk_values, layout, Meanings(words, self._dtype, grid.has_escapes())

    def _coder(self, nlanes: int) -> SwitchedTables:
        # Lanes remember states of the trellis, so that each batch needs its own.
        return SwitchedTables(self._table, self._inputs, TRELLIS, nlanes)
