"""Layers on their way back from chunks of rANS streams: what all codecs with a grid share.

layer record --checked--> coding: chunk values, layout, grid --allocated--> values
chunks, several side by side --streams, escaped values--> their places in values
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from seedpack.codecs.rans import Stream
from seedpack.codecs.streams import DTYPE_NAMES, check_size, decode_chunks
from seedpack.codecs.values import allocate_values, chunk_counts, forget_chunks
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from seedpack.codecs.base import Partial
    from seedpack.codecs.rans import Layout
    from seedpack.codecs.rans.decoding import RowDecoder
    from seedpack.codecs.streams import Meanings
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class Rules(NamedTuple):
    """What a codec's page calls the same refusals."""

    dtype: str  # values that it does not store
    level: str  # a level that is not finite
    size: str  # a chunk too short or too long
    escapes: str  # not exactly the escaped values behind a stream


class GridDecoder(ABC):
    """One layer on its way back."""

    codec: ClassVar[str]
    rules: ClassVar[Rules]

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated.

        Raises:
            CodecError: One of ``rules``; what ``_read`` raises.
        """
        where = f"layer {layer.name}"
        if dtype.name not in DTYPE_NAMES or not layer.finite:
            message = f"{self.codec} stores finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule=self.rules.dtype, where=where)
        self._dtype = dtype
        self._chunk_values, self._layout, meanings = self._read(layer, where)
        if meanings is None:
            raise CodecError("level that is not finite", rule=self.rules.level, where=where)
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            self._check_size(chunk.stored_nbytes, count, f"{where}[{index}]")
        self._layer, self._meanings = layer, meanings
        self._values = allocate_values(layer, dtype)

    @abstractmethod
    def _read(self, layer: Layer, where: str) -> tuple[int, Layout, Meanings | None]:
        """Return values per chunk, layout, and meanings; None: a level is not finite."""

    @abstractmethod
    def _coder(self, nlanes: int) -> RowDecoder:
        """Return what decodes rows of so many lanes; called anew for every batch."""

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
        coder = self._coder(len(streams) * self._layout.lanes(streams[0].out.size))
        decode_chunks(streams, coder, self._layout, self._meanings, rule=self.rules.escapes)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where a chunk is lost."""
        return forget_chunks(self._values, self._chunk_values, lost)

    def _check_size(self, stored_nbytes: int, nvalues: int, where: str) -> None:
        layout, dtype = self._layout, self._dtype
        check_size(stored_nbytes, nvalues, layout, dtype, rule=self.rules.size, where=where)
