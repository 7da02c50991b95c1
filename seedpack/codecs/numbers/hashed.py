"""Codec ``hash``: each weight takes one of the numbers, with a sign (spec/codecs/hash.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs import prng
from seedpack.codecs.numbers.codec import NumbersCodec, configured
from seedpack.codecs.numbers.form import PLACE_LABEL

if TYPE_CHECKING:
    from collections.abc import Mapping


def find_places(key: int, count: int, nvalues: int) -> tuple[np.ndarray, np.ndarray]:
    """Return for each value (v,) its number, 0 to ``count`` - 1, and its sign, 1 or -1 (int8).

    Source: hashed sharing, W. Chen et al., *Compressing neural networks with the hashing trick*,
    ICML 2015, arXiv:1504.04788.
    """
    words = prng.words(prng.derive_seed(key, PLACE_LABEL), 0, nvalues)
    signs = 1 - 2 * (words & np.uint64(1)).astype(np.int8)
    return prng.below(words, count), signs


class Hashing:
    """A number for each value."""

    def __init__(self, key: int, count: int, nvalues: int) -> None:
        """Draw the places (v,) and signs (v,) of a key's chunk."""
        self.terms = 1
        self._places, self._signs = find_places(key, count, nvalues)
        self.uses = np.bincount(self._places, minlength=count)  # (d,)

    def mix(self, levels: np.ndarray) -> np.ndarray:
        """Return the values (v,) of levels (d,)."""
        return np.asarray(self._signs * levels.take(self._places))

    def gather(self, values: np.ndarray) -> np.ndarray:
        """Return for each number (d,) the sum of the values (v,) that it is part of."""
        sums = np.zeros(self.uses.size, values.dtype)
        np.add.at(sums, self._places, self._signs * values)
        return sums


CODEC: Final = NumbersCodec("hash", Hashing)


def configure(settings: Mapping[str, float]) -> NumbersCodec:
    """Return the codec with settings ``bits`` and ``shared_by``.

    Raises:
        ValueError: Another setting, or a value out of range.
    """
    return configured(CODEC, settings)
