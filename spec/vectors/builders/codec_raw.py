"""Vectors of the codec `raw`, and what both codecs' vectors are made with."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .frames import zeros
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector
    from .writer import Part

WIDE = {"float16": 2, "bfloat16": 2, "float32": 4, "float64": 8}  # split as 16-bit words


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _raw_accepted()
    yield from _raw_refused()


def raw_planes(dtype: str, elements: bytes) -> list[bytes]:
    """Cut values into the planes of the page `raw`."""
    s = ITEMSIZES[dtype]
    if dtype not in WIDE:
        return [elements[i::s] for i in range(s)]
    values = [elements[at : at + s] for at in range(0, len(elements), s)]
    low = [b"".join(value[2 * i : 2 * i + 2] for value in values) for i in range(s // 2 - 1)]
    tops = [int.from_bytes(value[-2:], "little") for value in values]
    side = bytes(top >> 8 & 0x80 | top & 0x7F for top in tops)
    return [*low, side, bytes(top >> 7 & 0xFF for top in tops)]


def table(planes: Sequence[bytes]) -> bytes:
    """Return planes behind their lengths."""
    return struct.pack(f"<{len(planes)}I", *map(len, planes)) + b"".join(planes)


def squeezed(plane: bytes) -> bytes:
    """Return a plane of equal bytes as a frame where that is shorter."""
    constant = len(set(plane)) == 1 and len(plane) > len(zeros(1))
    return zeros(len(plane), plane[0]) if constant else plane


def raw_layer(dtype: str, elements: bytes, chunk_values: int, name: str = "w") -> Part:
    """Return a layer whose chunks are planes."""
    step = chunk_values * ITEMSIZES[dtype]
    pieces = [elements[at : at + step] for at in range(0, len(elements), step)]
    stored = [table([squeezed(plane) for plane in raw_planes(dtype, p)]) for p in pieces]
    params = {"chunk_values": chunk_values}
    return layer(name, dtype, None, elements, stored=stored, params=params)


def _raw_accepted() -> Iterator[Vector]:
    for dtype, s in ITEMSIZES.items():
        element = bytes([1, 0, 0, 0, 0, 0, 0x70, 0x40])[-s:] if s > 1 else b"\1"
        parts = [raw_layer(dtype, element * 200, 200)]
        about = f"200 equal values of {dtype} as planes"
        data = Draft(parts).build()
        yield accepted(f"codecs/raw-planes-{dtype}", data, about, shows=("COD-RAW-3",))
    ramp = b"".join(struct.pack("<f", 1 + i / 512) for i in range(300))
    draft = Draft([raw_layer("float32", ramp, 150)])
    about = "a ramp of float32 in two chunks: two planes verbatim, one compressed"
    yield accepted("codecs/raw-ramp", draft.build(), about, shows=("COD-RAW-2",))
    values = bytes(range(10))
    chunked = layer(elements=values, stored=[values[:4], values[4:8], values[8:]])
    cases = {
        "three-chunks": (chunked.change(params={"chunk_values": 4}), "the last chunk is shorter"),
        "one-value-a-chunk": (
            layer(elements=b"ab", stored=[b"a", b"b"]).change(params={"chunk_values": 1}),
            "the smallest chunks",
        ),
        "chunk-values-4-mib": (
            layer().change(params={"chunk_values": 2**22}),
            "chunks may be larger than the tensor",
        ),
        "empty": (layer("w", "float32", [3, 0], b""), "an empty tensor has no chunk"),
        "bool": (layer("w", "bool", [2], b"\0\1"), "both values of bool"),
    }
    for name, (part, about) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/raw-{name}", data, about, shows=("CHK-3",))


def _raw_refused() -> Iterator[Vector]:
    params: dict[str, tuple[Map, str]] = {
        "none": ({}, "params are missing"),
        "zero": ({"chunk_values": 0}, "chunks of no values"),
        "text": ({"chunk_values": "8"}, "a text as a number"),
        "binary": ({"chunk_values": b"8"}, "a binary as a number"),
        "extra": ({"chunk_values": 8, "level": 3}, "a param that is unknown"),
        "other": ({"chunk_nbytes": 8}, "another name"),
    }
    for name, (value, about) in params.items():
        yield codec_refused(f"raw-params-{name}", layer(params=value), "COD-RAW-1", about)
    eight = bytes(range(8))
    planes = raw_planes("uint16", b"ab" * 100)
    good = [squeezed(plane) for plane in planes]
    lengths = {
        "one-more": ([eight + b"\0"], "one byte more than its values"),
        "one-less": ([eight[:-1]], "one byte less, which is no plane"),
        "four": ([eight[:4]], "a length of a plane alone"),
        "twice": ([eight * 2], "twice its values"),
    }
    for name, (stored, about) in lengths.items():
        rule = "COD-RAW-3" if name == "one-less" else "COD-RAW-2"
        yield codec_refused(f"raw-length-{name}", layer(stored=stored), rule, about)
    nine = struct.pack("<2I", 1, 0) + b"a"
    short = layer("w", "uint16", [100], b"ab" * 100, stored=[nine])
    yield codec_refused(
        "raw-length-9-of-2-planes", short, "COD-RAW-2", "4 bytes and a half a plane"
    )
    sums = {
        "byte-behind": (table(good) + b"\0", "a byte behind the planes"),
        "byte-missing": (table(good)[:-1], "the last plane is one byte short"),
        "length-2-32": (
            struct.pack("<2I", 2**32 - 1, 2**32 - 1) + b"".join(good),
            "lengths that wrap around",
        ),
        "lengths-zero": (struct.pack("<2I", 0, 0) + b"".join(good), "lengths of zero"),
        "big-endian": (
            struct.pack(">2I", *map(len, good)) + b"".join(good),
            "lengths with their highest byte first",
        ),
    }
    for name, (chunk, about) in sums.items():
        part = layer("w", "uint16", [100], b"ab" * 100, stored=[chunk])
        yield codec_refused(f"raw-table-{name}", part, "COD-RAW-3", about)
    for byte in (2, 255):
        part = layer("w", "bool", [2], bytes([1, byte]))
        yield codec_refused(f"raw-bool-{byte}", part, "COD-RAW-4", f"a bool of {byte}")
    swapped = layer("w", "uint16", [100], b"ba" * 100, stored=[table(good)])
    yield codec_refused("raw-planes-swapped", swapped, "LAY-8", "the planes of another order")
    above = layer(params={"chunk_values": 2**22 + 1})
    yield codec_refused(
        "raw-chunk-values-above", above, "CHK-1", "chunks of 4 MiB and a byte", (66,)
    )
    yield from _raw_counts()


def _raw_counts() -> Iterator[Vector]:
    eight = bytes(range(8))
    four = {"chunk_values": 4}
    counts = {
        "too-many": (layer(stored=[eight, b"x"]), "a chunk more than values", (18, 53)),
        "too-few": (layer(stored=[eight[:4]], params=four), "a chunk is missing", (53, 57)),
        "none": (layer(stored=[]), "no chunk at all", (57,)),
        "for-empty": (layer("w", "uint8", [0], b"", stored=[b"x"]), "a chunk of nothing", (53,)),
        "for-smaller": (layer(stored=[eight], params=four), "one chunk for two", (53,)),
    }
    for name, (part, about, attack) in counts.items():
        yield codec_refused(f"raw-chunks-{name}", part, "CHK-3", about, attack)


def codec_refused(
    name: str, part: Part, rule: str, about: str, attack: tuple[int, ...] = ()
) -> Vector:
    """Describe a file that a codec refuses."""
    data = Draft([part]).build()
    code = "SP400" if rule in {"LAY-7", "CHK-1"} else None
    return refused(f"codecs/{name}", data, rule, about, attack=attack, mode="decode", code=code)
