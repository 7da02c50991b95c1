"""Vectors of the codec `tcq`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .catalog import accepted
from .codec_ecq import encode_float, varint
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


class Tcq(NamedTuple):
    """A tensor of the codec `tcq` before it is written."""

    symbols: list[int]
    escaped: tuple[float, ...] = ()
    dtype: str = "float32"
    lowest: tuple[int, int] = (-1, -2)
    tables: tuple[tuple[int, ...], tuple[int, ...]] = (
        (16, 1024, 1024, 1024, 1008),
        (8, 1000, 1048, 1032, 1008),
    )
    half_step: float = 0.25
    lane_values: int = 64
    tail: int = 2
    chunk: int = 0  # values of a chunk; all if 0

    def quantisers(self) -> list[int]:
        """Return the quantiser of each symbol, chunk by chunk and lane by lane."""
        return [q for own in self.chunks() for q in self._walk(own)]

    def chunks(self) -> list[list[int]]:
        """Return the symbols of each chunk."""
        step = self.chunk or max(len(self.symbols), 1)
        return [self.symbols[at : at + step] for at in range(0, len(self.symbols), step)]

    def _walk(self, symbols: Sequence[int]) -> list[int]:
        n = -(-len(symbols) // self.lane_values)
        trellis, quantisers = [0] * n, []
        for i, s in enumerate(symbols):
            t = trellis[i % n]
            q = t % 2
            quantisers.append(q)
            is_odd = s and (self.lowest[q] + s - 1) % 2
            trellis[i % n] = t // 2 ^ q * 33 ^ (10 if is_odd else 0)
        return quantisers

    def elements(self) -> bytes:
        """Return the decoded values."""
        escaped, elements = iter(self.escaped), b""
        for s, q in zip(self.symbols, self.quantisers(), strict=True):
            level = 2 * (self.lowest[q] + s - 1) + q
            elements += encode_float(self.dtype, level * self.half_step if s else next(escaped))
        return elements

    def stored(self) -> list[bytes]:
        """Return the chunks."""
        escaped, chunks = iter(self.escaped), []
        for own in self.chunks():
            verbatim = [encode_float(self.dtype, next(escaped)) for s in own if s == 0]
            chunks.append(self._stream(own) + b"".join(verbatim))
        return chunks

    def _stream(self, symbols: Sequence[int]) -> bytes:
        """Code backwards, each symbol with the table of its quantiser."""
        n = -(-len(symbols) // self.lane_values)
        rows, quantisers = -(-len(symbols) // n), self._walk(symbols)
        body = max(rows - self.tail, 0)
        states, words = [0] * n, b""
        for row in reversed(range(-1, rows)):
            if row == body - 1:  # all of the tail is in
                states = [x + 2**16 for x in states]
            for i in reversed(range(max(row * n, 0), min((row + 1) * n, len(symbols)))):
                table, s, x = self.tables[quantisers[i]], symbols[i], states[i % n]
                f = table[s]
                if row < body and x >= f << 20:
                    words = struct.pack("<H", x % 2**16) + words
                    x >>= 16
                states[i % n] = x // f * 4096 + sum(table[:s]) + x % f
        return struct.pack(f"<{n}I", *states) + words

    def params(self) -> Map:
        """Return the params."""
        return {
            "chunk_values": self.chunk or max(len(self.symbols), 1),
            "half_step": struct.pack("<f", self.half_step),
            "lane_values": self.lane_values,
            "lowest_even": struct.pack("<i", self.lowest[0]),
            "lowest_odd": struct.pack("<i", self.lowest[1]),
            "table_even": b"".join(map(varint, self.tables[0])),
            "table_odd": b"".join(map(varint, self.tables[1])),
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
            codec="tcq",
            params=self.params() | params,
        )


GOOD = Tcq([1, 2, 3, 4, 0, 2, 3, 0], (77.5, -0.0))
# All four labels, and every state of the trellis many times.
LONG = [1 + i * i % 7 % 4 for i in range(700)]
CERTAIN = (0, 4096)


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        data = Draft([GOOD._replace(dtype=dtype).layer()]).build()
        yield accepted(f"codecs/tcq-{dtype}", data, f"levels of {dtype}, two escaped")
    cases = {
        "lanes": (Tcq(LONG), "COD-TCQ-7", "eleven lanes, two rows of them tail"),
        "lanes-uneven": (Tcq(LONG[:257]), "COD-TCQ-7", "five lanes, whose last row is short"),
        "no-tail": (Tcq(LONG, tail=0), "COD-TCQ-7", "all rows are body"),
        "all-tail": (Tcq(LONG[:9], tail=9), "COD-TCQ-7", "states go on through a tail"),
        "lane-2048": (Tcq(LONG, lane_values=2048), "COD-TCQ-7", "one long lane, and no other"),
        "one-quantiser": (
            Tcq([1] * 99, lowest=(0, 5), tables=(CERTAIN, CERTAIN)),
            "COD-TCQ-7",
            "even levels only: the trellis stays in state 0",
        ),
        "two-chunks": (
            Tcq([2, 1, 0, 3, 0, 4, 1, 2], (1e30, -1e-40), chunk=5),
            "COD-TCQ-5",
            "a second chunk begins in state 0",
        ),
        "all-escaped": (Tcq([0, 0], (1.5, 2.5)), "COD-TCQ-5", "all values escaped"),
        "gap": (
            Tcq(
                [1, 3] * 9,
                lowest=(-1, -2),
                tables=((0, 2048, 0, 2048), (0, 1024, 1024, 2048)),
                half_step=2.0**125,
            ),
            "COD-TCQ-4",
            "levels as great as float32 allows, one that does not occur",
        ),
        "half-step-lowest": (Tcq([1, 4], half_step=2.0**-126), "COD-TCQ-3", "the least half step"),
        "half-step-highest": (
            Tcq([1, 1], lowest=(0, -1), tables=(CERTAIN, CERTAIN), half_step=_greatest()),
            "COD-TCQ-3",
            "the greatest half step",
        ),
        "lowest-least": (Tcq([1, 4], lowest=(-(2**23), -(2**23))), "COD-TCQ-4", "least levels"),
        "highest-most": (
            Tcq([1, 4], lowest=(2**23 - 3, 2**23 - 4)),
            "COD-TCQ-4",
            "greatest levels",
        ),
        "rounded-twice": (
            Tcq([1, 2, 3, 4], (), "float16", (2048, 2047), half_step=_odd_step()),
            "COD-TCQ-7",
            "products that are rounded to float32 and then to float16",
        ),
    }
    for name, (tensor, rule, about) in cases.items():
        data = Draft([tensor.layer()]).build()
        yield accepted(f"codecs/tcq-{name}", data, about, shows=(rule,))
    empty = layer("w", "float32", [0], b"", codec="tcq", params=GOOD.params())
    yield accepted("codecs/tcq-empty", Draft([empty]).build(), "an empty tensor", shows=("CHK-3",))


def _greatest() -> float:
    return (2 - 2.0**-23) * 2.0**127


def _odd_step() -> float:
    return float(struct.unpack("<f", b"\1\x10\0\x3c")[0])


def _refused_params() -> Iterator[Vector]:
    for dtype in ("float64", "uint8"):
        part = layer("w", dtype, [8], bytes(8 * ITEMSIZES[dtype]), stored=GOOD.stored())
        part = part.change(codec="tcq", params=GOOD.params())
        yield codec_refused(f"tcq-dtype-{dtype}", part, "COD-TCQ-1", f"tcq of {dtype}")
    part = GOOD.layer().change(finite=False)
    yield codec_refused("tcq-not-finite", part, "COD-TCQ-1", "not declared finite")
    for name in GOOD.params():
        part = GOOD.layer()
        part.record["params"].pop(name)
        yield codec_refused(f"tcq-without-{name}", part, "COD-TCQ-2", f"{name} is missing")
    params: dict[str, tuple[Map, str]] = {
        "extra": ({"step": bytes(4)}, "a param is unknown"),
        "chunk-0": ({"chunk_values": 0}, "chunks of no values"),
        "lane-binary": ({"lane_values": b"\x40"}, "a binary as a number"),
        "lowest-even-8-bytes": ({"lowest_even": bytes(8)}, "an even lowest level of 64 bits"),
        "lowest-odd-3-bytes": ({"lowest_odd": bytes(3)}, "an odd lowest level of 24 bits"),
        "table-text": ({"table_odd": "table"}, "a text as a table"),
    }
    for name, (changes, about) in params.items():
        yield codec_refused(f"tcq-params-{name}", GOOD.layer(**changes), "COD-TCQ-2", about)
    lane = GOOD.layer(lane_values=2049)
    yield codec_refused("tcq-lane-2049", lane, "COD-RANS-2", "lanes too long")
    chunks = GOOD.layer(chunk_values=2**20 + 1)
    yield codec_refused("tcq-chunk-above", chunks, "CHK-1", "chunks above 4 MiB")
    more = GOOD.layer([*GOOD.stored(), *GOOD.stored()])
    yield codec_refused("tcq-chunks-too-many", more, "CHK-3", "a chunk more than values", (53,))


def _refused_grids() -> Iterator[Vector]:
    steps = {
        "zero": (0, "a half step of 0"),
        "subnormal": (0x007FFFFF, "the greatest subnormal half step"),
        "negative": (0xBF000000, "a half step of -0.5"),
        "infinite": (0x7F800000, "an infinite half step"),
    }
    for name, (bits, about) in steps.items():
        part = GOOD.layer(half_step=struct.pack("<I", bits))
        yield codec_refused(f"tcq-half-step-{name}", part, "COD-TCQ-3", about)
    part = GOOD.layer(half_step=struct.pack("<d", 0.5))
    yield codec_refused("tcq-half-step-float64", part, "COD-TCQ-3", "a half step of 64 bits")
    for name in ("even", "odd"):
        part = GOOD.layer(**{f"table_{name}": b"\xff\x1f"})
        about = f"{name} frequencies that sum to 4,095"
        yield codec_refused(f"tcq-table-{name}-sum", part, "COD-RANS-1", about)
        for case, packed in (("none", b"\x80\x20"), ("first", b"\0\0\x80\x20")):
            part = GOOD.layer(**{f"table_{name}": packed})
            about = f"{name} levels of which the first does not occur"
            yield codec_refused(f"tcq-levels-{name}-{case}", part, "COD-TCQ-4", about)
        last = GOOD.layer(**{f"table_{name}": b"\0\x80\x20\0"})
        about = f"{name} levels of which the last does not occur"
        yield codec_refused(f"tcq-levels-{name}-last", last, "COD-TCQ-4", about)
        low = GOOD.layer(**{f"lowest_{name}": struct.pack("<i", -(2**23) - 1)})
        yield codec_refused(f"tcq-levels-{name}-low", low, "COD-TCQ-4", "a level below -2^24")
        high = GOOD.layer(**{f"lowest_{name}": struct.pack("<i", 2**23 - 2)})
        yield codec_refused(f"tcq-levels-{name}-high", high, "COD-TCQ-4", "a level above 2^24")
    for dtype, half_step in (("float32", 2.0**127), ("float16", 16380.0)):
        part = GOOD._replace(dtype=dtype).layer(half_step=struct.pack("<f", half_step))
        about = f"a level that is infinite as {dtype}"
        yield codec_refused(f"tcq-levels-infinite-{dtype}", part, "COD-TCQ-4", about)


def _refused_chunks() -> Iterator[Vector]:
    (chunk,) = GOOD.stored()
    v = len(GOOD.symbols)
    ends = {
        "byte-missing": (chunk[:-1], "the last byte is missing"),
        "value-missing": (chunk[:-4], "the last escaped value is missing"),
        "value-more": (chunk + bytes(4), "an escaped value more"),
        "longest": (chunk.ljust(4 + 6 * v, b"\0"), "as long as may be"),
    }
    for name, (stored, about) in ends.items():
        yield codec_refused(f"tcq-end-{name}", GOOD.layer([stored]), "COD-TCQ-6", about)
    sizes = {
        "3": (chunk[:3], "3 bytes for a lane"),
        "longer": (chunk.ljust(4 + 6 * v + 1, b"\0"), "longer than all values escaped"),
    }
    for name, (stored, about) in sizes.items():
        yield codec_refused(f"tcq-size-{name}", GOOD.layer([stored]), "COD-TCQ-5", about)
    tensor = Tcq(LONG)
    (stream,) = tensor.stored()
    zero = stream[:16] + bytes(4) + stream[20:]
    yield codec_refused("tcq-state-0", tensor.layer([zero]), "COD-RANS-3", "a state of 0")
    cut = tensor.layer([stream[:-2]])
    yield codec_refused("tcq-words-cut", cut, "COD-RANS-4", "the last word is missing")
    one = Tcq([2], tail=1)
    (state,) = struct.unpack("<I", one.stored()[0])
    other = [struct.pack("<I", state + 4096)]
    yield codec_refused("tcq-end-of-tail", one.layer(other), "COD-RANS-5", "a lane ends above 0")
    for name, value in (("nan", float("nan")), ("infinity", float("-inf"))):
        part = GOOD._replace(escaped=(value, 1.0)).layer()
        yield codec_refused(f"tcq-escaped-{name}", part, "LAY-7", f"{name} escaped", (68,))
