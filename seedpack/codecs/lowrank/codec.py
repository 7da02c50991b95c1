"""Values -> stored chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq import EcqCodec, encode_integers
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.lowrank.decoder import DTYPE_NAMES, LowrankDecoder
from seedpack.codecs.lowrank.factors import (
    F32,
    MAX_RANK,
    SCALE,
    add_product,
    find_factors,
    is_scale,
    matrix_shape,
)
from seedpack.codecs.parts import prefixed
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.streams import default_step
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_DEFAULT_RANK: Final = 16
_MAX_CODES: Final = {4: 7, 8: 127}  # by bits


class LowrankCodec:
    """Lossy: with a residual |x - x'| is at most 1.5 steps, before roundings (COD-LR-6)."""

    id: Final = "lowrank"

    def __init__(
        self,
        rank: int = _DEFAULT_RANK,
        bits: int = 8,
        step: float | None = None,
        shape: tuple[int, ...] = (),
    ) -> None:
        """Take rank and bits of the factors, and the residual's step, 0 for no residual."""
        if not 1 <= rank <= MAX_RANK:
            raise ValueError(f"rank {rank!r} is not 1 to {MAX_RANK}")
        if bits not in _MAX_CODES:
            raise ValueError(f"bits {bits!r} is neither 4 nor 8")
        if step is not None and step != 0 and not is_scale(step):
            raise ValueError(f"step {step!r} is no float32 from 2^-100 to 2^100")
        self._rank, self._bits, self._step, self._shape = rank, bits, step, shape

    def for_shape(self, shape: tuple[int, ...]) -> LowrankCodec:
        """Return the codec for tensors of this shape."""
        return LowrankCodec(self._rank, self._bits, self._step, shape)

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        sides = matrix_shape(self._shape)
        if dtype.name not in DTYPE_NAMES or sides is None or not all_finite(values, dtype):
            return None
        exact = to_float32(values, dtype)
        rank = min(self._rank, *sides)
        factors = find_factors(exact.reshape(sides).astype(float), rank, _MAX_CODES[self._bits])
        if factors is None:
            return None
        codes = np.concatenate([factors.left.reshape(-1), factors.right.reshape(-1)])
        stored = encode_integers(codes.astype(np.int32), chunk_raw_nbytes=chunk_raw_nbytes)
        params = prefixed("factor_", stored.params, without="step")
        params |= {"rank": rank, "scale": SCALE.pack(factors.scale)}
        product = np.zeros(sides, np.float32)
        add_product(factors, product)
        chunks, decoded = stored.chunks, product.reshape(-1)
        if self._step != 0:
            step = default_step(exact) if self._step is None else self._step
            residual = exact - decoded
            if not is_scale(step) or not all_finite(residual, F32):
                return None
            rest = EcqCodec(step).encode(residual, F32, chunk_raw_nbytes=chunk_raw_nbytes)
            if rest is None:
                return None
            params |= rest.params
            chunks = chunks + rest.chunks
        else:
            last = np.empty_like(values)
            store_float32(decoded, last, dtype)
            if not all_finite(last, dtype):
                return None
        encoded = Encoded(self.id, params, chunks)
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if encoded.record_nbytes < lossless.record_nbytes else None

    def decoder(self, layer: Layer, dtype: DType) -> LowrankDecoder:
        """Check COD-LR-1 to COD-LR-3, COD-ECQ, CHK-1 and CHK-3, and allocate the values."""
        return LowrankDecoder(layer, dtype)


CODEC: Final = LowrankCodec()


def configure(settings: Mapping[str, float]) -> LowrankCodec:
    """Return the codec with another ``rank``, ``bits`` or ``step``.

    Raises:
        ValueError: Another setting, or one out of range (wrong call).
    """
    if not settings.keys() <= {"bits", "rank", "step"}:
        raise ValueError(f"lowrank has the settings bits, rank, step, not {sorted(settings)}")
    rank, bits = (settings.get(n, default) for n, default in (("rank", _DEFAULT_RANK), ("bits", 8)))
    if rank != int(rank):
        raise ValueError(f"rank {rank!r} is no integer")
    return LowrankCodec(int(rank), int(bits) if bits == int(bits) else 0, settings.get("step"))
