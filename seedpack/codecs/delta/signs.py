"""Signs from a seed, the same bits on every machine (spec/codecs/delta.md, Signs)."""

from __future__ import annotations

from typing import Final

import numpy as np

from seedpack.codecs.prng import words

_WORD_BITS: Final = 64


def random_signs(seed: int, count: int) -> np.ndarray:
    """Return ``count`` values (count,) of int8, each -1 or 1 (COD-DLT-6).

    Args:
        seed: 0 to 2^64 - 1.
        count: How many.
    """
    drawn = words(seed, 0, -(-count // _WORD_BITS)).astype("<u8").view(np.uint8)
    bits = np.unpackbits(drawn, count=count, bitorder="little")
    return (bits.astype(np.int8) << 1) - np.int8(1)
