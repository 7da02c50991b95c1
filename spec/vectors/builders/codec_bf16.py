"""Vectors of the codec `bf16`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted
from .codec_raw import codec_refused, table
from .frames import zeros
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector
    from .writer import Part

WORDS = [0x3F80, 0xBF81, 0x0000, 0x8000, 0x4049, 0x3E01, 0xC2F7]  # 1, -1.0078125, 0, -0, ...


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused()


def bf16(
    words: list[int], dtype: str = "float32", *, chunk: int = 0, elements: bytes | None = None
) -> Part:
    """Return a layer of verbatim chunks; `elements` where they cannot be computed."""
    step = chunk or max(len(words), 1)
    pieces = [words[at : at + step] for at in range(0, len(words), step)]
    if elements is None:
        values = [struct.unpack("<f", struct.pack("<HH", 0, word))[0] for word in words]
        elements = struct.pack(f"<{len(words)}{'e' if dtype == 'float16' else 'f'}", *values)
    stored = [struct.pack(f"<{len(piece)}H", *piece) for piece in pieces]
    params = {"chunk_values": step}
    return layer("w", dtype, [len(words)], elements, stored=stored, codec="bf16", params=params)


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "float32"):
        data = Draft([bf16(WORDS, dtype)]).build()
        yield accepted(f"codecs/bf16-{dtype}", data, f"values of {dtype}", shows=("COD-BF16-1",))
    planes = bf16([0x3F80] * 100)
    planes.stored = [table([zeros(100), zeros(100, 0x7F)])]
    cases = {
        "two-chunks": (bf16(WORDS, chunk=4), "two chunks, the last one shorter"),
        "empty": (bf16([]), "an empty tensor"),
        "planes": (planes, "two planes as frames"),
        "extremes": (bf16([0x7F7F, 0xFF7F, 0x0001, 0x8001]), "the greatest and the least"),
        "float16-subnormal": (bf16([0x3380, 0x3381, 0x33C0], "float16"), "2^-24 and a little more"),
    }
    for name, (part, about) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/bf16-{name}", data, about, shows=("COD-BF16-2",))


def _refused() -> Iterator[Vector]:
    for dtype in ("bfloat16", "float64", "int16"):
        part = bf16([0x3F80], dtype, elements=bytes(ITEMSIZES[dtype]))
        yield codec_refused(f"bf16-dtype-{dtype}", part, "COD-BF16-1", f"bf16 of {dtype}")
    part = bf16(WORDS).change(finite=False)
    yield codec_refused("bf16-not-finite", part, "COD-BF16-1", "bf16, but not declared finite")
    params: dict[str, tuple[Map, str]] = {
        "none": ({}, "params are missing"),
        "extra": ({"chunk_values": 7, "more": 1}, "a param is unknown"),
        "zero": ({"chunk_values": 0}, "chunks of no values"),
        "text": ({"chunk_values": "7"}, "a text as a number"),
    }
    for name, (value, about) in params.items():
        part = bf16(WORDS).change(params=value)
        yield codec_refused(f"bf16-params-{name}", part, "COD-BF16-2", about)
    above = bf16(WORDS).change(params={"chunk_values": 2**20 + 1})
    yield codec_refused("bf16-chunk-values-above", above, "CHK-1", "chunks above 4 MiB", (66,))
    chunk = bf16(WORDS).stored[0]
    stored = {
        "byte-more": (chunk + b"\0", "COD-RAW-2", "a byte behind the values"),
        "byte-less": (chunk[:-1], "COD-RAW-3", "a byte is missing"),
        "short": (chunk[:9], "COD-RAW-2", "too short for planes"),
        "float32": (bf16(WORDS).stored[0] * 2, "COD-RAW-2", "four bytes a value"),
    }
    for name, (data, rule, about) in stored.items():
        part = bf16(WORDS)
        part.stored = [data]
        yield codec_refused(f"bf16-length-{name}", part, rule, about)
    part = bf16(WORDS)
    part.stored *= 2
    yield codec_refused("bf16-chunks-too-many", part, "CHK-3", "a chunk more than values", (53,))
    for name, word in {"infinite": 0x7F80, "nan": 0xFFC1}.items():
        part = bf16([word, 0], elements=bytes(8))
        yield codec_refused(f"bf16-{name}", part, "LAY-7", "a value that is not finite", (68,))
    part = bf16([0x4780], "float16", elements=bytes(2))
    yield codec_refused("bf16-overflow", part, "LAY-7", "65,536 in float16", (68,))
