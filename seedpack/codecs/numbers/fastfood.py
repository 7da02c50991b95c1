"""Codec ``fastfood``: each weight is a sum of all numbers, with signs (spec/codecs/fastfood.md).

    levels (d,) --signs of each block--> (D, k) --Hadamard butterflies--> (D, k) --> values (v,)

D is the least power of 2 that is at least d, and k as many blocks as the values need. Sums of
fewer than 2^26 are exact in 32 bit integers, so that no order of additions matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs import prng
from seedpack.codecs.numbers.codec import NumbersCodec, configured
from seedpack.codecs.numbers.form import PLACE_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping


def transform(rows: np.ndarray) -> None:
    """Replace each column of ``rows`` (D, k) by its product with the Hadamard matrix of order D.

    Args:
        rows: Contiguous; D a power of 2. Row i of the matrix has the sign of the parity of
            bits that i and the column's index share.

    Cost:
        D k log2(D) additions.

    Source: J. J. Sylvester, Phil. Mag. 34 (1867), 461-475; butterflies as in Q. Le, T. Sarlos and
    A. Smola, *Fastfood: approximating kernel expansions in loglinear time*, ICML 2013.
    """
    height, width = rows.shape
    half = 1
    while half < height:
        pairs = rows.reshape(height // (2 * half), 2, half * width)
        first, second = pairs[:, 0], pairs[:, 1]
        sums = first + second
        np.subtract(first, second, out=second)
        first[...] = sums
        half *= 2


class Fastfood:
    """A sum of all numbers for each value, with other signs for each."""

    def __init__(self, key: int, count: int, nvalues: int) -> None:
        """Draw the signs (d, k) of a key's chunk."""
        self.terms = count
        self.uses = np.full(count, nvalues)  # (d,)
        self._order = 1 << (count - 1).bit_length()
        self._nvalues = nvalues
        nblocks = -(-nvalues // self._order)
        words = prng.words(prng.derive_seed(key, PLACE_LABEL), 0, nblocks * count)
        signs = 1 - 2 * (words & np.uint64(1)).astype(np.int8)
        self._signs = np.ascontiguousarray(signs.reshape(nblocks, count).T)

    def mix(self, levels: np.ndarray) -> np.ndarray:
        """Return the values (v,) of levels (d,)."""
        count, nblocks = self._signs.shape
        rows = np.zeros((self._order, nblocks), levels.dtype)
        np.multiply(self._signs, levels[:, None], out=rows[:count])
        transform(rows)
        return rows.T.reshape(-1)[: self._nvalues]

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return for each number (d,) the sum of all values (v,), with its signs."""
        count, nblocks = self._signs.shape
        padded = np.zeros(self._order * nblocks, values.dtype)
        padded[: self._nvalues] = values
        rows = np.ascontiguousarray(padded.reshape(nblocks, self._order).T)
        transform(rows)
        sums: np.ndarray = (self._signs * rows[:count]).sum(axis=1)
        return sums


CODEC: Final = NumbersCodec("fastfood", Fastfood)


def configure(settings: Mapping[str, float]) -> NumbersCodec:
    """Return the codec with settings ``bits`` and ``shared_by``.

    Raises:
        ValueError: Another setting, or a value out of range.
    """
    return configured(CODEC, settings)
