"""Two factors of small integers: found, stored as one row of codes, multiplied exactly.

    codes = left (o, r) row by row | right (r, i) row by row | what else a codec adds

Magnitudes are at most 127 and there are at most 1,024 ranks, so that every partial sum of a
product is an integer below 2^24: float32 hardware gives the same bits in whatever order it adds.
"""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.parts import Part
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.container.manifest import Layer

MAX_RANK: Final = 1024
MAX_CODE: Final = 127
MIN_SCALE: Final = 2.0**-100  # no product of a code and a scale is subnormal, no sum overflows
MAX_SCALE: Final = 2.0**100
F32: Final = DTYPES["float32"]
SCALE: Final = struct.Struct("<f")

_PARAMS: Final = ("chunk_values", "lane_values", "lowest", "table", "tail_rows")
_BLOCK_VALUES: Final = 1 << 20  # of a product, made together
_MIN_DIMS: Final = 2


class Factors(NamedTuple):
    """A matrix of low rank: scale * left @ right."""

    left: np.ndarray  # (o, r) float32, integers
    right: np.ndarray  # (r, i) float32, integers
    scale: float  # a float32


def matrix_shape(shape: Sequence[int]) -> tuple[int, int] | None:
    """Return (o, i): the first dimension and all others; None where that is no matrix."""
    if len(shape) < _MIN_DIMS or not all(shape):
        return None
    return shape[0], math.prod(shape[1:])


def is_scale(scale: float) -> bool:
    """Return whether ``scale`` is a float32 from 2^-100 to 2^100."""
    return MIN_SCALE <= scale <= MAX_SCALE and float(np.float32(scale)) == scale


def read_scale(packed: object, rule: str, where: str) -> float:
    """Return a scale of the params.

    Raises:
        CodecError: ``rule``.
    """
    if isinstance(packed, bytes) and len(packed) == SCALE.size:
        (scale,) = SCALE.unpack(packed)
        if is_scale(scale):
            return float(scale)
    raise CodecError("scale that is not 2^-100 to 2^100", rule=rule, where=where)


def find_factors(matrix: np.ndarray, rank: int, max_code: int) -> Factors | None:
    """Return integer factors near the best of this rank; None where they have no scale.

    Shapes:
        o: rows, i: columns, r: rank.

    Args:
        matrix: (o, i) float64, finite.
        rank: r, 1 <= r <= min(o, i).
        max_code: The largest magnitude of a code, 1 to 127.

    Returns:
        With a = max |left| / max_code and b likewise, before rounding, the error is at most
        that of the best matrix of rank r plus a/2 sqrt(o r) |B| + b/2 sqrt(r i) |A| +
        a b r sqrt(o i) / 4 in the Frobenius norm, |A| and |B| the factors' largest singular
        values (the root of the matrix's own).

    Cost:
        O(o i min(o, i)) time.

    Source:
        Eckart and Young, Psychometrika 1 (1936), 211-218.
    """
    if matrix.shape[0] < matrix.shape[1]:
        turned = find_factors(matrix.T, rank, max_code)
        return turned and Factors(turned.right.T, turned.left.T, turned.scale)
    # (i, i): its eigenvectors are the right singular vectors, the squares of which sum to 1
    _, vectors = np.linalg.eigh(matrix.T @ matrix)
    right = vectors[:, ::-1][:, :rank].T  # (r, i)
    left = matrix @ right.T  # (o, r)
    roots = np.sqrt(np.linalg.norm(left, axis=0))  # (r,): both factors get half of it
    left, right = left / np.where(roots > 0, roots, 1), right * roots[:, None]
    steps = [float(np.abs(factor).max()) / max_code for factor in (left, right)]
    scale = float(np.float32(steps[0] * steps[1])) if steps[0] * steps[1] <= MAX_SCALE else 0.0
    if not is_scale(scale):
        return None
    codes = [np.rint(f / s).astype(np.float32) for f, s in zip((left, right), steps, strict=True)]
    return Factors(codes[0], codes[1], scale)


def add_product(factors: Factors, out: np.ndarray) -> None:
    """Add f32(left @ right * scale) to ``out`` (o, i), float32; bit-exact.

    Cost:
        o i r multiplications; memory for a million values.
    """
    rows = max(_BLOCK_VALUES // out.shape[1], 1)
    for start in range(0, out.shape[0], rows):
        product = factors.left[start : start + rows] @ factors.right  # exact
        product += np.float32(0)  # a zero is +0, whatever sign the order of adding gave it
        product *= np.float32(factors.scale)
        out[start : start + rows] += product


def codes_part(nvalues: int) -> Part:
    """Return the part of a layer that holds codes."""
    return Part("factor_", "ecq", _PARAMS, F32.name, nvalues)


def codes_decoder(layer: Layer, part: Part) -> EcqDecoder:
    """Return the decoder of the codes, which are the layer's first chunks.

    Raises:
        CodecError: CHK-1, CHK-3, COD-ECQ or COD-RANS.
    """
    own = part.layer_of(layer, layer.chunks[: part.nchunks(layer)], {"step": SCALE.pack(1)})
    return EcqDecoder(own, F32)


def check_codes(codes: np.ndarray, rule: str, where: str) -> None:
    """Refuse codes that are no integers, or too large to be multiplied exactly.

    Raises:
        CodecError: ``rule``.
    """
    if not (np.abs(codes) <= MAX_CODE).all() or (np.rint(codes) != codes).any():
        message = "factors that are no integers from -127 to 127"
        raise CodecError(message, rule=rule, where=where)
