"""Vectors of the codec `hash`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from .catalog import accepted
from .codec_raw import codec_refused
from .writer import ITEMSIZES, Draft, layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector
    from .writer import Part

MODULUS = 1 << 64
ONE, HALF, TWO = 0x3F80, 0x3F00, 0x4000  # bfloat16


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused_layers()
    yield from _refused_chunks()


def word(seed: int, index: int) -> int:
    """Return a word of the page `prng`."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) % MODULUS
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> shift)) * factor % MODULUS
    return z ^ (z >> 31)


def widen(bits: int | None) -> float:
    """Return the value of a bfloat16, 0 where there is none."""
    return 0.0 if bits is None else float(struct.unpack("<f", struct.pack("<HH", 0, bits))[0])


class Hash(NamedTuple):
    """A chunk of trained numbers before it is written; None and () where a field is not there."""

    v: int
    b: int = 0
    codes: Sequence[int] = ()
    step: int | None = None
    key: int | None = None
    mean: int | None = None
    spread: int | None = None
    dtype: str = "float32"
    codec: str = "hash"

    def stored(self) -> bytes:
        """Return the chunk."""
        flags = (self.mean is not None, self.spread is not None, self.key is not None)
        lead = self.b | sum(flag << 4 + i for i, flag in enumerate(flags))
        fields = [x for x in (self.key, self.mean, self.spread, self.step) if x is not None]
        stream = sum(code << self.b * j for j, code in enumerate(self.codes))
        codes = stream.to_bytes(-(-self.b * len(self.codes) // 8), "little")
        return bytes([lead]) + struct.pack(f"<{len(fields)}H", *fields) + codes

    def elements(self) -> bytes:
        """Return the decoded values."""
        return b"".join(self._round(self._value(i)) for i in range(self.v))

    def _value(self, i: int) -> float:
        key, d = self.key or 0, len(self.codes)
        unit = (word(word(key, 0), i) // 2**40 - 2**23) / 2**23
        mix = {"hash": self._hashed, "fastfood": self._summed}[self.codec]
        level = 0 if not d else self._level(i) if d == self.v else mix(i, word(key, 1))
        base = _single(widen(self.mean) + _single(widen(self.spread) * unit))
        return _single(base + _single(widen(self.step) * _single(level)))

    def _level(self, j: int) -> int:
        return 2 * self.codes[j] + 1 - 2**self.b

    def _hashed(self, i: int, seed: int) -> int:
        random = word(seed, i)
        return (1 - 2 * (random % 2)) * self._level(random // 2**32 * len(self.codes) // 2**32)

    def _summed(self, i: int, seed: int) -> int:
        d = len(self.codes)
        order = 2 ** (d - 1).bit_length()
        signs = (word(seed, i // order * d + j) + (i % order & j).bit_count() for j in range(d))
        return sum((1 - 2 * (sign % 2)) * self._level(j) for j, sign in enumerate(signs))

    def _round(self, value: float) -> bytes:
        if self.dtype == "float16":
            return struct.pack("<e", value)
        single = struct.pack("<f", value)
        bits = int.from_bytes(single, "little")
        return (
            single
            if self.dtype == "float32"
            else struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)
        )

    def layer(self, elements: bytes | None = None, **changes: object) -> Part:
        """Return the layer; `elements` where they cannot be computed."""
        decoded = self.elements() if elements is None else elements
        part = layer(
            "w", self.dtype, None, decoded, stored=[self.stored()], codec=self.codec, params={}
        )
        return part.change(**changes)


def _single(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


GOOD = Hash(40, 2, [0, 1, 2, 3, 3, 0, 1, 2], 0x3C12, 77, None, 0x3DCD)


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        data = Draft([GOOD._replace(dtype=dtype).layer()]).build()
        about = f"40 values of {dtype} that share 8 numbers of 2 bits, over a random part"
        yield accepted(f"codecs/hash-{dtype}", data, about, shows=("COD-HASH-7",))
    cases = {
        "zeros": (Hash(9), "COD-HASH-3", "a lead and nothing else: zeros"),
        "ones": (Hash(9, mean=ONE), "COD-HASH-3", "a mean and nothing else: ones"),
        "random-only": (Hash(9, key=3, spread=ONE), "COD-HASH-4", "the random part alone"),
        "one-bit": (Hash(30, 1, [1, 0] * 8, HALF, 9), "COD-HASH-4", "signs"),
        "eight-bits": (Hash(30, 8, [0, 255, 17], HALF, 9), "COD-HASH-4", "numbers of 8 bits"),
        "three-bits": (Hash(30, 3, [7, 0, 5, 1, 6], HALF, 9), "COD-HASH-6", "a spare bit of 0"),
        "own-numbers": (Hash(5, 3, [7, 0, 5, 1, 6], HALF), "COD-HASH-6", "a number per value"),
        "own-and-random": (
            Hash(5, 3, [7, 0, 5, 1, 6], HALF, 1, None, TWO),
            "COD-HASH-6",
            "a number per value, and a key for the random part",
        ),
        "everything": (
            Hash(21, 4, [15, 0, 8, 3], 0x3E4D, 65535, 0xBF9A, 0x3F21),
            "COD-HASH-5",
            "all fields",
        ),
        "least": (Hash(5, 1, [1] * 5, 0x1F80, 1, 0x9F80, 0x1F80), "COD-HASH-5", "2^-64 thrice"),
        "greatest": (Hash(5, 1, [1] * 5, 0x5F80, 1, 0xDF80, 0x5F80), "COD-HASH-5", "2^64 thrice"),
    }
    for name, (tensor, rule, about) in cases.items():
        data = Draft([tensor.layer()]).build()
        yield accepted(f"codecs/hash-{name}", data, about, shows=(rule,))
    empty = layer("w", "float32", [0], b"", codec="hash", params={})
    yield accepted("codecs/hash-empty", Draft([empty]).build(), "an empty tensor", shows=("CHK-3",))


def _refused_layers() -> Iterator[Vector]:
    for dtype in ("float64", "uint8", "float8_e5m2"):
        part = layer(
            "w", dtype, [1], bytes(ITEMSIZES[dtype]), stored=[b"\0"], codec="hash", params={}
        )
        yield codec_refused(f"hash-dtype-{dtype}", part, "COD-HASH-1", f"hash of {dtype}")
    part = GOOD.layer(finite=False)
    yield codec_refused("hash-not-finite", part, "COD-HASH-1", "not declared finite")
    part = GOOD.layer(params={"chunk_values": 40})
    yield codec_refused("hash-params", part, "COD-HASH-2", "a param")
    for name, stored in {"too-many": [GOOD.stored(), b"\0"], "none": []}.items():
        part = GOOD.layer()
        part.stored = stored
        yield codec_refused(f"hash-chunks-{name}", part, "CHK-3", f"chunks: {name}", (53,))
    huge = Hash(3, mean=0x5F80, dtype="float16").layer(bytes(6))
    yield codec_refused("hash-overflow", huge, "LAY-7", "a mean of 2^64 in float16", (68,))


def _refused_chunks() -> Iterator[Vector]:
    good = GOOD.stored()
    shared = Hash(40, 2, [0] * 8, HALF, 7).stored()
    cases = {
        "lead-bit-7": (bytes([good[0] | 128]) + good[1:], "COD-HASH-3", "bit 7 of the lead"),
        "nine-bits": (b"\x49" + good[1:], "COD-HASH-3", "numbers of 9 bits"),
        "head-cut": (good[:6], "COD-HASH-3", "the fields are cut short"),
        "no-codes": (good[:7], "COD-HASH-4", "fields without codes"),
        "codes-too-long": (shared + bytes(9), "COD-HASH-4", "more codes than values"),
        "codes-without-bits": (b"\0\0", "COD-HASH-4", "codes of no bits"),
        "mean-zero": (Hash(40, mean=0).stored(), "COD-HASH-5", "a mean of 0 that is stored"),
        "mean-below": (Hash(40, mean=0x1F7F).stored(), "COD-HASH-5", "a mean below 2^-64"),
        "mean-nan": (Hash(40, mean=0x7FC0).stored(), "COD-HASH-5", "a mean that is no number"),
        "spread-above": (Hash(40, spread=0x5F81, key=1).stored(), "COD-HASH-5", "above 2^64"),
        "spread-negative": (
            Hash(40, spread=0xBF80, key=1).stored(),
            "COD-HASH-5",
            "a spread of -1",
        ),
        "step-negative": (Hash(40, 2, [0] * 8, 0xBF80, 1).stored(), "COD-HASH-5", "a step of -1"),
        "step-infinite": (Hash(40, 2, [0] * 8, 0x7F80, 1).stored(), "COD-HASH-5", "infinite step"),
        "key-missing": (Hash(40, 2, [0] * 8, HALF).stored(), "COD-HASH-6", "sharing without a key"),
        "spread-no-key": (Hash(40, spread=ONE).stored(), "COD-HASH-6", "a spread without a key"),
        "key-useless": (Hash(40, mean=ONE, key=1).stored(), "COD-HASH-6", "a key without use"),
        "key-for-own": (Hash(40, 1, [1] * 40, ONE, 1).stored(), "COD-HASH-6", "no sharing, a key"),
        "spare-bit": (
            Hash(40, 3, [0] * 5, HALF, 1).stored()[:-1] + b"\x80",
            "COD-HASH-6",
            "a bit behind the last code",
        ),
    }
    for name, (stored, rule, about) in cases.items():
        part = GOOD.layer()
        part.stored = [stored]
        yield codec_refused(f"hash-{name}", part, rule, about)
