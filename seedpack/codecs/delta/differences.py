"""Differences that delta layers add: one class per method (spec/codecs/delta.md).

    params --checked before anything is allocated--> chunks, in any order --> blocks of float32

A difference may be infinite where a scale is huge; the sum is looked at, not the parts (LAY-7).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec
import numpy as np

from seedpack.codecs.delta.params import unpack_scale
from seedpack.codecs.delta.signs import random_signs
from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.floats import widen_bfloat16
from seedpack.container.planes import decode_plane
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedpack.container.manifest import Layer, Params

CHUNK_CODES: Final = MAX_CHUNK_RAW_NBYTES  # COD-DLT-4
MAX_RANK: Final = 2048  # COD-DLT-3: so that its weights fit into a param
WEIGHT_NBYTES: Final = 2
SEED_NBYTES: Final = 8
_BLOCK_VALUES: Final = 1 << 18  # of a product worked on together: 2 MiB of float64
_EXACT_FLOAT32: Final = 1 << 24  # integers up to here are exact in float32
_BITS: Final = frozenset({4, 8})
_SIGNED_BYTE: Final = 128
_SCALE_NBYTES: Final = 2
_MIN_NORMAL, _INFINITY = 0x80, 0x7F80  # bits of bfloat16


class Difference(Protocol):
    """What is added to the base."""

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk."""

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield places and differences there, float32; every chunk was decoded."""


class EcqDifference:
    """What codec ``ecq`` decodes a float32 tensor of the layer's shape to."""

    def __init__(self, layer: Layer, params: Params) -> None:
        """Check the params by the rules of that codec."""
        inner = msgspec.structs.replace(layer, codec="ecq", dtype="float32", params=params)
        self._decoder = EcqDecoder(inner, DTYPES["float32"])

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk."""
        self._decoder.decode_chunk(index, stored)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield everything at once: it is there already."""
        values = self._decoder.finish()
        yield slice(0, values.size), values


