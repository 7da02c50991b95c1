"""Values <-> chunks of trained numbers; how these are made well is ``seedpack.training``'s."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import round_bfloat16, store_float32, to_float32, widen_bfloat16
from seedpack.codecs.numbers.form import (
    CHUNK_VALUES,
    MAX_BITS,
    Form,
    MakeMixing,
    count_numbers,
    expand,
    is_number,
    join_chunk,
    split_chunk,
)
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.values import all_finite, allocate_values, check_finite, chunk_counts
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})
_BITS: Final = 4
_SHARED_BY: Final = 16.0  # values per number
_BOUND: Final = 2.02  # times the largest magnitude: no error of an untrained chunk is larger
_SMALLEST: Final = 2.0**-40  # of the largest magnitude, so that every step is in range


class NumbersCodec:
    """A control arm for values that exist already: |x - x'| <= 2.02 max |x| (COD-HASH-8)."""

    def __init__(
        self,
        codec_id: str,
        make: MakeMixing,
        bits: int = _BITS,
        shared_by: float = _SHARED_BY,
    ) -> None:
        """Take the codec's map, bits per number, 1 to 8, and values per number, 1 or more."""
        if not 1 <= bits <= MAX_BITS or not 1 <= shared_by <= CHUNK_VALUES:
            raise ValueError(f"{bits} bits, numbers shared by {shared_by} values")
        self.id = codec_id
        self.make_mixing = make
        self._bits = bits
        self._shared_by = shared_by

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the nearest numbers by least squares; None where they save nothing or are far."""
        if dtype.name not in _DTYPE_NAMES or not values.size or not all_finite(values, dtype):
            return None
        exact = to_float32(values, dtype)
        if not is_number(float(np.abs(exact).max())):
            return None
        parts = [
            exact[start : start + CHUNK_VALUES] for start in range(0, exact.size, CHUNK_VALUES)
        ]
        chunks = [self._project(part, index) for index, part in enumerate(parts)]
        encoded = Encoded(self.id, {}, chunks)
        if encoded.stored_nbytes >= values.nbytes or not self._is_close(parts, chunks, dtype):
            return None
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if encoded.stored_nbytes < lossless.stored_nbytes else None

    def decoder(self, layer: Layer, dtype: DType) -> NumbersDecoder:
        """Check COD-HASH-1, COD-HASH-2 and CHK-3, and allocate the values."""
        return NumbersDecoder(self, layer, dtype)

    def decode(self, stored: memoryview, nvalues: int, where: str) -> np.ndarray:
        """Return the float32 values (v,) of one chunk.

        Raises:
            CodecError: COD-HASH-3 to COD-HASH-6.
        """
        form, codes = split_chunk(stored, nvalues, where)
        return expand(form, codes, nvalues, self.make_mixing)

    def _is_close(self, parts: list[np.ndarray], chunks: list[bytes], dtype: DType) -> bool:
        """Return whether chunks decode to finite values within the bound (COD-HASH-8, COD-FF-2)."""
        most = _BOUND * max(float(np.abs(part).max()) for part in parts)
        for part, chunk in zip(parts, chunks, strict=True):
            decoded = self.decode(memoryview(chunk), part.size, "tensor")
            rounded = np.empty(part.size, dtype.storage)
            store_float32(decoded, rounded, dtype)
            # In float64, where no difference of float32 values overflows.
            error = np.abs(part - decoded.astype(np.float64)).max()
            if error > most or not all_finite(rounded, dtype):
                return False
        return True

    def _project(self, values: np.ndarray, key: int) -> bytes:
        """Return the chunk nearest to float32 values (v,), but for the rounding to levels."""
        wanted = max(round(values.size / self._shared_by), 1)
        count = count_numbers(-(-wanted * self._bits // 8), self._bits, values.size)
        numbers = values.astype(np.float64)
        if count < values.size:
            mixing = self.make_mixing(key % (1 << 16), count, values.size)
            numbers = mixing.gather(numbers) / np.maximum(mixing.uses, 1)
        highest = (1 << self._bits) - 1
        floor = float(np.abs(values).max()) * _SMALLEST
        step = _round_up(max(float(np.abs(numbers).max()) / highest, floor, 2.0**-64))
        codes = np.clip(np.floor(numbers / (2 * step)) + (highest + 1) // 2, 0, highest)
        key_or_none = key % (1 << 16) if count < values.size else None
        return join_chunk(Form(self._bits, step, key=key_or_none), codes.astype(np.int32))


def _round_up(value: float) -> float:
    """Return the least bfloat16 that is at least ``value``."""
    bits = round_bfloat16(np.array([value], np.float32))
    if float(widen_bfloat16(bits)[0]) < value:
        bits += np.uint16(1)
    return float(widen_bfloat16(bits)[0])


def configured(codec: NumbersCodec, settings: Mapping[str, float]) -> NumbersCodec:
    """Return ``codec`` with settings ``bits`` and ``shared_by``.

    Raises:
        ValueError: Another setting, or a value out of range.
    """
    if not settings.keys() <= {"bits", "shared_by"}:
        message = f"settings of {codec.id} are bits and shared_by, given {sorted(settings)}"
        raise ValueError(message)
    bits, shared_by = int(settings.get("bits", _BITS)), settings.get("shared_by", _SHARED_BY)
    return NumbersCodec(codec.id, codec.make_mixing, bits, shared_by)


class NumbersDecoder:
    """One layer on its way back."""

    def __init__(self, codec: NumbersCodec, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in _DTYPE_NAMES or not layer.finite:
            message = f"{codec.id} stores finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-HASH-1", where=where)
        if layer.params:
            raise CodecError(f"codec {codec.id} has no params", rule="COD-HASH-2", where=where)
        chunk_counts(layer, dtype, CHUNK_VALUES)
        self._codec = codec
        self._layer = layer
        self._dtype = dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        where = f"layer {self._layer.name}[{index}]"
        out = self._values[index * CHUNK_VALUES : (index + 1) * CHUNK_VALUES]
        store_float32(self._codec.decode(stored, out.size, where), out, self._dtype)
        check_finite(out, self._dtype, where)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values
