"""Codec ``q8``: int8 codes with one bfloat16 scale per group (spec/codecs/q8.md).

    chunk = u32 length | u32 length | scales plane, bfloat16 | codes plane, int8
    value = f32(code) * f32(scale), then nearest in the layer's dtype (COD-Q8-8)

The product of a code (7 bits) and a scale (8 bits) is exact in float32, so every
machine decodes the same bits.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import store_float32, to_float32, widen_bfloat16
from seedpack.codecs.raw import saves
from seedpack.codecs.values import (
    all_finite,
    allocate_values,
    check_finite,
    chunk_counts,
    forget_chunks,
    read_params,
)
from seedpack.container.planes import decode_plane, encode_plane
from seedpack.errors import CodecError
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from seedpack.codecs.base import Partial
    from seedpack.container.manifest import Layer, Params
    from seedpack.dtypes import DType

_PARAMS: Final = frozenset({"chunk_values", "group_values"})
_DTYPES: Final = frozenset({"bfloat16", "float16", "float32"})
_GROUP_VALUES: Final = 64
_MAX_CODE: Final = 127
_WORK_ITEMSIZE: Final = 4  # values pass through float32
_LENGTHS: Final = struct.Struct("<2I")
_SCALE_NBYTES: Final = 2
_MIN_SCALE_BITS: Final = 0x0080  # the smallest normal bfloat16, 2^-126
_INFINITY_BITS: Final = 0x7F80


class Q8Codec:
    """Near-lossless: |x - x'| is at most half a scale, before the last rounding (COD-Q8-9)."""

    id: Final = "q8"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if dtype.name not in _DTYPES or not all_finite(values, dtype):
            return None
        ngroups = chunk_raw_nbytes // (_WORK_ITEMSIZE * _GROUP_VALUES)
        chunk_values = max(ngroups, 1) * _GROUP_VALUES
        chunks: list[bytes] = []
        for start in range(0, values.size, chunk_values):
            chunk = _encode_chunk(values[start : start + chunk_values], dtype)
            if chunk is None:
                return None
            chunks.append(chunk)
        params: Params = {"chunk_values": chunk_values, "group_values": _GROUP_VALUES}
        encoded = Encoded(self.id, params, chunks)
        is_worth_it = saves(encoded, values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if is_worth_it else None

    def decoder(self, layer: Layer, dtype: DType) -> Q8Decoder:
        """Check COD-Q8-1 to COD-Q8-3, CHK-1 and CHK-3, and allocate the values."""
        return Q8Decoder(layer, dtype)


CODEC: Final = Q8Codec()


class Q8Decoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        if dtype.name not in _DTYPES or not layer.finite:
            message = f"q8 stores finite 16 or 32 bit floats, not {dtype.name}"
            raise CodecError(message, rule="COD-Q8-1", where=where)
        params = read_params(layer, _PARAMS, rule="COD-Q8-2")
        self._chunk_values, self._group_values = params["chunk_values"], params["group_values"]
        if (
            self._chunk_values % self._group_values
            or self._chunk_values * _WORK_ITEMSIZE > MAX_CHUNK_RAW_NBYTES
        ):
            message = f"chunks of {self._chunk_values}, groups of {self._group_values} values"
            raise CodecError(message, rule="COD-Q8-2", where=where)
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            self._check_stored_size(chunk.stored_nbytes, count, f"{where}[{index}]")
        self._layer = layer
        self._dtype = dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        start = index * self._chunk_values
        out = self._values[start : start + self._chunk_values]
        where = f"layer {self._layer.name}[{index}]"
        self._check_stored_size(len(stored), out.size, where)
        scales, codes = self._decode_planes(stored, out.size, where)
        _check_scales(scales, where)
        _check_codes(codes, scales, self._group_values, where)
        _multiply(codes, widen_bfloat16(scales), self._group_values, out, self._dtype)
        check_finite(out, self._dtype, where)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where a chunk is lost."""
        return forget_chunks(self._values, self._chunk_values, lost)

    def _count_groups(self, nvalues: int) -> int:
        return -(-nvalues // self._group_values)

    def _check_stored_size(self, stored_nbytes: int, nvalues: int, where: str) -> None:
        """Refuse a chunk longer than its planes verbatim, or too short for any (COD-Q8-3)."""
        largest = _LENGTHS.size + _SCALE_NBYTES * self._count_groups(nvalues) + nvalues
        if not _LENGTHS.size + 2 <= stored_nbytes <= largest:
            message = f"chunk of {stored_nbytes} bytes for {nvalues} values"
            raise CodecError(message, rule="COD-Q8-3", where=where)

    def _decode_planes(
        self, stored: memoryview, nvalues: int, where: str
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scales (groups,) as bfloat16 bits and codes (values,) as int8."""
        scales_nbytes, codes_nbytes = _LENGTHS.unpack_from(stored)
        if _LENGTHS.size + scales_nbytes + codes_nbytes != len(stored):
            message = f"planes of {scales_nbytes + codes_nbytes} bytes in {len(stored)}"
            raise CodecError(message, rule="COD-Q8-4", where=where)
        middle = _LENGTHS.size + scales_nbytes
        raw_nbytes = _SCALE_NBYTES * self._count_groups(nvalues)
        scales = decode_plane(stored[_LENGTHS.size : middle], raw_nbytes, where=f"{where} scales")
        codes = decode_plane(stored[middle:], nvalues, where=f"{where} codes")
        return np.frombuffer(scales, "<u2"), np.frombuffer(codes, np.int8)


def _encode_chunk(values: np.ndarray, dtype: DType) -> bytes | None:
    """Return the stored chunk, or None where a decoded value would overflow the dtype."""
    exact = to_float32(values, dtype).astype(np.float64)
    grouped = np.zeros((-(-values.size // _GROUP_VALUES), _GROUP_VALUES))
    grouped.reshape(-1)[: values.size] = exact  # the last group may be short
    scales = _choose_scales(np.abs(grouped).max(axis=1))
    steps = widen_bfloat16(scales).astype(np.float64)[:, None]  # (g, 1)
    # In float64 no quotient is rounded onto a tie, so the error is half a scale, exactly.
    codes_2d = np.rint(grouped / steps).astype(np.int8)  # (g, 64)
    scales[~codes_2d.any(axis=1)] = 0
    codes = codes_2d.reshape(-1)[: values.size]
    decoded = np.empty_like(values)
    _multiply(codes, widen_bfloat16(scales), _GROUP_VALUES, decoded, dtype)
    if not all_finite(decoded, dtype):
        return None
    planes = encode_plane(scales.astype("<u2").tobytes()), encode_plane(codes.tobytes())
    return b"".join((_LENGTHS.pack(*map(len, planes)), *planes))


def _choose_scales(largest: np.ndarray) -> np.ndarray:
    """Return bfloat16 bits (g,) of the smallest normal scales that reach ``largest`` (g,)."""
    bits = (largest / _MAX_CODE).astype(np.float32).view(np.uint32) >> np.uint32(16)
    scales: np.ndarray = np.maximum(bits, _MIN_SCALE_BITS).astype(np.uint16)
    too_small = widen_bfloat16(scales).astype(np.float64) * _MAX_CODE < largest
    scales[too_small] += 1
    return scales


def _multiply(
    codes: np.ndarray, steps: np.ndarray, group_values: int, out: np.ndarray, dtype: DType
) -> None:
    """Write codes times their group's step into ``out``; exact but for the last rounding."""
    whole = codes.size // group_values * group_values
    products = codes.astype(np.float32)
    with np.errstate(over="ignore"):  # infinity is refused by the caller, LAY-7
        grouped = products[:whole].reshape(-1, group_values)  # (g, v)
        np.multiply(grouped, steps[: len(grouped), None], out=grouped)
        products[whole:] *= steps[-1]
    store_float32(products, out, dtype)


def _check_scales(scales: np.ndarray, where: str) -> None:
    """Refuse negative, subnormal, infinite and NaN scales (COD-Q8-5)."""
    is_normal = (scales >= _MIN_SCALE_BITS) & (scales < _INFINITY_BITS)
    if not (is_normal | (scales == 0)).all():
        raise CodecError("scale that is no zero or normal number", rule="COD-Q8-5", where=where)


def _check_codes(codes: np.ndarray, scales: np.ndarray, group_values: int, where: str) -> None:
    """Refuse -128 (COD-Q8-6), and groups where only one of scale and codes is zero (COD-Q8-7)."""
    if codes.min() < -_MAX_CODE:
        raise CodecError("code -128", rule="COD-Q8-6", where=where)
    has_codes = np.add.reduceat(codes != 0, np.arange(0, codes.size, group_values)) > 0
    if not np.array_equal(has_codes, scales != 0):
        message = "group with a scale but no codes, or codes but no scale"
        raise CodecError(message, rule="COD-Q8-7", where=where)
