"""What each tensor's difference from the base could be stored as, and what that costs.

tensor, base tensor --> Offer: nothing | rank r, 4 or 8 bits | grid of step s
each with bytes and the energy of its error, estimated
energy: sum of squares; per position of the model's input, which an error in a matrix reaches
with all its rows and an error in a table of embeddings with one of those in use
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.delta.decoder import DTYPE_NAMES
from seedpack.codecs.delta.differences import MAX_RANK, matrix_shape
from seedpack.codecs.delta.encoding import (
    Origin,
    encode_factors,
    encode_grid,
    encode_same,
    quantise_factors,
)
from seedpack.codecs.ecq.levels import find_thresholds, round_to_levels
from seedpack.codecs.floats import round_bfloat16, to_float32, widen_bfloat16
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedpack.codecs.base import BaseTensors, Encoded
    from seedpack.frameworks import NamedTensor

EXACT_TAIL: Final = 1e-4  # singular values below, relative to the largest, are rounding
_RANKS: Final = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_SHOWN: Final = tuple(k / 2 for k in range(-6, 5))  # octaves above the root mean square
_BETWEEN: Final = 1 / 16  # octave: about a hundredth of a file's size
_SAMPLE_VALUES: Final = 1 << 14
_LANE_BITS: Final = 0.009  # per value: a lane of 2048 costs 15, and no symbol is free
_GRID_NBYTES: Final = 130  # params, chunk record and first states of a grid, about
_FACTORS_NBYTES: Final = 100  # the same of factors, without their weights


class Offer(NamedTuple):
    """One way to store a difference."""

    nbytes: float  # with params
    error: float  # energy that is lost
    rank: int = 0  # of factors; 0: none
    bits: int = 0
    step: float = 0.0  # of a grid; 0: none


class Difference(NamedTuple):
    """A tensor of the model beside its tensor of the base.

    Shapes:
        left (o, r) and right (r, i), where it was worth factoring.
    """

    origin: Origin
    offers: tuple[Offer, ...]  # the first stores nothing
    left: np.ndarray | None = None  # float32
    right: np.ndarray | None = None  # float32
    exact_rank: int = 0  # where the difference is a product; else 0

    def encode(
        self, offer: Offer, read: Callable[[], np.ndarray], *, chunk_raw_nbytes: int
    ) -> Encoded:
        """Return the layer, by one of ``offers``; ``read`` returns the difference once more."""
        if offer.rank and self.left is not None and self.right is not None:
            left, right = self.left[:, : offer.rank], self.right[: offer.rank]
            return encode_factors(quantise_factors(left, right, offer.bits), self.origin)
        if offer.step:
            flat = np.ascontiguousarray(read()).reshape(-1)
            encoded = encode_grid(flat, offer.step, self.origin, chunk_raw_nbytes=chunk_raw_nbytes)
            if encoded is not None:
                return encoded
        return encode_same(self.origin)


def compare(tensor: NamedTensor, base: BaseTensors, origin: Origin) -> Difference | None:
    """Return the difference and its offers; None where the tensor has to stand on its own.

    Cost:
        For matrices, the square of the shorter side times the longer, in float64.
    """
    name = origin.name(tensor.name)
    if base.describe(name) != (tensor.dtype, tensor.shape):
        return None
    if not all_finite(np.frombuffer(tensor.data, tensor.dtype.storage), tensor.dtype):
        return None
    if bytes(tensor.data) == base.read(name).tobytes():
        return Difference(origin, (Offer(0, 0.0),))
    if tensor.dtype.name not in DTYPE_NAMES:
        return None
    values = subtract(tensor, base, origin)
    return _offer(values, origin) if np.isfinite(values).all() else None


def subtract(tensor: NamedTensor, base: BaseTensors, origin: Origin) -> np.ndarray:
    """Return the tensor minus that of the base, as a matrix (o, i) of float32."""
    values = np.frombuffer(tensor.data, tensor.dtype.storage)
    other = base.read(origin.name(tensor.name))
    with np.errstate(over="ignore", invalid="ignore"):  # looked at by ``compare``
        difference: np.ndarray = to_float32(values, tensor.dtype) - to_float32(other, tensor.dtype)
    return difference.reshape(matrix_shape(list(tensor.shape)))


def _offer(values: np.ndarray, origin: Origin) -> Difference:
    energy = float(np.square(values, dtype=np.float64).sum())
    used = int(values.any(axis=1).sum())
    # Rows that did not change at all were never looked up: a table, used a row at a time.
    weight = 1 / used if 0 < used < len(values) and values.shape[1] > 1 else 1.0
    offers = [Offer(0, energy * weight), *_grids(values, energy, weight)]
    rows, columns = values.shape
    most = min(MAX_RANK, rows * columns // (rows + columns))
    if most < 1:
        return Difference(origin, tuple(offers))
    left, right, singular = _factor(values)
    exact = int(np.searchsorted(-singular, -EXACT_TAIL * singular[0]))
    exact = exact if exact <= most // 2 else 0
    ranks = sorted({r for r in (*_RANKS, exact) if 1 <= r <= most})
    left, right = left[:, : ranks[-1]], right[: ranks[-1]]
    for rank in ranks:
        lost = max(energy - float(np.square(singular[:rank]).sum()), 0.0)
        for bits in (4, 8):
            error = lost + _rounding(left[:, :rank], right[:rank], bits)
            nbytes = rank * (rows + columns) * bits / 8 + 2 * rank + _FACTORS_NBYTES
            offers.append(Offer(nbytes, error * weight, rank, bits))
    factors = left.astype(np.float32), right.astype(np.float32)
    return Difference(origin, tuple(offers), *factors, exact)


def _grids(values: np.ndarray, energy: float, weight: float) -> Iterator[Offer]:
    """Yield grids of many steps: some by what a sample shows, others between them."""
    flat = values.reshape(-1)
    sample = np.ascontiguousarray(flat[:: -(-flat.size // _SAMPLE_VALUES)])
    scale = math.sqrt(energy / flat.size)
    shown = np.array([_try_grid(sample, scale * 2.0**at) for at in _SHOWN])  # (s, 2)
    for at in np.arange(_SHOWN[0], _SHOWN[-1], _BETWEEN):
        rate, lost = (float(np.interp(at, _SHOWN, column)) for column in shown.T)
        nbytes = flat.size * (rate + _LANE_BITS) / 8 + _GRID_NBYTES
        yield Offer(nbytes, lost * flat.size * weight, step=_round_step(scale * 2.0**at))


def _try_grid(sample: np.ndarray, step: float) -> tuple[float, float]:
    """Return bits and lost energy per value, rounded as the encoder does: much to nothing."""
    levels = round_to_levels(sample, step, find_thresholds(sample, step))
    _, counts = np.unique(levels, return_counts=True)
    shares = counts / sample.size
    lost = np.square(sample - levels * np.float32(step), dtype=np.float64).mean()
    return -float((shares * np.log2(shares)).sum()), float(lost)


def _round_step(step: float) -> float:
    """Return a step of 8 bits: short, and no order of summation shows in it."""
    return float(widen_bfloat16(round_bfloat16(np.array([step], np.float32)))[0])


def _factor(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return left (o, r), right (r, i) and singular values (r,), the largest first.

    By the eigenvectors of the shorter side's Gram matrix: what matters is large, and the
    squares of small singular values are lost in rounding, where 4 bits would not keep them.
    """
    exact = values.astype(np.float64)
    tall = exact.shape[0] >= exact.shape[1]
    matrix = exact if tall else exact.T
    squares, vectors = np.linalg.eigh(np.matmul(matrix.T, matrix))
    order = np.argsort(-squares)[: min(MAX_RANK, len(squares))]
    singular = np.sqrt(np.maximum(squares[order], 0.0))
    narrow = vectors[:, order]  # (short, r)
    # Both factors get the root of each singular value, so that their codes are alike.
    roots = np.sqrt(np.maximum(singular, 1e-30))
    wide = np.matmul(matrix, narrow) / roots  # (long, r)
    left, right = (wide, (narrow * roots).T) if tall else (narrow * roots, wide.T)
    return left, right, singular


def _rounding(left: np.ndarray, right: np.ndarray, bits: int) -> float:
    """Return the energy of what rounding the factors changes in their product.

    Through products of r x r, so that no difference of the tensor's size is made.
    """
    coarse_left, coarse_right = quantise_factors(left, right, bits).as_floats()

    def inner(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> float:
        return float((np.matmul(a.T, c) * np.matmul(b, d.T)).sum())

    fine = inner(left, right, left, right)
    coarse = inner(coarse_left, coarse_right, coarse_left, coarse_right)
    return max(fine - 2 * inner(left, right, coarse_left, coarse_right) + coarse, 0.0)
