"""Vectors of the codec `scatter`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted
from .codec_const_init import single, store, word
from .codec_ecq import rans, varint
from .codec_parts import f32
from .codec_raw import codec_refused
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector
    from .writer import Part

FLOATS = ("float16", "bfloat16", "float32")
TEN = (3, -2, 1, 0, 5, -7, 4, 2, -1, 6)
LOW = (1, 0, -3, 2, 0, 0, 5, -1, 1, 2)


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _refused_params()
    yield from _refused_chunks()


def scattered(values: Sequence[int], k: int) -> list[list[int]]:
    """Return values by chunk, zeros behind the last."""
    m = -(-len(values) // k)
    padded = [*values, *[0] * (k * m - len(values))]
    return [[padded[b * k + (c + word(0, b) % k) % k] for b in range(m)] for c in range(k)]


def exact(
    dtype: str = "float32", k: int = 3, *, elements: bytes | None = None, copies: str = ""
) -> Part:
    """Return a layer of ten exact values in k chunks."""
    size = ITEMSIZES[dtype]
    own = [bytes([value % 2, *[0] * (size - 1)]) for value in TEN]
    order = scattered(range(1, 11), k)
    padded = [bytes(size), *own]
    stored = [b"".join(padded[i] for i in row) for row in order]
    params: Map = {"chunk_values": len(order[0])}
    if copies:
        stored = stored[:2] + stored if copies == "copies_before" else stored + stored[:2]
        params = params | {copies: 2}
    decoded = b"".join(own) if elements is None else elements
    return layer("w", dtype, None, decoded, stored=stored, codec="scatter", params=params)


def levels(
    dtype: str = "float32", k: int = 3, *, low: Sequence[int] = (), values: Sequence[int] = TEN
) -> Part:
    """Return a layer of ten levels of the step 1, with low bits of the step 1/8 or without."""
    params, stored = _chunks("", scattered(values, k), 1.0)
    sums = [single(value) for value in values]
    if low:
        more, chunks = _chunks("low_", scattered(low, k), 0.125)
        params, stored = params | more, stored + chunks
        sums = [single(a + single(b * 0.125)) for a, b in zip(sums, low, strict=True)]
    elements = b"".join(store(dtype, value) for value in sums)
    return layer("w", dtype, None, elements, stored=stored, codec="scatter", params=params)


def _chunks(prefix: str, rows: list[list[int]], step: float) -> tuple[Map, list[bytes]]:
    """Return params and chunks of rows of levels, all equally frequent."""
    lowest, m = min(map(min, rows)), max(map(max, rows)) - min(map(min, rows)) + 1
    table = [0, 4096 - (m - 1) * (4096 // m), *[4096 // m] * (m - 1)]
    params = {
        "chunk_values": len(rows[0]),
        "lane_values": 64,
        "lowest": struct.pack("<i", lowest),
        "step": f32(step),
        "table": b"".join(map(varint, table)),
        "tail_rows": 1,
    }
    stored = [rans([level - lowest + 1 for level in row], table, 64, 1) for row in rows]
    return {prefix + name: value for name, value in params.items()}, stored


def whole(**changes: object) -> Part:
    """Return a layer whose only chunk stands in the params."""
    own = struct.pack("<4f", 1, -2, 0.5, 8)
    params = {"chunk_values": 4, "whole_0": own} | changes
    return layer("w", "float32", None, own, stored=[], codec="scatter", params=params)


def _accepted() -> Iterator[Vector]:
    for dtype in ITEMSIZES:
        data = Draft([exact(dtype)]).build()
        yield accepted(f"codecs/scatter-{dtype}", data, f"ten values of {dtype} in three chunks")
    for dtype in FLOATS:
        data = Draft([levels(dtype)]).build()
        yield accepted(f"codecs/scatter-levels-{dtype}", data, f"ten levels of {dtype}")
        data = Draft([levels(dtype, low=LOW)]).build()
        yield accepted(f"codecs/scatter-low-{dtype}", data, f"top and low bits of {dtype}")
    long = struct.pack("<1500f", *(i / 8 for i in range(1500)))
    pieces = {"whole_0": long[:4096], "whole_1": long[4096:], "chunk_values": 1500}
    two = layer("w", "float32", None, long, stored=[], codec="scatter", params=pieces)
    cases = {
        "one-chunk": (exact(k=1), "one chunk", "COD-SCA-3"),
        "chunk-per-value": (exact(k=10), "as many chunks as values", "COD-SCA-3"),
        "no-padding": (exact(k=5), "no value behind the last one", "COD-SCA-4"),
        "copies-before": (exact(copies="copies_before"), "copies come first", "COD-SCA-2"),
        "copies-behind": (exact(copies="copies_behind"), "copies come last", "COD-SCA-2"),
        "whole": (whole(), "the chunk stands in the params", "COD-SCA-2"),
        "whole-in-two": (two, "the chunk stands in two params", "COD-SCA-2"),
    }
    for name, (part, about, rule) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/scatter-{name}", data, about, shows=(rule,))


def _refused_params() -> Iterator[Vector]:
    empty = layer("w", "float32", [0], b"", stored=[], codec="scatter", params={"chunk_values": 1})
    yield codec_refused("scatter-empty", empty, "COD-SCA-1", "an empty tensor")
    wrong = layer("w", "int16", [10], bytes(20), stored=levels().stored, codec="scatter")
    wrong = wrong.change(params=levels().record["params"])
    yield codec_refused("scatter-levels-int16", wrong, "COD-SCA-1", "levels of integers")
    good, split = exact(), levels(low=LOW)
    changes: dict[str, tuple[Part, Map]] = {
        "none": (good, {"chunk_values": None}),
        "extra": (good, {"more": 1}),
        "table-missing": (levels(), {"table": None}),
        "low-alone": (split, {"step": None}),
        "low-table-missing": (split, {"low_table": None}),
        "copies-0": (good, {"copies_behind": 0}),
        "copies-text": (good, {"copies_before": "1"}),
        "copies-beyond": (good, {"copies_before": 2, "copies_behind": 2}),
        "whole-empty": (whole(), {"whole_0": b""}),
        "whole-text": (whole(), {"whole_0": "text"}),
        "whole-second-alone": (whole(), {"whole_0": None, "whole_1": b"0"}),
        "whole-cut-early": (whole(), {"whole_1": b"0"}),
        "whole-nine": (whole(), {f"whole_{i}": bytes(4096) for i in range(9)}),
        "whole-and-low": (split, {"whole_0": b"0"}),
    }
    for name, (part, change) in changes.items():
        params = {k: v for k, v in (part.record["params"] | change).items() if v is not None}
        about = f"params are changed: {name.replace('-', ' ')}"
        wrong = part.change(params=params)
        yield codec_refused(f"scatter-params-{name}", wrong, "COD-SCA-2", about)
    values: dict[str, tuple[Part, Map]] = {
        "above": (good, {"chunk_values": 5}),
        "below": (good, {"chunk_values": 3}),
        "text": (good, {"chunk_values": "4"}),
        "of-low": (split, {"low_chunk_values": 5}),
        "of-whole": (whole(), {"chunk_values": 5}),
    }
    for name, (part, change) in values.items():
        wrong = part.change(params=part.record["params"] | change)
        yield codec_refused(f"scatter-values-{name}", wrong, "COD-SCA-3", "values of a chunk")


def _refused_chunks() -> Iterator[Vector]:
    none = exact()
    none.stored = []
    yield codec_refused("scatter-chunks-none", none, "CHK-3", "no chunk at all", (53,))
    many = exact(k=10)
    many.stored = [*many.stored, many.stored[0]]
    yield codec_refused("scatter-chunks-many", many, "CHK-3", "more chunks than values", (53,))
    odd = levels(low=LOW)
    del odd.stored[-1]
    yield codec_refused("scatter-chunks-odd", odd, "CHK-3", "a chunk of low bits is absent", (53,))
    beside = whole()
    beside.stored = [b"0"]
    yield codec_refused("scatter-chunk-beside", beside, "CHK-3", "a chunk beside a whole", (53,))
    beside = whole(copies_behind=1)
    beside.stored = [b"0"]
    yield codec_refused("scatter-copy-beside", beside, "CHK-3", "a copy beside a whole", (53,))
    copied = exact().change(params={"chunk_values": 4, "copies_behind": 3})
    yield codec_refused("scatter-copies-only", copied, "CHK-3", "nothing but copies", (53,))
    padded = exact()
    at = next(c for c, row in enumerate(scattered(range(1, 11), 3)) if row[-1] == 0)
    padded.stored[at] = padded.stored[at][:-1] + b"\1"
    about = "a value behind the last one"
    yield codec_refused("scatter-behind", padded, "COD-SCA-4", about, (53,))
    large = levels("float16", low=LOW).record["params"] | {"step": f32(8192.0 * 2)}
    over = levels("float16", low=LOW).change(params=large)
    yield codec_refused("scatter-overflow", over, "LAY-7", "a sum beyond float16", (68,))
