"""Codec ``pca``: a mean and few components, in 8 bits (spec/codecs/pca.md).

An arm of comparisons: at the sizes it is made for, it keeps nothing of what a model knows.

    value = f32(scores @ components) * scale + f32(mean) * mean_scale, then nearest in the dtype
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq import encode_integers
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.lowrank.decoder import DTYPE_NAMES
from seedpack.codecs.lowrank.factors import (
    MAX_CODE,
    MAX_RANK,
    SCALE,
    Factors,
    add_product,
    check_codes,
    codes_decoder,
    codes_part,
    find_factors,
    is_scale,
    matrix_shape,
    read_scale,
)
from seedpack.codecs.parts import prefixed
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.values import all_finite, allocate_values, check_finite
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_DEFAULT_COMPONENTS: Final = 10


class PcaCodec:
    """Lossy, and without a bound on the error of a value."""

    id: Final = "pca"

    def __init__(self, components: int = _DEFAULT_COMPONENTS, shape: tuple[int, ...] = ()) -> None:
        """Take the number of components."""
        if not 1 <= components <= MAX_RANK:
            raise ValueError(f"components {components!r} are not 1 to {MAX_RANK}")
        self._components, self._shape = components, shape

    def for_shape(self, shape: tuple[int, ...]) -> PcaCodec:
        """Return the codec for tensors of this shape."""
        return PcaCodec(self._components, shape)

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        sides = matrix_shape(self._shape)
        if dtype.name not in DTYPE_NAMES or sides is None or not all_finite(values, dtype):
            return None
        matrix = to_float32(values, dtype).reshape(sides).astype(float)
        mean = matrix.mean(axis=0)  # (i,)
        rank = min(self._components, *sides)
        factors = find_factors(matrix - mean, rank, MAX_CODE)
        mean_scale = float(np.float32(min(np.abs(mean).max() / MAX_CODE, 1e38)))
        if factors is None or not is_scale(mean_scale):
            return None
        mean_codes = np.clip(np.rint(mean / mean_scale), -MAX_CODE, MAX_CODE).astype(np.float32)
        last = np.empty_like(values)
        store_float32(_join(factors, mean_codes, mean_scale), last, dtype)
        if not all_finite(last, dtype):
            return None
        codes = np.concatenate([factors.left.reshape(-1), factors.right.reshape(-1), mean_codes])
        stored = encode_integers(codes.astype(np.int32), chunk_raw_nbytes=chunk_raw_nbytes)
        params = prefixed("factor_", stored.params, without="step")
        params |= {"components": rank, "mean_scale": SCALE.pack(mean_scale)}
        params |= {"scale": SCALE.pack(factors.scale)}
        encoded = Encoded(self.id, params, stored.chunks)
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if encoded.record_nbytes < lossless.record_nbytes else None

    def decoder(self, layer: Layer, dtype: DType) -> PcaDecoder:
        """Check COD-PCA-1 to COD-PCA-3, COD-ECQ, CHK-1 and CHK-3."""
        return PcaDecoder(layer, dtype)


CODEC: Final = PcaCodec()


def configure(settings: Mapping[str, float]) -> PcaCodec:
    """Return the codec with another number of ``components``.

    Raises:
        ValueError: Another setting, or one out of range (wrong call).
    """
    if settings.keys() != {"components"} or settings["components"] != int(settings["components"]):
        raise ValueError(f"pca has the setting components, a count, not {dict(settings)}")
    return PcaCodec(int(settings["components"]))


def _join(factors: Factors, mean: np.ndarray, mean_scale: float) -> np.ndarray:
    """Return the values (o * i,), float32 (COD-PCA-5)."""
    total = np.zeros((len(factors.left), mean.size), np.float32)
    add_product(factors, total)
    total += mean * np.float32(mean_scale)
    return total.reshape(-1)


class PcaDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        sides = matrix_shape(layer.shape)
        if dtype.name not in DTYPE_NAMES or not layer.finite or sides is None:
            message = f"pca stores finite float matrices, not {dtype.name} {layer.shape}"
            raise CodecError(message, rule="COD-PCA-1", where=where)
        rank = layer.params.get("components")
        if not isinstance(rank, int) or not 1 <= rank <= min(*sides, MAX_RANK):
            raise CodecError(f"{rank!r} components of {sides}", rule="COD-PCA-2", where=where)
        part = codes_part(rank * sum(sides) + sides[1])
        if layer.params.keys() != part.names() | {"components", "mean_scale", "scale"}:
            message = "params of codec pca are not those of its page"
            raise CodecError(message, rule="COD-PCA-2", where=where)
        self._scale = read_scale(layer.params["scale"], "COD-PCA-3", where)
        self._mean_scale = read_scale(layer.params["mean_scale"], "COD-PCA-3", where)
        if len(layer.chunks) != part.nchunks(layer):
            message = f"{len(layer.chunks)} chunks, the codes need {part.nchunks(layer)}"
            raise CodecError(message, rule="CHK-3", where=where)
        self._codes = codes_decoder(layer, part)
        self._layer, self._dtype, self._sides, self._rank = layer, dtype, sides, rank

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        self._codes.decode_chunk(index, stored)

    def finish(self) -> np.ndarray:
        """Return the values."""
        where = f"layer {self._layer.name}"
        codes = self._codes.finish()
        check_codes(codes, "COD-PCA-4", where)
        (rows, columns), rank = self._sides, self._rank
        left, right, mean = np.split(codes, [rows * rank, rank * (rows + columns)])
        factors = Factors(left.reshape(rows, rank), right.reshape(rank, columns), self._scale)
        out = allocate_values(self._layer, self._dtype)
        store_float32(_join(factors, mean, self._mean_scale), out, self._dtype)
        check_finite(out, self._dtype, where)
        return out
