"""Codec ``raw``: lossless, every value of every dtype (spec/codecs/raw.md).

chunk = the values themselves, or fewer bytes: u32 length of each plane | the planes
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded, manifest_nbytes
from seedpack.codecs.byteplanes import has_float_planes, merge_planes, plane_sizes, split_planes
from seedpack.codecs.values import (
    allocate_values,
    check_finite,
    chunk_counts,
    first_nonfinite,
    forget_chunks,
    read_params,
)
from seedpack.container.planes import decode_plane, encode_plane
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection

    from seedpack.codecs.base import Partial
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_PARAMS: Final = frozenset({"chunk_values"})
_LENGTH_NBYTES: Final = 4
# A frame must save this share of its plane: less is not worth the time to decode it.
_WORTH_DIVISOR: Final = 64


class RawCodec:
    """Planes and zstd where that is smaller, else the bytes as they are."""

    id: Final = "raw"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded:
        """Return the stored form; raw takes everything."""
        chunk_values = chunk_raw_nbytes // dtype.itemsize
        chunks = [
            encode_values(values[start : start + chunk_values], dtype)
            for start in range(0, values.size, chunk_values)
        ]
        return Encoded(self.id, {"chunk_values": chunk_values}, chunks)

    def decoder(self, layer: Layer, dtype: DType) -> RawDecoder:
        """Check COD-RAW-1 and COD-RAW-2, CHK-1 and CHK-3, and allocate the values."""
        return RawDecoder(layer, dtype)


CODEC: Final = RawCodec()


def saves(encoded: Encoded, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> bool:
    """Return whether ``raw`` would take more for ``values``, manifest and all; often by a look."""
    chunk_values = chunk_raw_nbytes // dtype.itemsize
    starts = range(0, values.size, chunk_values)
    total = manifest_nbytes({"chunk_values": chunk_values}, len(starts))
    for start in starts:
        chunk = values[start : start + chunk_values]
        stored = _LENGTH_NBYTES * len(plane_sizes(dtype, chunk.size))
        for raw in split_planes(chunk, dtype):
            stored += len(_encode_plane(raw))
            if total + min(stored, chunk.nbytes) > encoded.record_nbytes:
                return True
        total += min(stored, chunk.nbytes)
    return False


class RawDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        params = read_params(layer, _PARAMS, rule="COD-RAW-1")
        self._chunk_values = params["chunk_values"]
        counts = chunk_counts(layer, dtype, self._chunk_values)
        for index, (chunk, count) in enumerate(zip(layer.chunks, counts, strict=True)):
            check_stored_size(chunk.stored_nbytes, count, dtype, f"layer {layer.name}[{index}]")
        self._layer = layer
        self._dtype = dtype
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place."""
        start = index * self._chunk_values
        out = self._values[start : start + self._chunk_values]
        where = f"layer {self._layer.name}[{index}]"
        may_be_infinite = decode_values(stored, out, self._dtype, where)
        if self._layer.finite and may_be_infinite:
            check_finite(out, self._dtype, where)
        if self._dtype.kind == "bool" and int(out.max()) > 1:
            raise CodecError("bool that is neither 0 nor 1", rule="COD-RAW-4", where=where)

    def finish(self) -> np.ndarray:
        """Return the values."""
        return self._values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where a chunk is lost."""
        return forget_chunks(self._values, self._chunk_values, lost)


def encode_values(values: np.ndarray, dtype: DType) -> bytes:
    """Return the stored chunk of ``values`` (v,), v >= 1."""
    planes = [_encode_plane(raw) for raw in split_planes(values, dtype)]
    lengths = struct.pack(f"<{len(planes)}I", *map(len, planes))
    stored = b"".join((lengths, *planes))
    return stored if len(stored) < values.nbytes else values.tobytes()


def decode_values(stored: memoryview, out: np.ndarray, dtype: DType, where: str) -> bool:
    """Decode one chunk into ``out``; return whether a value may be infinite or NaN.

    Raises:
        CodecError: COD-RAW-2, COD-RAW-3 or ZST.
    """
    check_stored_size(len(stored), out.size, dtype, where)
    if len(stored) == out.nbytes:
        out.view(np.uint8)[...] = np.frombuffer(stored, np.uint8)
        return True
    planes = _decode_planes(stored, out.size, dtype, where)
    merge_planes(planes, out, dtype)
    return _may_be_infinite(planes, dtype)


def _encode_plane(raw: bytes) -> bytes:
    stored = encode_plane(raw)
    return stored if len(stored) <= len(raw) - len(raw) // _WORTH_DIVISOR else raw


def check_stored_size(stored_nbytes: int, nvalues: int, dtype: DType, where: str) -> None:
    """Refuse a chunk that is longer than verbatim, or too short for any planes (COD-RAW-2)."""
    nplanes = len(plane_sizes(dtype, nvalues))
    smallest = nplanes * (_LENGTH_NBYTES + 1)
    verbatim = nvalues * dtype.itemsize
    if stored_nbytes != verbatim and not smallest <= stored_nbytes < verbatim:
        message = f"chunk of {stored_nbytes} bytes for {nvalues} values of {dtype.name}"
        raise CodecError(message, rule="COD-RAW-2", where=where)


def _decode_planes(stored: memoryview, nvalues: int, dtype: DType, where: str) -> list[np.ndarray]:
    sizes = plane_sizes(dtype, nvalues)
    lengths = struct.unpack_from(f"<{len(sizes)}I", stored)
    at = len(sizes) * _LENGTH_NBYTES
    if at + sum(lengths) != len(stored):
        message = f"planes of {sum(lengths)} bytes in a chunk of {len(stored)}"
        raise CodecError(message, rule="COD-RAW-3", where=where)
    planes = []
    for number, (length, raw_nbytes) in enumerate(zip(lengths, sizes, strict=True)):
        raw = decode_plane(stored[at : at + length], raw_nbytes, where=f"{where} plane {number}")
        planes.append(np.frombuffer(raw, np.uint8))
        at += length
    return planes


def _may_be_infinite(planes: list[np.ndarray], dtype: DType) -> bool:
    """Return False where the exponent plane alone shows that all values are finite."""
    if not has_float_planes(dtype):
        return True
    exponent = first_nonfinite(dtype) >> (8 * dtype.itemsize - 9)  # the 8 bits below the sign
    return bool(planes[-1].max() >= exponent)
