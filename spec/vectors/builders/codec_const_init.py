"""Vectors of the codecs `const` and `init`, which have no chunks."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from .catalog import accepted
from .codec_raw import codec_refused
from .layers import NAN
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector
    from .writer import Part


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _const_accepted()
    yield from _const_refused()
    yield from _init_accepted()
    yield from _init_refused()


def const(
    dtype: str, shape: list[int], value: bytes, *, finite: bool = True, **changes: object
) -> Part:
    """Return a layer of equal values."""
    elements = value * math.prod(shape)
    part = layer("w", dtype, shape, elements, stored=[], codec="const", finite=finite)
    return part.change(params={"value": value}).change(**changes)


def _const_accepted() -> Iterator[Vector]:
    for dtype, itemsize in ITEMSIZES.items():
        part = const(dtype, [2, 3], bytes([1] + [0] * (itemsize - 1)))
        data = Draft([part]).build()
        yield accepted(f"codecs/const-{dtype}", data, f"six equal values of {dtype}")
    name = "float32-nan"
    dtype, nan = NAN[name]
    cases = {
        "zero-dimensions": (const("float32", [], struct.pack("<f", 2)), "a scalar"),
        "empty": (const("float32", [0], bytes(4)), "an empty tensor"),
        "large": (const("bfloat16", [3, 1 << 20], b"\x80\x3f"), "three million ones"),
        "declared-nan": (const(dtype, [2], nan, finite=False), "NaN, declared so"),
        "negative-zero": (const("float32", [3], b"\0\0\0\x80"), "the float -0.0"),
    }
    for case, (part, about) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/const-{case}", data, about, shows=("COD-CON-1",))


def _const_refused() -> Iterator[Vector]:
    one = struct.pack("<f", 1)
    params: dict[str, tuple[Map, str]] = {
        "none": ({}, "params are missing"),
        "extra": ({"value": one, "chunk_values": 8}, "a param is unknown"),
        "text": ({"value": "0000"}, "a text as a value"),
        "number": ({"value": 1}, "a number as a value"),
        "short": ({"value": one[:3]}, "three bytes of a float32"),
        "long": ({"value": one + b"\0"}, "five bytes of a float32"),
        "empty": ({"value": b""}, "a value of no bytes"),
    }
    for name, (value, about) in params.items():
        part = const("float32", [2], one, params=value)
        yield codec_refused(f"const-params-{name}", part, "COD-CON-1", about)
    for byte in (2, 255):
        part = const("bool", [2], bytes([byte]))
        yield codec_refused(f"const-bool-{byte}", part, "COD-CON-2", f"a bool of {byte}")
    chunk = const("float32", [2], one)
    chunk.stored = [one * 2]
    yield codec_refused("const-chunk", chunk, "CHK-3", "a chunk beside the params", (53,))
    for name, (dtype, value) in NAN.items():
        part = const(dtype, [2], value)
        yield codec_refused(f"const-{name}", part, "LAY-7", "not finite, declared finite", (68,))


# ---------------------------------------------------------------- init


def word(seed: int, index: int) -> int:
    """Return a word of the page `prng`."""
    mask = (1 << 64) - 1
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    return z ^ (z >> 31)


def single(value: float) -> float:
    """Return the float32 nearest to a value."""
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


def store(dtype: str, value: float) -> bytes:
    """Return the bytes of the value nearest to a float32."""
    if dtype == "float16":
        return struct.pack("<e", value)
    packed = struct.pack("<f", value)
    bits = int.from_bytes(packed, "little")
    return (
        packed
        if dtype == "float32"
        else struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
    )


def init(dtype: str, n: int, seed: int, scale: float, elements: bytes | None = None) -> Part:
    """Return a layer of random values; `elements` where they cannot be computed."""
    if elements is None:
        units = [((word(seed, i) >> 40) - (1 << 23)) / (1 << 23) for i in range(n)]
        elements = b"".join(store(dtype, single(unit * scale)) for unit in units)
    params = {"scale": struct.pack("<f", scale), "seed": seed}
    return layer("w", dtype, [n], elements, stored=[], codec="init", params=params)


def _init_accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        data = Draft([init(dtype, 100, 7, single(0.1))]).build()
        yield accepted(f"codecs/init-{dtype}", data, f"a hundred random values of {dtype}")
    cases = {
        "empty": (init("float32", 0, 0, 1.0), "an empty tensor", "COD-INI-2"),
        "seed-highest": (init("float32", 5, 2**63 - 1, 1.0), "the seed 2^63 - 1", "COD-INI-2"),
        "scale-lowest": (init("float32", 50, 3, 2.0**-100), "the least scale", "COD-INI-3"),
        "scale-highest": (
            init("float32", 50, 3, (2 - 2.0**-23) * 2.0**127),
            "the greatest scale",
            "COD-INI-3",
        ),
    }
    for name, (part, about, rule) in cases.items():
        yield accepted(f"codecs/init-{name}", Draft([part]).build(), about, shows=(rule,))


def _init_refused() -> Iterator[Vector]:
    for dtype in ("float64", "uint8", "float8_e5m2"):
        part = init(dtype, 1, 0, 1.0, bytes(ITEMSIZES[dtype]))
        yield codec_refused(f"init-dtype-{dtype}", part, "COD-INI-1", f"init of {dtype}")
    good = init("float32", 9, 1, 0.5)
    part = good.change(finite=False)
    yield codec_refused("init-not-finite", part, "COD-INI-1", "init of what is not declared finite")
    scale = good.record["params"]["scale"]
    params: dict[str, tuple[Map, str, str]] = {
        "none": ({}, "params are missing", "COD-INI-2"),
        "no-seed": ({"scale": scale}, "the seed is missing", "COD-INI-2"),
        "extra": ({"scale": scale, "seed": 1, "step": 1}, "a param is unknown", "COD-INI-2"),
        "seed-binary": ({"scale": scale, "seed": bytes(8)}, "a binary seed", "COD-INI-2"),
        "scale-number": ({"scale": 1, "seed": 1}, "a number as a scale", "COD-INI-2"),
        "scale-short": ({"scale": scale[:3], "seed": 1}, "a scale of 3 bytes", "COD-INI-3"),
        "scale-long": ({"scale": scale * 2, "seed": 1}, "a scale of 8 bytes", "COD-INI-3"),
    }
    for name, (value, about, rule) in params.items():
        yield codec_refused(f"init-params-{name}", good.change(params=value), rule, about)
    scales = {
        "zero": 0.0,
        "negative": -1.0,
        "tiny": 2.0**-100 * (1 - 2.0**-24),
        "infinite": math.inf,
        "nan": math.nan,
    }
    for name, value in scales.items():
        part = good.change(params={"scale": struct.pack("<f", value), "seed": 1})
        yield codec_refused(f"init-scale-{name}", part, "COD-INI-3", f"the scale {value}")
    chunk = init("float32", 9, 1, 0.5)
    chunk.stored = [b"0"]
    yield codec_refused("init-chunk", chunk, "CHK-3", "a chunk beside the params", (53,))
    large = init("float16", 50, 3, 2.0**17, bytes(100))
    yield codec_refused("init-overflow", large, "LAY-7", "beyond the largest float16", (68,))
