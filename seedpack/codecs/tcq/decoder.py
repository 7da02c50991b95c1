"""Stored chunks -> values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.codecs.rans import Stream, SwitchedTables
from seedpack.codecs.streams import DTYPE_NAMES, Meanings, check_size, decode_chunks
from seedpack.codecs.tcq.grid import read_coding
from seedpack.codecs.tcq.trellis import TRELLIS
from seedpack.codecs.values import allocate_values, chunk_counts, forget_chunks
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from seedpack.codecs.base import Partial
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class TcqDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in DTYPE_NAMES or not layer.finite:
            message = f"tcq stores finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-TCQ-1", where=where)
        self._chunk_values, self._layout, grid = read_coding(layer, where)
        if not grid.is_finite(dtype):
            raise CodecError("level that is not finite", rule="COD-TCQ-4", where=where)
        self._dtype = dtype
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            self._check_size(chunk.stored_nbytes, count, f"{where}[{index}]")
        self._layer = layer
        self._table = grid.joint_table()
        self._inputs = grid.slot_inputs()
        self._meanings = Meanings(grid.meanings(dtype), dtype, grid.has_escapes())
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        self.decode_batch(range(index, index + 1), [stored])

    def batches(self) -> list[range]:
        """Return which chunks to decode together."""
        return self._layout.batches(self._values.size, self._chunk_values)

    def decode_batch(self, batch: range, stored: Sequence[memoryview]) -> None:
        """Decode the chunks of a batch, or of a part of one, into their places."""
        streams = []
        for index, one in zip(batch, stored, strict=True):
            start, where = index * self._chunk_values, f"layer {self._layer.name}[{index}]"
            out = self._values[start : start + self._chunk_values]
            self._check_size(len(one), out.size, where)
            streams.append(Stream(one, out.view(self._meanings.words.dtype), where))
        # Lanes remember states of the trellis, so that each call needs its own.
        lanes = len(streams) * self._layout.lanes(streams[0].out.size)
        decoder = SwitchedTables(self._table, self._inputs, TRELLIS, lanes)
        layout, meanings = self._layout, self._meanings
        decode_chunks(streams, decoder, layout, meanings, rule="COD-TCQ-6")

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where a chunk is lost."""
        return forget_chunks(self._values, self._chunk_values, lost)

    def _check_size(self, stored_nbytes: int, nvalues: int, where: str) -> None:
        layout, dtype = self._layout, self._dtype
        check_size(stored_nbytes, nvalues, layout, dtype, rule="COD-TCQ-5", where=where)
