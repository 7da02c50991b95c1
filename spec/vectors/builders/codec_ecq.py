"""Vectors of the codec `ecq` and of its entropy coder."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .catalog import accepted
from .codec_raw import codec_refused
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector
    from .writer import Part


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused_params()
    yield from _refused_grids()
    yield from _refused_chunks()


# ---------------------------------------------------------------- the page `rans`, backwards


def varint(f: int) -> bytes:
    """Return a frequency as it is stored."""
    return bytes([f]) if f < 128 else bytes([128 + f % 128, f // 128])


def rans(symbols: Sequence[int], table: Sequence[int], lane_values: int, tail: int) -> bytes:
    """Return the stream of some symbols."""
    n = -(-len(symbols) // lane_values)
    rows = -(-len(symbols) // n)
    body = max(rows - tail, 0)
    states, words = [0] * n, b""
    for row in reversed(range(-1, rows)):
        if row == body - 1:  # all of the tail is in
            states = [x + 2**16 for x in states]
        for lane in reversed(range(n)):
            if 0 <= row * n + lane < len(symbols):
                s = symbols[row * n + lane]
                f, x = table[s], states[lane]
                if row < body and x >= f << 20:
                    words = struct.pack("<H", x % 2**16) + words
                    x >>= 16
                states[lane] = x // f * 4096 + sum(table[:s]) + x % f
    return struct.pack(f"<{n}I", *states) + words


class Ecq(NamedTuple):
    """A tensor of the codec `ecq` before it is written."""

    symbols: list[int]
    escaped: tuple[float, ...] = ()
    dtype: str = "float32"
    lowest: int = -1
    table: tuple[int, ...] = (16, 1024, 1024, 1024, 1008)
    step: float = 0.5
    lane_values: int = 64
    tail: int = 2
    chunk: int = 0  # values of a chunk; all if 0

    def elements(self) -> bytes:
        """Return the decoded values."""
        escaped = iter(self.escaped)
        levels = [s and (self.lowest + s - 1) * self.step for s in self.symbols]
        values = [x if s else next(escaped) for s, x in zip(self.symbols, levels, strict=True)]
        return b"".join(encode_float(self.dtype, value) for value in values)

    def stored(self) -> list[bytes]:
        """Return the chunks."""
        step, escaped = self.chunk or len(self.symbols), iter(self.escaped)
        chunks = []
        for at in range(0, len(self.symbols), step):
            own = self.symbols[at : at + step]
            verbatim = [encode_float(self.dtype, next(escaped)) for s in own if s == 0]
            stream = rans(own, self.table, self.lane_values, self.tail)
            chunks.append(stream + b"".join(verbatim))
        return chunks

    def params(self) -> Map:
        """Return the params."""
        return {
            "chunk_values": self.chunk or max(len(self.symbols), 1),
            "lane_values": self.lane_values,
            "lowest": struct.pack("<i", self.lowest),
            "table": b"".join(map(varint, self.table)),
            "step": struct.pack("<f", self.step),
            "tail_rows": self.tail,
        }

    def layer(self, stored: list[bytes] | None = None, **params: object) -> Part:
        """Return the layer, with other chunks or params."""
        return layer(
            "w",
            self.dtype,
            None,
            self.elements(),
            stored=self.stored() if stored is None else stored,
            codec="ecq",
            params=self.params() | params,
        )


def encode_float(dtype: str, value: float) -> bytes:
    """Return a value rounded to float32 and then to its dtype."""
    single = struct.pack("<f", value)
    if dtype == "float32":
        return single
    if dtype == "float16":
        return struct.pack("<e", struct.unpack("<f", single)[0])
    bits = int.from_bytes(single, "little")
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


GOOD = Ecq([1, 2, 3, 4, 0, 2, 3, 0], (77.5, -0.0))
LONG = [2 + i % 7 % 3 - i % 5 // 4 for i in range(300)]  # 1 to 4


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        data = Draft([GOOD._replace(dtype=dtype).layer()]).build()
        yield accepted(f"codecs/ecq-{dtype}", data, f"levels of {dtype}, two escaped")
    cases = {
        "lanes": (Ecq(LONG), "COD-RANS-6", "five lanes of 60 rows, two of them tail"),
        "lanes-uneven": (Ecq(LONG[:257]), "COD-RANS-6", "five lanes, whose last row is short"),
        "no-tail": (Ecq(LONG, tail=0), "COD-RANS-2", "all rows are body"),
        "no-tail-uneven": (Ecq(LONG[:258], tail=0), "COD-RANS-5", "a short row, no tail"),
        "all-tail": (Ecq(LONG[:9], tail=9), "COD-RANS-2", "all rows are tail, exactly"),
        "tail-255": (Ecq([2], tail=255), "COD-RANS-2", "a tail longer than the stream"),
        "lane-2048": (Ecq(LONG, lane_values=2048), "COD-RANS-2", "one long lane"),
        "certain": (Ecq([1] * 99, table=(0, 4096)), "COD-RANS-1", "a symbol that is certain"),
        "gap": (
            Ecq([1, 3] * 9, table=(0, 2048, 0, 2048), step=2.0**127),
            "COD-ECQ-4",
            "an infinite level that does not occur",
        ),
        "two-chunks": (
            Ecq([1, 2, 0, 3, 0, 4], (1e30, -1e-40), chunk=4),
            "COD-ECQ-5",
            "two chunks with an escaped value each, the last chunk shorter",
        ),
        "all-escaped": (Ecq([0, 0], (1.5, 2.5)), "COD-ECQ-5", "all values escaped"),
        "step-lowest": (Ecq([1, 4], step=2.0**-126), "COD-ECQ-3", "the least step"),
        "step-highest": (
            Ecq([1, 2], table=(0, 2048, 2048), step=(2 - 2.0**-23) * 2.0**127),
            "COD-ECQ-3",
            "the greatest step",
        ),
        "lowest-least": (Ecq([1, 4], lowest=-(2**23)), "COD-ECQ-4", "the least level"),
        "highest-most": (Ecq([1, 4], lowest=2**23 - 3), "COD-ECQ-4", "the greatest level"),
        "rounded-twice": (
            Ecq([1, 2, 3, 4], (), "float16", 4097, step=struct.unpack("<f", b"\1\x10\0\x3c")[0]),
            "COD-ECQ-7",
            "products that are rounded to float32 and then to float16",
        ),
        "bfloat16-rounded": (
            Ecq([1, 2, 3, 4], (), "bfloat16", 255),
            "COD-ECQ-7",
            "levels of more bits than bfloat16 has",
        ),
    }
    for name, (tensor, rule, about) in cases.items():
        data = Draft([tensor.layer()]).build()
        yield accepted(f"codecs/ecq-{name}", data, about, shows=(rule,))
    empty = layer("w", "float32", [0], b"", codec="ecq", params=GOOD.params())
    yield accepted("codecs/ecq-empty", Draft([empty]).build(), "an empty tensor", shows=("CHK-3",))


def _refused_params() -> Iterator[Vector]:
    for dtype in ("float64", "uint8", "float8_e5m2"):
        part = layer("w", dtype, [8], bytes(8 * ITEMSIZES[dtype]), stored=GOOD.stored())
        part = part.change(codec="ecq", params=GOOD.params())
        yield codec_refused(f"ecq-dtype-{dtype}", part, "COD-ECQ-1", f"ecq of {dtype}")
    part = GOOD.layer().change(finite=False)
    yield codec_refused("ecq-not-finite", part, "COD-ECQ-1", "not declared finite")
    for name in GOOD.params():
        part = GOOD.layer()
        part.record["params"].pop(name)
        yield codec_refused(f"ecq-without-{name}", part, "COD-ECQ-2", f"{name} is missing")
    params: dict[str, tuple[Map, str]] = {
        "extra": ({"zero": 0}, "a param is unknown"),
        "chunk-0": ({"chunk_values": 0}, "chunks of no values"),
        "chunk-text": ({"chunk_values": "8"}, "a text as a number"),
        "lane-binary": ({"lane_values": b"\x40"}, "a binary as a number"),
        "lowest-int": ({"lowest": 1}, "a number as a binary"),
        "lowest-8-bytes": ({"lowest": bytes(8)}, "a lowest level of 64 bits"),
        "table-text": ({"table": "table"}, "a text as a table"),
        "step-int": ({"step": 1}, "a number as a step"),
    }
    for name, (changes, about) in params.items():
        yield codec_refused(f"ecq-params-{name}", GOOD.layer(**changes), "COD-ECQ-2", about)
    layouts: dict[str, tuple[Map, str]] = {
        "lane-63": ({"lane_values": 63}, "lanes too short"),
        "lane-0": ({"lane_values": 0}, "lanes of no values"),
        "lane-2049": ({"lane_values": 2049}, "lanes too long"),
        "lane-2-63": ({"lane_values": 2**63 - 1}, "lanes far too long"),
        "tail-256": ({"tail_rows": 256}, "a tail too long"),
    }
    for name, (changes, about) in layouts.items():
        yield codec_refused(f"ecq-{name}", GOOD.layer(**changes), "COD-RANS-2", about)
    chunks = GOOD.layer(chunk_values=2**20 + 1)
    yield codec_refused("ecq-chunk-above", chunks, "CHK-1", "chunks above 4 MiB")
    more = GOOD.layer([*GOOD.stored(), *GOOD.stored()])
    yield codec_refused("ecq-chunks-too-many", more, "CHK-3", "a chunk more than values", (53,))
    none = GOOD.layer([])
    yield codec_refused("ecq-chunks-none", none, "CHK-3", "no chunk at all", (53,))


def _refused_grids() -> Iterator[Vector]:
    steps = {
        "zero": (0, "a step of 0"),
        "subnormal": (0x007FFFFF, "the greatest subnormal step"),
        "negative": (0xBF000000, "a step of -0.5"),
        "infinite": (0x7F800000, "an infinite step"),
        "nan": (0x7FC00000, "a step that is not a number"),
    }
    for name, (bits, about) in steps.items():
        part = GOOD.layer(step=struct.pack("<I", bits))
        yield codec_refused(f"ecq-step-{name}", part, "COD-ECQ-3", about)
    part = GOOD.layer(step=struct.pack("<d", 0.5))
    yield codec_refused("ecq-step-float64", part, "COD-ECQ-3", "a step of 64 bits")
    tables = {
        "empty": (b"", "no frequencies"),
        "sum-4095": (b"\xff\x1f", "frequencies that sum to 4,095"),
        "sum-4097": (b"\x01\x80\x20", "frequencies that sum to 4,097"),
        "cut": (b"\x00\x80\x20\x80", "the last frequency is cut"),
        "long-zero": (b"\x80\x00\x80\x20", "a zero in two bytes"),
        "three-bytes": (b"\x00\x80\xa0\x00", "a frequency in three bytes"),
    }
    for name, (packed, about) in tables.items():
        part = GOOD.layer(table=packed)
        yield codec_refused(f"ecq-table-{name}", part, "COD-RANS-1", about)
    levels: dict[str, tuple[Map, str]] = {
        "none": ({"table": varint(4096)}, "a table without levels"),
        "first-unused": ({"table": b"\0\0" + varint(4096)}, "the first level does not occur"),
        "last-unused": ({"table": b"\0" + varint(4096) + b"\0"}, "the last does not occur"),
        "too-low": ({"lowest": struct.pack("<i", -(2**23) - 1)}, "a level below -2^23"),
        "too-high": ({"lowest": struct.pack("<i", 2**23 - 2)}, "a level above 2^23"),
        "wrapping": ({"lowest": struct.pack("<i", 2**31 - 1)}, "levels that wrap around"),
        "infinite": ({"step": struct.pack("<f", 2.0**127)}, "a level that is infinite"),
    }
    for name, (changes, about) in levels.items():
        yield codec_refused(f"ecq-levels-{name}", GOOD.layer(**changes), "COD-ECQ-4", about)
    for dtype, step in (("float16", 32760.0), ("bfloat16", 255.5 * 2.0**119)):
        part = GOOD._replace(dtype=dtype).layer(step=struct.pack("<f", step))
        about = "a level that rounding makes infinite"
        yield codec_refused(f"ecq-levels-infinite-{dtype}", part, "COD-ECQ-4", about)


def _refused_chunks() -> Iterator[Vector]:
    (chunk,) = GOOD.stored()
    v = len(GOOD.symbols)
    ends = {
        "byte-missing": (chunk[:-1], "the last byte is missing"),
        "value-missing": (chunk[:-4], "the last escaped value is missing"),
        "byte-more": (chunk + b"\0", "a byte more"),
        "value-more": (chunk + bytes(4), "an escaped value more"),
        "longest": (chunk.ljust(4 + 6 * v, b"\0"), "as long as may be"),
    }
    for name, (stored, about) in ends.items():
        yield codec_refused(f"ecq-end-{name}", GOOD.layer([stored]), "COD-ECQ-6", about)
    sizes = {
        "3": (chunk[:3], "3 bytes for a lane"),
        "longer": (chunk.ljust(4 + 6 * v + 1, b"\0"), "longer than all values escaped"),
    }
    for name, (stored, about) in sizes.items():
        yield codec_refused(f"ecq-size-{name}", GOOD.layer([stored]), "COD-ECQ-5", about)
    low = struct.pack("<I", 2**16 - 1) + chunk[4:]
    yield codec_refused("ecq-state-low", GOOD.layer([low]), "COD-RANS-3", "a state below 2^16")
    tensor = Ecq(LONG)
    (stream,) = tensor.stored()
    zero = stream[:16] + bytes(4) + stream[20:]
    yield codec_refused("ecq-state-0", tensor.layer([zero]), "COD-RANS-3", "a state of 0")
    cut = tensor.layer([stream[:-2]])
    yield codec_refused("ecq-words-cut", cut, "COD-RANS-4", "the last word is missing")
    half = tensor.layer([stream[:-1]])
    yield codec_refused("ecq-words-half", half, "COD-RANS-4", "half of the last word is missing")
    none = tensor.layer([stream[:20]])
    yield codec_refused("ecq-words-none", none, "COD-RANS-4", "no words at all")
    for name, tail in (("body", 0), ("tail", 1)):
        one = Ecq([2], tail=tail)
        (state,) = struct.unpack("<I", one.stored()[0])
        other = [struct.pack("<I", state + 4096)]
        yield codec_refused(f"ecq-end-of-{name}", one.layer(other), "COD-RANS-5", "ends at 1,024")
    for name, value in (("nan", float("nan")), ("infinity", float("-inf"))):
        part = GOOD._replace(escaped=(value, 1.0)).layer()
        yield codec_refused(f"ecq-escaped-{name}", part, "LAY-7", f"{name} escaped", (68,))
