"""The codec `hash` of the independent reader (`spec/codecs/hash.md`, `spec/codecs/prng.md`)."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from spec.reference.seed_codecs import Map, require, round_to

    Mix: TypeAlias = Callable[[list[int], int, int], list[int]]  # of levels, seed, v
else:  # beside this file, however that is loaded
    from seed_codecs import require, round_to

CHUNK_VALUES = 1 << 18
MASK = (1 << 64) - 1


def word(seed: int, index: int) -> int:
    """Return a word of a random seed."""
    z = seed + (index + 1) * 0x9E3779B97F4A7C15 & MASK
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & MASK
    z = (z ^ z >> 27) * 0x94D049BB133111EB & MASK
    return z ^ z >> 31


def single(value: float) -> float:
    """Round to float32."""
    (rounded,) = struct.unpack("<f", struct.pack("<f", value))
    return float(rounded)


def decode_hash(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `hash`."""
    return decode_numbers(layer, chunks, take_places)


def decode_numbers(layer: Map, chunks: list[bytes], mix: Mix) -> bytes:
    """Step 7: decode a layer of trained numbers, which the codec's `mix` makes values of."""
    dtype, n, elements = layer["dtype"], math.prod(layer["shape"]), b""
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-HASH-1")
    require(layer["params"] == {}, "COD-HASH-2")
    require(len(chunks) == -(-n // CHUNK_VALUES), "CHK-3")
    for i, chunk in enumerate(chunks):
        values = decode_chunk(chunk, min(CHUNK_VALUES, n - i * CHUNK_VALUES), mix)
        elements += b"".join(round_to(dtype, value) for value in values)
    return elements


def take_places(levels: list[int], seed: int, v: int) -> list[int]:
    """Step 7: return for each value the level that it takes, with its sign."""
    words = [word(seed, i) for i in range(v)]
    return [(1 - 2 * (w & 1)) * levels[(w >> 32) * len(levels) >> 32] for w in words]


def decode_chunk(chunk: bytes, v: int, mix: Mix) -> list[float]:
    """Step 7: return the v values of one chunk, as float32."""
    require(chunk, "COD-HASH-3")
    lead, b = chunk[0], chunk[0] % 16
    there = [lead >> 6 & 1, lead >> 4 & 1, lead >> 5 & 1, int(b > 0)]
    head = 1 + 2 * sum(there)
    require(lead < 128 and b <= 8 and len(chunk) >= head, "COD-HASH-3")
    words = iter(struct.unpack_from(f"<{sum(there)}H", chunk, 1))
    key, *bits = [next(words) if one else None for one in there]
    m, a, s = (
        0.0 if one is None else struct.unpack("<f", struct.pack("<HH", 0, one))[0] for one in bits
    )
    for value, one in zip((m, a, s), bits, strict=True):
        require(one is None or 2.0**-64 <= abs(value) <= 2.0**64, "COD-HASH-5")
    require(a >= 0 and s >= 0, "COD-HASH-5")
    size = len(chunk) - head
    require((size > 0) == (b > 0) and size <= -(-b * v // 8), "COD-HASH-4")
    d = min(v, 8 * size // b) if b else 0
    require((key is not None) == (there[2] == 1 or 0 < d < v), "COD-HASH-6")
    stream = int.from_bytes(chunk[head:], "little")
    require(stream >> b * d == 0, "COD-HASH-6")
    levels = [2 * (stream >> b * j & (1 << b) - 1) + 1 - (1 << b) for j in range(d)]
    seeds = (word(key, 0), word(key, 1)) if key is not None else (0, 0)
    mixed = levels if d == v else mix(levels, seeds[1], v) if d else [0] * v
    values = []
    for i in range(v):
        unit = ((word(seeds[0], i) >> 40) - (1 << 23)) / (1 << 23) if a else 0.0
        values.append(single(single(m + single(a * unit)) + single(s * single(mixed[i]))))
    return values