class LowRankDifference:
    """scale x (left x right): integers, multiplied exactly, scaled once.

    Shapes:
        left (o, r), right (r, i), weights (r,); o rows of the tensor, i values in each.

    Cost:
        o * i * r multiplications; memory r (o + i) bytes and blocks of 2 MiB.
    """

    def __init__(self, layer: Layer, params: Params) -> None:
        """Check COD-DLT-3 and COD-DLT-4."""
        self._where = f"layer {layer.name}"
        self._rows, self._columns = matrix_shape(layer.shape)
        match params:
            case {
                "bits": int(bits),
                "rank": int(rank),
                "scale": bytes(scale),
                "weights": bytes(weights),
                **others,
            } if others.keys() <= {"seed"}:
                seed = others.get("seed", b"")
            case _:
                raise self._refusal("params of method lowrank are not those of its page")
        if not self._saves(rank) or bits not in _BITS or len(weights) != rank * WEIGHT_NBYTES:
            raise self._refusal(f"rank {rank} of {self._rows} x {self._columns}, {bits} bits")
        factor = unpack_scale(scale)
        self._weights = np.frombuffer(weights, "<u2").astype(np.float64)  # (r,)
        if factor is None or not self._weights.all():
            raise self._refusal("scale or weight that is no positive number")
        self._scale = np.float32(factor)
        self._bits = bits
        self._rank = rank
        self._seed = self._read_seed(seed) if "seed" in params else None
        self._codes = self._allocate(layer)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk of codes."""
        out = self._codes[index * CHUNK_CODES : (index + 1) * CHUNK_CODES]
        where = f"{self._where}[{index}]"
        raw = decode_plane(stored, plane_nbytes(out.size, self._bits), where=where)
        packed = np.frombuffer(raw, np.int8)
        if self._bits == 8:  # noqa: PLR2004 -- bits of a byte
            out[...] = packed
            return
        out[0::2] = (packed << 4) >> 4  # the low four bits, with their sign
        out[1::2] = (packed >> 4)[: out.size // 2]
        if out.size % 2 and packed[-1] >> 4:
            raise CodecError("bits behind the last code", rule="COD-DLT-4", where=where)

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the differences of some rows at a time."""
        kind: type[np.floating[Any]] = np.float32 if self._fits_float32() else np.float64
        border = self._rows * self._rank
        left = self._codes[:border].reshape(self._rows, self._rank)  # (o, r)
        right = (self._right(border).astype(np.float64) * self._weights[:, None]).astype(kind)
        step = max(_BLOCK_VALUES // self._columns, 1)
        for start in range(0, self._rows, step):
            # Every partial sum is an integer that the type holds exactly, in whatever order.
            products = np.matmul(left[start : start + step].astype(kind), right)  # (step, i)
            products += 0  # a zero is +0, whatever sign the order of adding gave it
            with np.errstate(over="ignore"):  # the sum shows it
                difference = products.astype(np.float32) * self._scale
            place = start * self._columns
            yield slice(place, place + difference.size), difference.reshape(-1)

    def _right(self, border: int) -> np.ndarray:
        if self._seed is None:
            return self._codes[border:].reshape(self._rank, self._columns)
        return random_signs(self._seed, self._rank * self._columns).reshape(self._rank, -1)

    def _fits_float32(self) -> bool:
        largest = _SIGNED_BYTE if self._seed is None else 1
        return bool(_SIGNED_BYTE * largest * self._weights.sum() <= _EXACT_FLOAT32)

    def _saves(self, rank: int) -> bool:
        most = self._rows * self._columns
        return 1 <= rank <= MAX_RANK and rank * (self._rows + self._columns) <= most

    def _read_seed(self, seed: int | str | bytes) -> int:
        if not isinstance(seed, bytes) or len(seed) != SEED_NBYTES:
            raise self._refusal("seed is no 8 bytes")
        return int.from_bytes(seed, "little")

    def _allocate(self, layer: Layer) -> np.ndarray:
        """Return room for all codes, once the chunks are as many and as long as they need."""
        stored = self._rows + (self._columns if self._seed is None else 0)
        ncodes = self._rank * stored
        check_chunks(layer, ncodes, CHUNK_CODES, lambda count: plane_nbytes(count, self._bits))
        return np.empty(ncodes, np.int8)

    def _refusal(self, message: str) -> CodecError:
        return CodecError(message, rule="COD-DLT-3", where=self._where)


class SignDifference:
    """One bit per value: plus or minus the scale of its row.

    Shapes:
        scales (o,), bits (o, i) as a row of bytes each.
    """

    def __init__(self, layer: Layer, params: Params) -> None:
        """Check COD-DLT-5."""
        self._where = f"layer {layer.name}"
        self._rows, self._columns = matrix_shape(layer.shape)
        self._row_nbytes = _SCALE_NBYTES + -(-self._columns // 8)
        match params:
            case {"chunk_rows": int(chunk_rows), **others} if chunk_rows >= 1 and not others:
                self._chunk_rows = chunk_rows
            case _:
                message = "params of method sign are not those of its page"
                raise CodecError(message, rule="COD-DLT-5", where=self._where)
        if chunk_rows * self._columns * 4 > MAX_CHUNK_RAW_NBYTES:
            message = f"chunks decode to {chunk_rows * self._columns} differences"
            raise CodecError(message, rule="CHK-1", where=self._where)
        check_chunks(layer, self._rows, chunk_rows, self._nbytes, exact=True)
        self._bytes = np.empty((self._rows, self._row_nbytes), np.uint8)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode some rows: first all scales, then all bits."""
        rows = self._bytes[index * self._chunk_rows : (index + 1) * self._chunk_rows]
        where = f"{self._where}[{index}]"
        if len(stored) != rows.size:
            raise CodecError(f"{len(stored)} bytes of signs", rule="COD-DLT-5", where=where)
        border = len(rows) * _SCALE_NBYTES
        scales = np.frombuffer(stored[:border], "<u2")
        if not ((scales == 0) | ((scales >= _MIN_NORMAL) & (scales < _INFINITY))).all():
            raise CodecError("scale that is no number", rule="COD-DLT-5", where=where)
        bits = np.frombuffer(stored[border:], np.uint8).reshape(len(rows), -1)
        rest = self._columns % 8
        if rest and (bits[:, -1] >> rest).any():
            raise CodecError("bits behind the last sign", rule="COD-DLT-5", where=where)
        rows[:, :_SCALE_NBYTES] = scales.view(np.uint8).reshape(-1, _SCALE_NBYTES)
        rows[:, _SCALE_NBYTES:] = bits

    def _nbytes(self, nrows: int) -> int:
        return nrows * self._row_nbytes

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Yield the differences of some rows at a time."""
        scales = self._bytes[:, :_SCALE_NBYTES].copy().view("<u2")  # (o, 1)
        for start in range(0, self._rows, self._chunk_rows):
            rows = self._bytes[start : start + self._chunk_rows, _SCALE_NBYTES:]
            bits = np.unpackbits(rows, axis=1, count=self._columns, bitorder="little")
            signs = bits.astype(np.float32) * np.float32(2) - np.float32(1)  # (rows, i)
            difference = signs * widen_bfloat16(scales[start : start + len(rows)])
            place = start * self._columns
            yield slice(place, place + difference.size), difference.reshape(-1)


def matrix_shape(shape: list[int]) -> tuple[int, int]:
    """Return (o, i): the first dimension, and the product of the others."""
    return (shape[0], math.prod(shape[1:])) if shape else (1, 1)


def plane_nbytes(ncodes: int, bits: int) -> int:
    """Return the raw size of a plane of codes."""
    return -(-ncodes * bits // 8)


def check_chunks(
    layer: Layer, count: int, step: int, nbytes: Callable[[int], int], *, exact: bool = False
) -> None:
    """Refuse chunks that are not as many, or longer, than ``count`` things in steps need.

    Raises:
        CodecError: CHK-3, their number; COD-DLT-4, COD-DLT-5, their size.
    """
    where = f"layer {layer.name}"
    nchunks = -(-count // step)
    if len(layer.chunks) != nchunks:
        message = f"{len(layer.chunks)} chunks, the difference needs {nchunks}"
        raise CodecError(message, rule="CHK-3", where=where)
    for index, chunk in enumerate(layer.chunks):
        most = nbytes(min(step, count - index * step))
        if chunk.stored_nbytes > most or (exact and chunk.stored_nbytes < most):
            message = f"chunk of {chunk.stored_nbytes} bytes for {most}"
            rule = "COD-DLT-5" if exact else "COD-DLT-4"
            raise CodecError(message, rule=rule, where=f"{where}[{index}]")
