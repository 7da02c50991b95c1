"""The codec `fastfood` of the independent reader (`spec/codecs/fastfood.md`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec.reference.seed_codecs import Map
    from spec.reference.seed_hash import decode_numbers, word
else:  # beside this file, however that is loaded
    from seed_hash import decode_numbers, word


def decode_fastfood(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `fastfood`."""
    return decode_numbers(layer, chunks, mix)


def mix(levels: list[int], seed: int, v: int) -> list[int]:
    """Step 7: return the sums of all levels that make the v values."""
    d, order = len(levels), 1
    while order < d:
        order *= 2
    values: list[int] = []
    for k in range(-(-v // order)):
        signed = [(1 - 2 * (word(seed, k * d + j) & 1)) * levels[j] for j in range(d)]
        values += multiply(signed + [0] * (order - d))
    return values[:v]


def multiply(column: list[int]) -> list[int]:
    """Return the Hadamard matrix of the column's order times the column, by halves."""
    half = len(column) // 2
    if not half:
        return column
    first, second = multiply(column[:half]), multiply(column[half:])
    pairs = list(zip(first, second, strict=True))
    return [x + y for x, y in pairs] + [x - y for x, y in pairs]
