"""Random numbers that anyone can compute anew: a function of seed and index (spec/codecs/prng.md).

    seed, index --SplitMix64--> word, 64 bits --> unit in [-1, 1) | integer below n | another seed

Counter-based: any stretch can be computed alone, in any order and by several threads. All
is integer arithmetic modulo 2^64, and units are exact in float32.

Source: G. L. Steele, D. Lea, C. H. Flood, *Fast splittable pseudorandom number generators*,
OOPSLA 2014, doi:10.1145/2660193.2660195, with the variant 13 of D. Stafford's mixers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

MAX_BOUND: Final = 1 << 32

_GAMMA: Final = 0x9E3779B97F4A7C15  # 2^64 over the golden ratio, odd
_MULTIPLIERS: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_SHIFTS: Final = (np.uint64(30), np.uint64(27), np.uint64(31))
_MODULUS: Final = 1 << 64
_UNIT_BITS: Final = 24  # what a float32 holds exactly
_BLOCK: Final = 1 << 14  # words mixed together: 128 KiB and as much scratch, a usual L2


def words(seed: int, start: int, count: int) -> np.ndarray:
    """Return words ``start`` to ``start + count - 1`` of a seed, as uint64 (COD-PRNG-1).

    Args:
        seed: 0 to 2^64 - 1; of a manifest, 0 to 2^63 - 1.
        start: 0 or more; the words repeat after 2^64.
        count: 0 or more.
    """
    out = np.empty(count, np.uint64)
    first = np.arange(1, min(count, _BLOCK) + 1, dtype=np.uint64) * np.uint64(_GAMMA)
    scratch = np.empty_like(first)
    for at in range(0, count, _BLOCK):
        block = out[at : at + _BLOCK]
        offset = np.uint64((seed + (start + at) * _GAMMA) % _MODULUS)
        np.add(first[: block.size], offset, out=block)
        _mix(block, scratch[: block.size])
    return out


def derive_seed(seed: int, label: int) -> int:
    """Return word ``label`` of a seed: the seed of a stream of its own, 0 to 2^64 - 1."""
    return int(words(seed, label, 1)[0])


def units(random_words: np.ndarray) -> np.ndarray:
    """Return float32 in [-1, 1) from the highest 24 bits of each word; exact (COD-PRNG-2).

    A unit is a multiple of 2^-23, so that its product with a float32 is rounded once, and is
    normal or 0 where the other factor is 2^-100 or more.
    """
    highest = (random_words >> np.uint64(64 - _UNIT_BITS)).astype(np.int32)
    highest -= np.int32(1 << (_UNIT_BITS - 1))
    values: np.ndarray = highest.astype(np.float32)
    values *= np.float32(2.0 ** (1 - _UNIT_BITS))
    return values


def below(random_words: np.ndarray, bound: int) -> np.ndarray:
    """Return int64 in [0, bound) from the highest 32 bits of each word (COD-PRNG-3).

    Args:
        random_words: uint64.
        bound: 1 to 2^32.

    Returns:
        floor(high * bound / 2^32): no value is likelier than another by more than
        bound / 2^32 of its share.
    """
    if not 1 <= bound <= MAX_BOUND:
        raise ValueError(f"bound {bound}")
    scaled = (random_words >> np.uint64(32)) * np.uint64(bound)  # below 2^64
    return (scaled >> np.uint64(32)).astype(np.int64)


def _mix(block: np.ndarray, scratch: np.ndarray) -> None:
    """Let each bit of a word change half the bits of its image."""
    for shift, multiplier in zip(_SHIFTS, _MULTIPLIERS, strict=False):
        np.right_shift(block, shift, out=scratch)
        np.bitwise_xor(block, scratch, out=block)
        np.multiply(block, multiplier, out=block)
    np.right_shift(block, _SHIFTS[-1], out=scratch)
    np.bitwise_xor(block, scratch, out=block)
