"""Codec ``init``: values that a random number generator gave (spec/codecs/init.md).

    params = {seed, scale}     chunks = none
    value i = f32(unit(word(seed, i)) * scale), then nearest in the layer's dtype

What was never trained (a frozen random projection) costs its seed, and is exact.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import store_float32
from seedpack.codecs.prng import units, words
from seedpack.codecs.values import allocate_values, check_finite, refuse_chunks
from seedpack.errors import CodecError
from seedpack.limits import MAX_INTEGER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_DTYPES: Final = frozenset({"bfloat16", "float16", "float32"})
_SCALE: Final = struct.Struct("<f")
_MIN_SCALE: Final = 2.0**-100  # COD-INI-3: no product is subnormal
_MAX_SCALE: Final = (2 - 2.0**-23) * 2.0**127  # the largest float32
_BLOCK: Final = 1 << 16  # values made together
_SEEDS_TRIED: Final = 256
_LOOK: Final = 8  # values that tell whether a seed is worth a look at all of them
_ULPS: Final = 2  # a scale found by dividing is off by fewer


class InitCodec:
    """Lossless; declines values that are not those of a seed."""

    id: Final = "init"

    def __init__(self, seed: int | None = None, scale: float | None = None) -> None:
        """Take the values' seed and scale; by default they are looked for."""
        if seed is not None and not 0 <= seed <= MAX_INTEGER:
            raise ValueError(f"seed {seed!r} is not 0 to 2^63 - 1")
        if scale is not None and not _is_scale(scale):
            raise ValueError(f"scale {scale!r} is no float32 of 2^-100 or more")
        self._seeds = range(_SEEDS_TRIED) if seed is None else range(seed, seed + 1)
        self._scale = scale

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where the values are not a seed's."""
        del chunk_raw_nbytes  # there is none
        if dtype.name not in _DTYPES or not values.size:
            return None
        for seed, scale in self._candidates(values, dtype):
            if make_values(seed, scale, values.size, dtype).tobytes() == values.tobytes():
                return Encoded(self.id, {"scale": _SCALE.pack(scale), "seed": seed}, [])
        return None

    def decoder(self, layer: Layer, dtype: DType) -> InitDecoder:
        """Check COD-INI-1 to COD-INI-3 and CHK-3, and allocate the values."""
        return InitDecoder(layer, dtype)

    def _candidates(self, values: np.ndarray, dtype: DType) -> Iterator[tuple[int, float]]:
        """Yield seeds and scales that give the first values."""
        first = values[:_LOOK]
        for seed in self._seeds:
            for scale in self._scales(first, seed, dtype):
                made = make_values(seed, scale, first.size, dtype)
                if _is_scale(scale) and made.tobytes() == first.tobytes():
                    yield seed, scale

    def _scales(self, first: np.ndarray, seed: int, dtype: DType) -> list[float]:
        if self._scale is not None:
            return [self._scale]
        if dtype.name != "float32":
            return []  # many scales round to the same first values
        drawn = units(words(seed, 0, first.size))
        most = int(np.abs(drawn).argmax())
        with np.errstate(all="ignore"):  # values may be anything
            bits = int((first[most] / drawn[most]).view(np.uint32)) & 0x7FFFFFFF
        near = np.array([bits + d for d in range(-_ULPS, _ULPS + 1) if bits + d >= 0], np.uint32)
        return [scale for scale in near.view(np.float32).tolist() if _is_scale(scale)]


CODEC: Final = InitCodec()


def configure(settings: Mapping[str, float]) -> InitCodec:
    """Return the codec for values of which ``seed``, ``scale`` or both are known.

    Raises:
        ValueError: Another setting, or one out of range (wrong call).
    """
    if not settings.keys() <= {"scale", "seed"}:
        raise ValueError(f"init has the settings scale and seed, not {sorted(settings)}")
    seed = settings.get("seed")
    if seed is not None and seed != int(seed):
        raise ValueError(f"seed {seed!r} is no integer")
    return InitCodec(None if seed is None else int(seed), settings.get("scale"))


def make_values(seed: int, scale: float, count: int, dtype: DType) -> np.ndarray:
    """Return the first ``count`` values (COD-INI-4), of the dtype's storage type.

    Args:
        seed: 0 to 2^63 - 1.
        scale: A float32 of 2^-100 or more; values are in [-scale, scale).
        count: 0 or more.
        dtype: float16, bfloat16 or float32.
    """
    out = np.empty(count, dtype.storage)
    _fill(out, seed, scale, dtype)
    return out


def _fill(out: np.ndarray, seed: int, scale: float, dtype: DType) -> None:
    for start in range(0, out.size, _BLOCK):
        block = out[start : start + _BLOCK]
        products = units(words(seed, start, block.size))
        products *= np.float32(scale)
        store_float32(products, block, dtype)


def _is_scale(scale: float) -> bool:
    return _MIN_SCALE <= scale <= _MAX_SCALE and float(np.float32(scale)) == scale


class InitDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in _DTYPES or not layer.finite:
            message = f"init makes finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-INI-1", where=where)
        match layer.params:
            case {"scale": bytes(packed), "seed": int(seed), **others} if not others:
                self._seed = seed
            case _:
                message = "params of codec init are not scale and seed"
                raise CodecError(message, rule="COD-INI-2", where=where)
        if len(packed) != _SCALE.size or not _is_scale(_SCALE.unpack(packed)[0]):
            raise CodecError("scale below 2^-100 or no number", rule="COD-INI-3", where=where)
        refuse_chunks(layer)
        self._scale: float = _SCALE.unpack(packed)[0]
        self._layer, self._dtype = layer, dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Do nothing: a layer with a chunk was refused."""

    def finish(self) -> np.ndarray:
        """Return the values."""
        _fill(self._values, self._seed, self._scale, self._dtype)
        check_finite(self._values, self._dtype, f"layer {self._layer.name}")
        return self._values
