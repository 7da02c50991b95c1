"""Stored chunks -> values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.floats import store_float32
from seedpack.codecs.lowrank.factors import (
    F32,
    MAX_RANK,
    Factors,
    add_product,
    check_codes,
    codes_decoder,
    codes_part,
    matrix_shape,
    read_scale,
)
from seedpack.codecs.parts import Part
from seedpack.codecs.values import allocate_values, check_finite
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})

_RESIDUAL: Final = ("chunk_values", "lane_values", "lowest", "step", "table", "tail_rows")


class LowrankDecoder:
    """One layer on its way back: codes and residual are decoded chunk by chunk, then joined."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        sides = matrix_shape(layer.shape)
        if dtype.name not in DTYPE_NAMES or not layer.finite or sides is None:
            message = f"lowrank stores finite float matrices, not {dtype.name} {layer.shape}"
            raise CodecError(message, rule="COD-LR-1", where=where)
        rank = layer.params.get("rank")
        if not isinstance(rank, int) or not 1 <= rank <= min(*sides, MAX_RANK):
            raise CodecError(f"rank {rank!r} of {sides}", rule="COD-LR-2", where=where)
        self._sides, self._rank = sides, rank
        codes = codes_part(rank * sum(sides))
        residual = Part("", "ecq", _RESIDUAL, F32.name, sides[0] * sides[1])
        own = codes.names() | {"rank", "scale"}
        if layer.params.keys() not in (own, own | residual.names()):
            message = "params of codec lowrank are not those of its page"
            raise CodecError(message, rule="COD-LR-2", where=where)
        self._scale = read_scale(layer.params["scale"], "COD-LR-3", where)
        self._ncodes = codes.nchunks(layer)
        self._codes = codes_decoder(layer, codes)
        self._residual = self._read_residual(layer, residual, where)
        self._layer, self._dtype = layer, dtype

    def _read_residual(self, layer: Layer, part: Part, where: str) -> EcqDecoder | None:
        rest = layer.chunks[self._ncodes :]
        if "step" in layer.params:
            read_scale(layer.params["step"], "COD-LR-3", where)
            return EcqDecoder(part.layer_of(layer, rest, {}), F32)
        if rest:
            message = f"{len(layer.chunks)} chunks, the factors need {self._ncodes}"
            raise CodecError(message, rule="CHK-3", where=where)
        return None

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        if index < self._ncodes or self._residual is None:
            self._codes.decode_chunk(index, stored)
        else:
            self._residual.decode_chunk(index - self._ncodes, stored)

    def finish(self) -> np.ndarray:
        """Return the values: the product, exact and scaled once, and the residual (COD-LR-5)."""
        where = f"layer {self._layer.name}"
        codes = self._codes.finish()
        check_codes(codes, "COD-LR-4", where)
        (rows, columns), rank = self._sides, self._rank
        left = codes[: rows * rank].reshape(rows, rank)
        factors = Factors(left, codes[rows * rank :].reshape(rank, columns), self._scale)
        if self._residual is None:
            total = np.zeros(rows * columns, np.float32)
        else:
            total = self._residual.finish()
        add_product(factors, total.reshape(rows, columns))
        out = total
        if self._dtype.name != F32.name:
            out = allocate_values(self._layer, self._dtype)
            store_float32(total, out, self._dtype)
        check_finite(out, self._dtype, where)
        return out
