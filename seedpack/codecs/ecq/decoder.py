"""Stored chunks -> values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.ecq.grid import ESCAPE, escape_word, read_coding
from seedpack.codecs.rans import decode_lanes
from seedpack.codecs.rans.layouts import STATE_NBYTES, WORD_NBYTES
from seedpack.codecs.values import allocate_values, check_finite, chunk_counts
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.codecs.rans import Layout
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})


class EcqDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in DTYPE_NAMES or not layer.finite:
            message = f"ecq stores finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-ECQ-1", where=where)
        self._chunk_values, self._layout, grid = read_coding(layer, where)
        if not grid.is_finite(dtype):
            raise CodecError("level that is not finite", rule="COD-ECQ-4", where=where)
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            _check_size(chunk.stored_nbytes, count, self._layout, dtype, f"{where}[{index}]")
        self._layer = layer
        self._dtype = dtype
        self._table = grid.table
        self._meanings = grid.table.spread(grid.words(dtype))
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        start = index * self._chunk_values
        out = self._values[start : start + self._chunk_values]
        where = f"layer {self._layer.name}[{index}]"
        _check_size(len(stored), out.size, self._layout, self._dtype, where)
        words = out.view(self._meanings.dtype)
        stream_nbytes = decode_lanes(
            stored, self._table, self._layout, meanings=self._meanings, out=words, where=where
        )
        self._place_escapes(stored[stream_nbytes:], words, where)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def _place_escapes(self, stored: memoryview, words: np.ndarray, where: str) -> None:
        """Put the verbatim values where the stream escaped."""
        has_escapes = self._table.frequencies[ESCAPE] > 0
        escaped = np.flatnonzero(words == escape_word(self._dtype)) if has_escapes else ()
        if len(stored) != len(escaped) * self._dtype.itemsize:
            message = f"{len(stored)} bytes for {len(escaped)} escaped values"
            raise CodecError(message, rule="COD-ECQ-6", where=where)
        if len(escaped):
            verbatim = np.frombuffer(stored, self._dtype.storage)
            check_finite(verbatim, self._dtype, where)
            words[escaped] = verbatim.view(words.dtype)


def _check_size(stored_nbytes: int, nvalues: int, layout: Layout, dtype: DType, where: str) -> None:
    """Refuse a chunk too short for its lanes, or longer than all values escaped (COD-ECQ-5)."""
    smallest = STATE_NBYTES * layout.lanes(nvalues)
    if not smallest <= stored_nbytes <= smallest + (WORD_NBYTES + dtype.itemsize) * nvalues:
        message = f"chunk of {stored_nbytes} bytes for {nvalues} values"
        raise CodecError(message, rule="COD-ECQ-5", where=where)
