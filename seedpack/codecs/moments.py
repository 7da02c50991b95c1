"""Codec ``moments``: mean and spread of a tensor, and noise (spec/codecs/moments.md).

An arm of comparisons: it keeps nothing of what a model knows.

    noise(i) = sum of the four 16-bit quarters of word(seed, i), less 131,070
    value i = f32(f32(noise(i) * scale) + mean), then nearest in the layer's dtype
"""

from __future__ import annotations

import math
import struct
import zlib
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.prng import words
from seedpack.codecs.values import all_finite, allocate_values, check_finite, refuse_chunks
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer, Params
    from seedpack.dtypes import DType

_DTYPES: Final = frozenset({"bfloat16", "float16", "float32"})
_FLOAT: Final = struct.Struct("<f")
_MIN: Final = 2.0**-100  # COD-MOM-3: no product or sum is subnormal
_MAX: Final = 2.0**100
_BLOCK: Final = 1 << 16  # values made together
_QUARTERS: Final = 4
_MIDDLE: Final = _QUARTERS * 0xFFFF // 2  # mean of the sum of the quarters
# Of the sum: each quarter has the variance (2^32 - 1) / 12.
_SPREAD: Final = math.sqrt(_QUARTERS * ((1 << 32) - 1) / 12)


class MomentsCodec:
    """Lossy, and without a bound on the error of a value."""

    id: Final = "moments"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where the moments are none of this page."""
        del chunk_raw_nbytes  # there is no chunk
        if dtype.name not in _DTYPES or not values.size or not all_finite(values, dtype):
            return None
        exact = to_float32(values, dtype).astype(np.float64)
        mean, scale = (float(np.float32(x)) for x in (exact.mean(), exact.std() / _SPREAD))
        mean = mean if abs(mean) >= _MIN else 0.0
        if not (_is_scale(scale) and abs(mean) <= _MAX):
            return None
        seed = zlib.crc32(values.tobytes())  # so that equal moments are not equal tensors
        if not all_finite(_make(seed, scale, mean, values.size, dtype), dtype):
            return None
        params: Params = {"mean": _FLOAT.pack(mean), "scale": _FLOAT.pack(scale), "seed": seed}
        return Encoded(self.id, params, [])

    def decoder(self, layer: Layer, dtype: DType) -> MomentsDecoder:
        """Check COD-MOM-1 to COD-MOM-3 and CHK-3, and allocate the values."""
        return MomentsDecoder(layer, dtype)


CODEC: Final = MomentsCodec()


def _is_scale(scale: float) -> bool:
    return _MIN <= scale <= _MAX


def _make(seed: int, scale: float, mean: float, count: int, dtype: DType) -> np.ndarray:
    out = np.empty(count, dtype.storage)
    _fill(out, seed, scale, mean, dtype)
    return out


def _fill(out: np.ndarray, seed: int, scale: float, mean: float, dtype: DType) -> None:
    for start in range(0, out.size, _BLOCK):
        block = out[start : start + _BLOCK]
        quarters = words(seed, start, block.size).view(np.uint16).reshape(-1, _QUARTERS)
        noise = quarters.sum(axis=1, dtype=np.int32) - np.int32(_MIDDLE)
        values = noise.astype(np.float32)  # exact: below 2^18
        values *= np.float32(scale)
        values += np.float32(mean)
        store_float32(values, block, dtype)


class MomentsDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in _DTYPES or not layer.finite:
            message = f"moments makes finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-MOM-1", where=where)
        match layer.params:
            case {"mean": bytes(mean), "scale": bytes(scale), "seed": int(seed), **others} if (
                not others and len(mean) == len(scale) == _FLOAT.size
            ):
                self._seed = seed
                (self._mean,), (self._scale,) = _FLOAT.unpack(mean), _FLOAT.unpack(scale)
            case _:
                message = "params of codec moments are not those of its page"
                raise CodecError(message, rule="COD-MOM-2", where=where)
        is_mean = mean == bytes(_FLOAT.size) or _MIN <= abs(self._mean) <= _MAX
        if not (is_mean and _is_scale(self._scale)):
            raise CodecError("mean or scale out of range", rule="COD-MOM-3", where=where)
        refuse_chunks(layer)
        self._layer, self._dtype = layer, dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Do nothing: a layer with a chunk was refused."""

    def finish(self) -> np.ndarray:
        """Return the values (COD-MOM-4)."""
        _fill(self._values, self._seed, self._scale, self._mean, self._dtype)
        check_finite(self._values, self._dtype, f"layer {self._layer.name}")
        return self._values
