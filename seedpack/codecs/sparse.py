"""Codec ``sparse``: where the values are that are not zero, and what (spec/codecs/sparse.md).

chunks = gaps between places, as ecq stores integers | the values there, as ecq or raw does
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq import EcqCodec, encode_integers
from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.floats import to_float32
from seedpack.codecs.parts import Part, prefixed
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.raw import RawDecoder
from seedpack.codecs.values import all_finite, allocate_values
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_F32: Final = DTYPES["float32"]
_STEP_OF_GAPS: Final = struct.pack("<f", 1)
_BLOCK: Final = 1 << 16  # values placed together
_MAX_GAP: Final = 1 << 23  # what the grid of integers reaches
_GAP_PARAMS: Final = ("chunk_values", "lane_values", "lowest", "table", "tail_rows")
_QUANTISED: Final = ("chunk_values", "lane_values", "lowest", "step", "table", "tail_rows")
_EXACT: Final = ("chunk_values",)
_LOSSY_DTYPES: Final = frozenset({"bfloat16", "float16", "float32"})


class SparseCodec:
    """Lossless by default; |x - x'| is at most the threshold or 1.5 steps (COD-SPA-6)."""

    id: Final = "sparse"

    def __init__(
        self,
        *,
        threshold: float | None = None,
        density: float | None = None,
        step: float | None = None,
    ) -> None:
        """Take what becomes zero, by size or by share kept, and the step of the others."""
        if threshold is not None and density is not None:
            raise ValueError("either threshold or density")
        if threshold is not None and not 0 <= threshold < math.inf:
            raise ValueError(f"threshold {threshold!r}")
        if density is not None and not 0 < density <= 1:
            raise ValueError(f"density {density!r} is not above 0 and at most 1")
        self._threshold, self._density = threshold, density
        self._values = RAW if step is None else EcqCodec(step)
        self._is_lossy = not threshold == density == step

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if not values.size:
            return None
        if self._is_lossy and not (dtype.name in _LOSSY_DTYPES and all_finite(values, dtype)):
            return None
        places = np.flatnonzero(self._keeps(values, dtype))
        gaps = np.diff(places, prepend=-1) - 1
        if not places.size or int(gaps.max()) > _MAX_GAP:
            return None
        where = encode_integers(gaps.astype(np.int32), chunk_raw_nbytes=chunk_raw_nbytes)
        kept = np.ascontiguousarray(values[places])
        what = self._values.encode(kept, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        if what is None:
            return None
        params = prefixed("gap_", where.params, without="step")
        params |= prefixed("value_", what.params) | {"count": int(places.size)}
        encoded = Encoded(self.id, params, where.chunks + what.chunks)
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if encoded.record_nbytes < lossless.record_nbytes else None

    def _keeps(self, values: np.ndarray, dtype: DType) -> np.ndarray:
        """Return which values do not become +0 (v,)."""
        is_stored: np.ndarray = values.view(f"<u{dtype.itemsize}") != 0
        if not self._is_lossy:
            return is_stored
        sizes = np.abs(to_float32(values, dtype))
        threshold = self._threshold or 0.0
        if self._density is not None:
            dropped = values.size - max(int(self._density * values.size), 1)
            threshold = float(np.partition(sizes, dropped)[dropped]) if dropped else 0.0
        is_stored &= sizes >= threshold
        return is_stored

    def decoder(self, layer: Layer, dtype: DType) -> SparseDecoder:
        """Check COD-SPA-1, COD-SPA-2, the parts' rules, CHK-1 and CHK-3."""
        return SparseDecoder(layer, dtype)


CODEC: Final = SparseCodec()


def configure(settings: Mapping[str, float]) -> SparseCodec:
    """Return the codec with ``threshold`` or ``density``, and with ``step``.

    Raises:
        ValueError: Another setting, or one out of range (wrong call).
    """
    if not settings.keys() <= {"density", "step", "threshold"}:
        raise ValueError(
            f"sparse has the settings density, step, threshold, not {sorted(settings)}"
        )
    return SparseCodec(**settings)


class SparseDecoder:
    """One layer on its way back: gaps and values are decoded chunk by chunk, then spread."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        count = layer.params.get("count")
        if not isinstance(count, int) or not 1 <= count <= math.prod(layer.shape):
            message = f"{count!r} values of {math.prod(layer.shape)}"
            raise CodecError(message, rule="COD-SPA-1", where=where)
        is_quantised = "value_step" in layer.params
        codec, names = ("ecq", _QUANTISED) if is_quantised else ("raw", _EXACT)
        gaps = Part("gap_", "ecq", _GAP_PARAMS, _F32.name, count, is_finite=True)
        kept = Part("value_", codec, names, dtype.name, count)
        if layer.params.keys() != gaps.names() | kept.names() | {"count"}:
            message = "params of codec sparse are not those of its page"
            raise CodecError(message, rule="COD-SPA-2", where=where)
        self._ngaps = gaps.nchunks(layer)
        first, rest = layer.chunks[: self._ngaps], layer.chunks[self._ngaps :]
        fixed: dict[str, bytes | int] = {"step": _STEP_OF_GAPS}
        self._gaps = EcqDecoder(gaps.layer_of(layer, first, fixed), _F32)
        values_layer = kept.layer_of(layer, rest, {})
        decoder = EcqDecoder if is_quantised else RawDecoder
        self._kept: EcqDecoder | RawDecoder = decoder(values_layer, dtype)
        self._layer, self._dtype = layer, dtype

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        if index < self._ngaps:
            self._gaps.decode_chunk(index, stored)
        else:
            self._kept.decode_chunk(index - self._ngaps, stored)

    def finish(self) -> np.ndarray:
        """Return the values (COD-SPA-5)."""
        gaps, kept = self._gaps.finish(), self._kept.finish()
        out = allocate_values(self._layer, self._dtype)
        out[...] = 0
        last = -1
        # Places take 8 bytes each, of values that may have one: never all at once (COD-SPA-7).
        for start in range(0, gaps.size, _BLOCK):
            places = self._places(gaps[start : start + _BLOCK], last)
            out[places] = kept[start : start + _BLOCK]
            last = int(places[-1])
        return out

    def _places(self, gaps: np.ndarray, last: int) -> np.ndarray:
        """Return where the values behind ``gaps`` (n,) stand, the one before them at ``last``."""
        where = f"layer {self._layer.name}"
        if (gaps < 0).any() or (np.rint(gaps) != gaps).any() or (gaps > _MAX_GAP).any():
            message = "gaps that are no integers from 0 to 2^23"
            raise CodecError(message, rule="COD-SPA-3", where=where)
        places: np.ndarray = np.cumsum(gaps.astype(np.int64) + 1) + last
        nvalues = math.prod(self._layer.shape)
        if int(places[-1]) >= nvalues:
            message = f"place {places[-1]} of {nvalues} values"
            raise CodecError(message, rule="COD-SPA-4", where=where)
        return places
