"""Vectors of the codec `q8`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .catalog import accepted
from .codec_raw import codec_refused, table
from .frames import zeros
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector
    from .writer import Part


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _q8_accepted()
    yield from _q8_refused()


class Q8(NamedTuple):
    """A tensor of the codec `q8` before it is written."""

    scales: list[int]  # bits of bfloat16
    codes: list[int]
    group: int
    dtype: str = "float32"
    chunk: int = 0  # values of a chunk; all if 0

    def elements(self) -> bytes:
        """Return the decoded values."""
        scales = [struct.unpack("<f", struct.pack("<HH", 0, bits))[0] for bits in self.scales]
        step = self.chunk or len(self.codes)
        out = b""
        for i, code in enumerate(self.codes):
            groups_before = i // step * -(-step // self.group)
            product = code * scales[groups_before + i % step // self.group]
            out += _encode(self.dtype, product)
        return out

    def stored(self) -> list[bytes]:
        """Return the chunks, each plane verbatim."""
        step = self.chunk or len(self.codes)
        ngroups = -(-step // self.group)
        starts = range(0, len(self.codes), step)
        scales = [self.scales[at // step * ngroups :][:ngroups] for at in starts]
        codes = [self.codes[at : at + step] for at in starts]
        return [
            table([struct.pack(f"<{len(s)}H", *s), struct.pack(f"{len(c)}b", *c)])
            for s, c in zip(scales, codes, strict=True)
        ]

    def layer(self, elements: bytes | None = None, **changes: object) -> Part:
        """Return the layer; `elements` where they cannot be computed."""
        step = self.chunk or -(-len(self.codes) // self.group) * self.group
        params = {"chunk_values": step, "group_values": self.group}
        decoded = self.elements() if elements is None else elements
        part = layer(
            "w", self.dtype, None, decoded, stored=self.stored(), codec="q8", params=params
        )
        return part.change(**changes)


def _encode(dtype: str, value: float) -> bytes:
    if dtype == "float16":
        return struct.pack("<e", value)
    single = struct.pack("<f", value)
    if dtype == "float32":
        return single
    bits = int.from_bytes(single, "little")
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


GOOD = Q8([0x3C01, 0x0080, 0x0000], [-127, 1, 0, 127, 3, 0, -5, 77, 0], 4)
ONE = 0x3F80  # the bfloat16 1.0


def _q8_accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        scales = [0x3C01, 0x3F7F, 0x0000] if dtype == "float16" else GOOD.scales
        part = GOOD._replace(dtype=dtype, scales=scales).layer()
        about = f"three groups of {dtype}, one of them zero"
        yield accepted(f"codecs/q8-{dtype}", Draft([part]).build(), about, shows=("COD-Q8-7",))
    cases = {
        "two-chunks": (
            Q8([ONE, 0x4000, 0x4040], [1, 2, 3, 4, 5, 6], 2, chunk=4),
            "COD-Q8-3",
            "two chunks, the last one shorter",
        ),
        "group-of-1": (Q8([ONE, ONE], [1, -1], 1), "COD-Q8-2", "groups of one value"),
        "group-of-all": (Q8([ONE], list(range(1, 100)), 128), "COD-Q8-2", "one large group"),
        "scale-lowest": (Q8([0x0080], [1, -1], 2), "COD-Q8-5", "the least normal scale"),
        "scale-highest": (Q8([0x7F7F], [1, -1], 2), "COD-Q8-5", "the greatest scale"),
        "codes-extreme": (Q8([ONE], [127, -127], 2), "COD-Q8-6", "the extreme codes"),
        "float16-subnormal": (Q8([0x3380], [1, 3], 2, "float16"), "COD-Q8-8", "2^-24, 3 2^-24"),
        "float16-to-zero": (Q8([0x3300], [1, -1], 2, "float16"), "COD-Q8-8", "ties to even: 0"),
        "float16-highest": (Q8([0x4480], [63, 64 - 1], 2, "float16"), "COD-Q8-8", "64,512"),
        "bfloat16-ties": (
            Q8([0x3F81, 0x3F83], [127, 3, 5, 127], 2, "bfloat16"),
            "COD-Q8-8",
            "products that need rounding",
        ),
    }
    for name, (tensor, rule, about) in cases.items():
        data = Draft([tensor.layer()]).build()
        yield accepted(f"codecs/q8-{name}", data, about, shows=(rule,))
    empty = layer(
        "w", "float32", [0], b"", codec="q8", params={"chunk_values": 4, "group_values": 2}
    )
    yield accepted("codecs/q8-empty", Draft([empty]).build(), "an empty tensor", shows=("CHK-3",))
    scale = struct.pack("<H", ONE)
    elements = struct.pack("<f", 5) * 100
    part = layer("w", "float32", [100], elements, stored=[table([scale, zeros(100, 5)])])
    part = part.change(codec="q8", params={"chunk_values": 100, "group_values": 100})
    yield accepted("codecs/q8-compressed", Draft([part]).build(), "codes as a frame")


def _q8_refused() -> Iterator[Vector]:
    yield from _q8_kinds()
    chunk = GOOD.stored()[0]
    g, v = 3, 9
    lengths = {
        "9": (table([b"", b"a"])[:9], "9 bytes"),
        "one-more": (chunk + b"\0", "one byte more than all planes verbatim"),
        "empty-planes": (struct.pack("<2I", 0, 0), "two planes of nothing"),
    }
    assert len(chunk) == 8 + 2 * g + v  # noqa: S101
    for name, (stored, about) in lengths.items():
        yield codec_refused(f"q8-length-{name}", _with_chunk(stored), "COD-Q8-3", about)
    sums = {
        "byte-missing": (chunk[:-1], "the last byte is missing"),
        "lengths-zero": (bytes(8) + chunk[8:], "lengths of zero"),
        "length-2-32": (b"\xff" * 8 + chunk[8:], "lengths that wrap around"),
        "first-beyond": (struct.pack("<2I", 100, v) + chunk[8:], "the first ends beyond"),
    }
    for name, (stored, about) in sums.items():
        yield codec_refused(f"q8-table-{name}", _with_chunk(stored), "COD-Q8-4", about)
    moved = struct.pack("<2I", 2 * g - 1, v + 1) + chunk[8:]
    about = "the border between the planes is moved"
    yield codec_refused("q8-table-moved", _with_chunk(moved), "ZST-1", about)
    scales = {
        "subnormal": (0x0001, "a subnormal scale"),
        "subnormal-highest": (0x007F, "the greatest subnormal scale"),
        "negative": (0xBF80, "a scale of -1"),
        "minus-zero": (0x8000, "a scale of -0"),
        "infinite": (0x7F80, "an infinite scale"),
        "nan": (0x7FC0, "a scale that is not a number"),
    }
    for name, (bits, about) in scales.items():
        codes = [0, 0] if bits == 0x8000 else [1, 2]
        part = Q8([bits], codes, 2).layer(struct.pack("<2f", 1, 2))
        yield codec_refused(f"q8-scale-{name}", part, "COD-Q8-5", about)
    part = Q8([ONE], [1, -128], 2).layer()
    yield codec_refused("q8-code-minus-128", part, "COD-Q8-6", "the code -128")
    zero = Q8([ONE, ONE], [1, 2, 0, 0], 2).layer()
    yield codec_refused("q8-scale-of-zeros", zero, "COD-Q8-7", "a scale for codes of zero")
    lost = Q8([0, ONE], [1, 0, 1, 0], 2).layer()
    yield codec_refused("q8-zero-scale", lost, "COD-Q8-7", "a scale of zero for a code of one")
    overflow = {
        "float32": Q8([0x7F7F], [1, 2], 2),
        "float16": Q8([0x4780], [1, 2], 2, "float16"),
        "bfloat16": Q8([0x7F7F], [1, -2], 2, "bfloat16"),
    }
    for dtype, tensor in overflow.items():
        part = tensor.layer(bytes(2 * ITEMSIZES[dtype]))
        yield codec_refused(f"q8-overflow-{dtype}", part, "LAY-7", "a product is infinite", (68,))
    rounded = Q8([0x4781], [1, 1], 2, "float16").layer(bytes(4))
    yield codec_refused("q8-overflow-by-rounding", rounded, "LAY-7", "infinite in float16", (68,))


def _q8_kinds() -> Iterator[Vector]:
    for dtype in ("float64", "uint8", "float8_e5m2"):
        part = layer(
            "w", dtype, [1], bytes(ITEMSIZES[dtype]), stored=[GOOD.stored()[0]], codec="q8"
        )
        part = part.change(params={"chunk_values": 4, "group_values": 2})
        yield codec_refused(f"q8-dtype-{dtype}", part, "COD-Q8-1", f"q8 of {dtype}")
    part = GOOD.layer(finite=False)
    yield codec_refused("q8-not-finite", part, "COD-Q8-1", "q8 of what is not declared finite")
    params: dict[str, tuple[Map, str]] = {
        "none": ({}, "params are missing"),
        "no-group": ({"chunk_values": 12}, "one param is missing"),
        "extra": ({"chunk_values": 12, "group_values": 4, "zero": 0}, "a param is unknown"),
        "chunk-0": ({"chunk_values": 0, "group_values": 4}, "chunks of no values"),
        "group-0": ({"chunk_values": 12, "group_values": 0}, "groups of no values"),
        "not-a-multiple": ({"chunk_values": 14, "group_values": 4}, "a group crosses a chunk"),
        "group-above-chunk": ({"chunk_values": 12, "group_values": 24}, "a group beyond a chunk"),
        "chunk-above": ({"chunk_values": 2**20 + 4, "group_values": 4}, "chunks above 2^20"),
        "text": ({"chunk_values": "12", "group_values": 4}, "a text as a number"),
    }
    for name, (value, about) in params.items():
        yield codec_refused(f"q8-params-{name}", GOOD.layer(params=value), "COD-Q8-2", about)
    more = GOOD.layer()
    more.stored = [*more.stored, b"0123456789"]
    yield codec_refused("q8-chunks-too-many", more, "CHK-3", "a chunk more than values", (53,))
    none = GOOD.layer()
    none.stored = []
    yield codec_refused("q8-chunks-none", none, "CHK-3", "no chunk at all", (53,))


def _with_chunk(stored: bytes) -> Part:
    part = GOOD.layer()
    part.stored = [stored]
    return part
