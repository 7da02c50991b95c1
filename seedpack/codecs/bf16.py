"""Codec ``bf16``: values rounded to bfloat16, stored as ``raw`` stores those (spec/codecs/bf16.md).

value --nearest bfloat16--> chunk of raw, exponent plane entropy coded --exact--> value
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import round_bfloat16, store_float32, to_float32, widen_bfloat16
from seedpack.codecs.raw import check_stored_size, decode_values, encode_values, saves
from seedpack.codecs.values import (
    all_finite,
    allocate_values,
    check_finite,
    chunk_counts,
    forget_chunks,
    read_params,
)
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection

    from seedpack.codecs.base import Partial
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_PARAMS: Final = frozenset({"chunk_values"})
_DTYPE_NAMES: Final = frozenset({"float16", "float32"})
_STORED: Final = DTYPES["bfloat16"]


class Bf16Codec:
    """Near-lossless: |x - x'| is at most 2^-8 |x|, or 2^-134 (COD-BF16-4)."""

    id: Final = "bf16"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where a value would overflow, or raw is no larger."""
        if dtype.name not in _DTYPE_NAMES or not all_finite(values, dtype):
            return None
        rounded = round_bfloat16(to_float32(values, dtype))
        decoded = np.empty_like(values)
        store_float32(widen_bfloat16(rounded), decoded, dtype)
        if not all_finite(decoded, dtype):
            return None
        chunk_values = chunk_raw_nbytes // dtype.itemsize
        chunks = [
            encode_values(rounded[start : start + chunk_values], _STORED)
            for start in range(0, rounded.size, chunk_values)
        ]
        encoded = Encoded(self.id, {"chunk_values": chunk_values}, chunks)
        is_worth_it = saves(encoded, values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if is_worth_it else None

    def decoder(self, layer: Layer, dtype: DType) -> Bf16Decoder:
        """Check COD-BF16-1, COD-BF16-2, COD-RAW-2, CHK-1 and CHK-3, and allocate the values."""
        return Bf16Decoder(layer, dtype)


CODEC: Final = Bf16Codec()


class Bf16Decoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in _DTYPE_NAMES or not layer.finite:
            message = f"bf16 stores finite float16 or float32, not {dtype.name}"
            raise CodecError(message, rule="COD-BF16-1", where=where)
        self._chunk_values = read_params(layer, _PARAMS, rule="COD-BF16-2")["chunk_values"]
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            check_stored_size(chunk.stored_nbytes, count, _STORED, f"{where}[{index}]")
        self._layer, self._dtype = layer, dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place (COD-BF16-3)."""
        start = index * self._chunk_values
        out = self._values[start : start + self._chunk_values]
        where = f"layer {self._layer.name}[{index}]"
        rounded = np.empty(out.size, _STORED.storage)
        decode_values(stored, rounded, _STORED, where)
        check_finite(rounded, _STORED, where)
        store_float32(widen_bfloat16(rounded), out, self._dtype)
        check_finite(out, self._dtype, where)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where a chunk is lost."""
        return forget_chunks(self._values, self._chunk_values, lost)
