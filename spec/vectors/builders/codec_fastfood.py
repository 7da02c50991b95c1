"""Vectors of the codec `fastfood`, whose chunks are those of `hash`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from .catalog import accepted
from .codec_hash import HALF, ONE, TWO, Hash
from .codec_raw import codec_refused
from .writer import ITEMSIZES, Draft, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

Fastfood = partial(Hash, codec="fastfood")
GOOD = Fastfood(40, 2, [0, 1, 2, 3, 3, 0, 1, 2], 0x3C12, 77, None, 0x3DCD)


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused()


def _accepted() -> Iterator[Vector]:
    for dtype in ("float16", "bfloat16", "float32"):
        data = Draft([GOOD._replace(dtype=dtype).layer()]).build()
        about = f"40 values of {dtype}, sums of 8 numbers of 2 bits, over a random part"
        yield accepted(f"codecs/fastfood-{dtype}", data, about, shows=("COD-FF-1",))
    cases = {
        "one-number": (Fastfood(9, 8, [201], HALF, 3), "a number of 8 bits, of order 1"),
        "two-numbers": (Fastfood(9, 4, [3, 9], HALF, 3), "order 2, the last block cut"),
        "five-numbers": (Fastfood(30, 3, [7, 0, 5, 1, 6], HALF, 9), "order 8, padded"),
        "order-above-values": (Fastfood(6, 8, [7, 0, 255, 1, 6], HALF, 9), "order 8, 6 values"),
        "signs": (Fastfood(70, 1, [1, 0] * 12, HALF, 65535), "24 signs, order 32"),
        "zero-sums": (Fastfood(64, 1, [1, 0, 1, 1] * 2, ONE, 5), "sums of 0"),
        "own-numbers": (Fastfood(5, 3, [7, 0, 5, 1, 6], HALF), "a number per value: no sums"),
        "own-and-random": (
            Fastfood(5, 3, [7, 0, 5, 1, 6], HALF, 1, None, TWO),
            "a number per value, and a key for the random part",
        ),
        "ones": (Fastfood(9, mean=ONE), "a mean and nothing else"),
        "everything": (
            Fastfood(21, 4, [15, 0, 8, 3], 0x3E4D, 65535, 0xBF9A, 0x3F21),
            "all fields",
        ),
        "greatest": (
            Fastfood(40, 8, [255] * 33, 0x5F80, 1, 0xDF80, 0x5F80),
            "fields of 2^64, sums of 33 times 255",
        ),
    }
    for name, (tensor, about) in cases.items():
        data = Draft([tensor.layer()]).build()
        yield accepted(f"codecs/fastfood-{name}", data, about, shows=("COD-FF-1",))
    empty = layer("w", "float32", [0], b"", codec="fastfood", params={})
    data = Draft([empty]).build()
    yield accepted("codecs/fastfood-empty", data, "an empty tensor", shows=("CHK-3",))


def _refused() -> Iterator[Vector]:
    for dtype in ("float64", "uint8"):
        nbytes = bytes(ITEMSIZES[dtype])
        part = layer("w", dtype, [1], nbytes, stored=[b"\0"], codec="fastfood", params={})
        yield codec_refused(f"fastfood-dtype-{dtype}", part, "COD-HASH-1", f"of {dtype}")
    part = GOOD.layer(params={"order": 8})
    yield codec_refused("fastfood-params", part, "COD-HASH-2", "a param")
    for name, stored in {"too-many": [GOOD.stored(), b"\0"], "none": []}.items():
        part = GOOD.layer()
        part.stored = stored
        yield codec_refused(f"fastfood-chunks-{name}", part, "CHK-3", f"chunks: {name}", (53,))
    huge = Fastfood(40, 8, [255] * 33, 0x4380, 1, dtype="float16").layer(bytes(80))
    yield codec_refused("fastfood-overflow", huge, "LAY-7", "sums beyond float16", (68,))
    good = GOOD.stored()
    cases = {
        "nine-bits": (b"\x49" + good[1:], "COD-HASH-3", "numbers of 9 bits"),
        "head-cut": (good[:6], "COD-HASH-3", "the fields are cut short"),
        "codes-too-long": (good + bytes(9), "COD-HASH-4", "more codes than values"),
        "step-infinite": (
            Fastfood(40, 2, [0] * 8, 0x7F80, 1).stored(),
            "COD-HASH-5",
            "infinite step",
        ),
        "key-missing": (
            Fastfood(40, 2, [0] * 8, HALF).stored(),
            "COD-HASH-6",
            "sums without a key",
        ),
        "spare-bit": (
            Fastfood(40, 3, [0] * 5, HALF, 1).stored()[:-1] + b"\x80",
            "COD-HASH-6",
            "a bit behind the last code",
        ),
    }
    for name, (stored, rule, about) in cases.items():
        part = GOOD.layer()
        part.stored = [stored]
        yield codec_refused(f"fastfood-{name}", part, rule, about)
