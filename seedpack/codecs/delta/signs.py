"""Signs from a seed, the same bits on every machine (spec/codecs/delta.md, Signs).

Source: splitmix64, G. L. Steele, D. Lea and C. H. Flood, OOPSLA 2014, 453-472.
"""

from __future__ import annotations

from typing import Final

import numpy as np

_GAMMA: Final = np.uint64(0x9E3779B97F4A7C15)
_FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
_SECOND: Final = np.uint64(0x94D049BB133111EB)
_WORD_BITS: Final = 64


def random_signs(seed: int, count: int) -> np.ndarray:
    """Return ``count`` values (count,) of int8, each -1 or 1.

    Args:
        seed: 0 to 2^64 - 1.
        count: How many.
    """
    nwords = -(-count // _WORD_BITS)
    z = np.arange(1, nwords + 1, dtype=np.uint64) * _GAMMA + np.uint64(seed)  # modulo 2^64
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z ^= z >> np.uint64(31)
    bits = np.unpackbits(z.astype("<u8").view(np.uint8), count=count, bitorder="little")
    return (bits.astype(np.int8) << 1) - np.int8(1)
