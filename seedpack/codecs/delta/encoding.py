"""Differences -> stored chunks, one function per method (spec/codecs/delta.md)."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.delta.differences import CHUNK_CODES, WEIGHT_NBYTES
from seedpack.codecs.delta.params import pack_reference, pack_scale
from seedpack.codecs.ecq import configure
from seedpack.codecs.floats import round_bfloat16
from seedpack.container.planes import encode_plane
from seedpack.dtypes import DTYPES
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

_CODEC: Final = "delta"
_MAX_WEIGHT: Final = 2 ** (8 * WEIGHT_NBYTES) - 1
_FLOAT32_NBYTES: Final = 4
_NIBBLE: Final = 4
_CLIPS: Final = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)  # of the largest value; the best is taken


class Origin(NamedTuple):
    """Where the base has a tensor: the layer's name less ``skip`` characters, behind a prefix."""

    skip: int = 0
    prefix: str = ""

    def name(self, layer: str) -> str:
        """Return the base's name of a layer's tensor."""
        return self.prefix + layer[self.skip :]


class Factors(NamedTuple):
    """Integer codes whose product, weighted and scaled, is a difference.

    Shapes:
        left (o, r), right (r, i), weights (r,).
    """

    left: np.ndarray  # int8
    right: np.ndarray  # int8
    weights: np.ndarray  # 1 to 65535
    scale: float  # a float32
    bits: int

    def as_floats(self) -> tuple[np.ndarray, np.ndarray]:
        """Return factors (o, r) and (r, i) in float64, whose product a reader decodes, about."""
        return self.left * (self.weights * self.scale), self.right.astype(np.float64)


def encode_same(origin: Origin) -> Encoded:
    """Return a layer that is its tensor of the base."""
    return Encoded(_CODEC, pack_reference("same", *origin), [])


def encode_grid(
    difference: np.ndarray, step: float, origin: Origin, *, chunk_raw_nbytes: int
) -> Encoded | None:
    """Return differences (v,), float32, on a uniform grid; None where codec ``ecq`` declines."""
    codec = configure({"step": step})
    encoded = codec.encode(difference, DTYPES["float32"], chunk_raw_nbytes=chunk_raw_nbytes)
    if encoded is None:
        return None
    params = {**pack_reference("ecq", *origin), **encoded.params}
    return Encoded(_CODEC, params, encoded.chunks)


def quantise_factors(left: np.ndarray, right: np.ndarray, bits: int) -> Factors:
    """Round factors (o, r) and (r, i) to codes of 4 or 8 bits, each rank with a step of its own.

    Error: half a step, but for the few values that a narrower range cuts off.
    """
    largest = (1 << (bits - 1)) - 1
    left_steps = np.array([_choose_step(column, largest) for column in left.T])  # (r,)
    right_steps = np.array([_choose_step(row, largest) for row in right])  # (r,)
    products = left_steps * right_steps
    scale = float(np.float32(products.max() / _MAX_WEIGHT))
    weights = np.clip(np.rint(products / scale), 1, _MAX_WEIGHT).astype("<u2")
    return Factors(
        _round_codes(left / left_steps, largest),
        _round_codes(right / right_steps[:, None], largest),
        weights,
        scale,
        bits,
    )


def encode_factors(factors: Factors, origin: Origin, *, seed: int | None = None) -> Encoded:
    """Return a low-rank layer.

    Args:
        factors: Codes; ``right`` is not stored where there is a seed.
        origin: Where the base has the tensor.
        seed: Of the signs that ``right`` consists of, 0 to 2^64 - 1.
    """
    codes = factors.left.reshape(-1)
    params = {
        **pack_reference("lowrank", *origin),
        "bits": factors.bits,
        "rank": factors.left.shape[1],
        "scale": pack_scale(factors.scale),
        "weights": factors.weights.astype("<u2").tobytes(),
    }
    if seed is None:
        codes = np.concatenate([codes, factors.right.reshape(-1)])
    else:
        params["seed"] = seed.to_bytes(8, "little")
    parts = (codes[at : at + CHUNK_CODES] for at in range(0, codes.size, CHUNK_CODES))
    return Encoded(
        _CODEC, params, [encode_plane(_pack_codes(part, factors.bits)) for part in parts]
    )


def encode_signs(difference: np.ndarray, origin: Origin) -> Encoded:
    """Return differences (o, i) as one bit each and a scale per row, the mean magnitude."""
    columns = difference.shape[1]
    chunk_rows = max(MAX_CHUNK_RAW_NBYTES // (_FLOAT32_NBYTES * columns), 1)
    chunks = []
    for start in range(0, len(difference), chunk_rows):
        rows = difference[start : start + chunk_rows]
        magnitudes = np.abs(rows).mean(axis=1, dtype=np.float64).astype(np.float32)
        scales = round_bfloat16(magnitudes)
        scales[scales < 0x80] = 0  # noqa: PLR2004 -- no subnormal scales, COD-DLT-5
        bits = np.packbits(rows > 0, axis=1, bitorder="little")
        chunks.append(scales.astype("<u2").tobytes() + bits.tobytes())
    params = {**pack_reference("sign", *origin), "chunk_rows": chunk_rows}
    return Encoded(_CODEC, params, chunks)


def _choose_step(values: np.ndarray, largest: int) -> float:
    """Return the step whose codes, cut off at ``largest``, are nearest to ``values`` (v,)."""
    full = float(np.abs(values).max()) / largest or 1.0

    def error(step: float) -> float:
        codes = np.clip(np.rint(values / step), -largest, largest)
        return float(np.square(codes * step - values).sum())

    return min((full * clip for clip in _CLIPS), key=error)


def _round_codes(values: np.ndarray, largest: int) -> np.ndarray:
    codes: np.ndarray = np.clip(np.rint(values), -largest, largest).astype(np.int8)
    return codes


def _pack_codes(codes: np.ndarray, bits: int) -> bytes:
    if bits != _NIBBLE:
        return codes.tobytes()
    padded = np.zeros(codes.size + codes.size % 2, np.uint8)
    padded[: codes.size] = codes.view(np.uint8) & 15
    return (padded[0::2] | padded[1::2] << 4).tobytes()
