"""Vectors of the codecs `lowrank`, `pca`, `sparse` and `moments`: of parts that `ecq` stores."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

from .catalog import accepted
from .codec_const_init import single, store, word
from .codec_ecq import rans, varint
from .codec_raw import codec_refused
from .writer import ITEMSIZES, Draft, Map, layer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .catalog import Vector
    from .writer import Part

FLOATS = ("float16", "bfloat16", "float32")
LOW, HIGH = 2.0**-100, 2.0**100
BEYOND = {  # as scales
    "zero": 0.0,
    "negative": -1.0,
    "tiny": LOW * (1 - 2.0**-24),
    "large": HIGH * 2,
    "infinite": math.inf,
    "nan": math.nan,
}


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _lowrank()
    yield from _pca()
    yield from _sparse()
    yield from _moments()


def f32(value: float) -> bytes:
    """Return a float32."""
    return struct.pack("<f", value)


def grid(prefix: str, levels: Sequence[int]) -> tuple[Map, list[bytes]]:
    """Return params and the one chunk of levels, all of them equally frequent."""
    lowest, m = min(levels), max(levels) - min(levels) + 1
    table = [0, 4096 - (m - 1) * (4096 // m), *[4096 // m] * (m - 1)]
    params = {
        "chunk_values": len(levels),
        "lane_values": 64,
        "lowest": struct.pack("<i", lowest),
        "table": b"".join(map(varint, table)),
        "tail_rows": 1,
    }
    chunk = rans([k - lowest + 1 for k in levels], table, 64, 1)
    return {prefix + name: value for name, value in params.items()}, [chunk]


def _scales(name: str, part: Part, param: str, rule: str) -> Iterator[Vector]:
    for case, value in BEYOND.items():
        wrong = part.change(params=part.record["params"] | {param: f32(value)})
        yield codec_refused(f"{name}-{case}", wrong, rule, f"the {param} {value}")
    wrong = part.change(params=part.record["params"] | {param: f32(1)[:3]})
    yield codec_refused(f"{name}-short", wrong, rule, f"a {param} of 3 bytes")


def _params(name: str, part: Part, changes: dict[str, Map], rule: str) -> Iterator[Vector]:
    """Refuse other params; None takes one away."""
    for case, change in changes.items():
        params = {k: v for k, v in (part.record["params"] | change).items() if v is not None}
        about = f"params are changed: {case.replace('-', ' ')}"
        yield codec_refused(f"{name}-{case}", part.change(params=params), rule, about)


def _kinds(codec: str, part: Part, rule: str, others: Sequence[str]) -> Iterator[Vector]:
    for dtype in others:
        nbytes = math.prod(part.record["shape"]) * ITEMSIZES[dtype]
        wrong = layer("w", dtype, part.record["shape"], bytes(nbytes), stored=part.stored)
        wrong = wrong.change(codec=codec, params=part.record["params"])
        yield codec_refused(f"{codec}-dtype-{dtype}", wrong, rule, f"{codec} of {dtype}")
    about = f"{codec}, but not declared finite"
    yield codec_refused(f"{codec}-not-finite", part.change(finite=False), rule, about)


# ---------------------------------------------------------------- lowrank and pca

LEFT, RIGHT = [[1, -2], [127, 3], [0, 5]], [[4, -127, 1, 0], [2, 2, -3, 7]]
MEAN = [3, -127, 0, 1]


def product(scale: float) -> list[float]:
    """Return the scaled product of the factors."""
    columns = [*zip(*RIGHT, strict=True)]
    rows = ((a * x + b * y for x, y in columns) for a, b in LEFT)
    return [single(total * scale) for row in rows for total in row]


def lowrank(  # noqa: PLR0913 -- the parts of a layer
    dtype: str = "float32",
    *,
    scale: float = 0.125,
    residual: Sequence[int] = (),
    step: float = 0.0625,
    shape: Sequence[int] = (3, 4),
    codes: Sequence[int] = tuple(c for row in LEFT + RIGHT for c in row),
    elements: bytes | None = None,
) -> Part:
    """Return a layer of rank 2; `elements` where they cannot be computed."""
    params, chunks = grid("factor_", codes)
    params |= {"rank": 2, "scale": f32(scale)}
    added = [0.0] * 12
    if residual:
        own, more = grid("", residual)
        params |= own | {"step": f32(step)}
        chunks += more
        added = [single(k * step) for k in residual]
    if elements is None:
        values = (single(a + b) for a, b in zip(product(scale), added, strict=True))
        elements = b"".join(store(dtype, value) for value in values)
    return layer("w", dtype, list(shape), elements, stored=chunks, codec="lowrank", params=params)


def _lowrank() -> Iterator[Vector]:
    rest = [0, 1, -1, 3, 0, 0, -2, 5, 1, 1, 0, -7]
    for dtype in FLOATS:
        data = Draft([lowrank(dtype, residual=rest)]).build()
        yield accepted(f"codecs/lowrank-{dtype}", data, f"rank 2 and a residual of {dtype}")
    cases = {
        "factors-alone": (lowrank(), "no residual", "COD-LR-2"),
        "four-dimensions": (lowrank(shape=(3, 2, 1, 2)), "a matrix of four dimensions", "COD-LR-1"),
        "scale-lowest": (lowrank(scale=LOW), "the least scale", "COD-LR-3"),
        "scale-highest": (lowrank(scale=HIGH), "the greatest scale", "COD-LR-3"),
    }
    for name, (part, about, rule) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/lowrank-{name}", data, about, shows=(rule,))
    good, zero = lowrank(residual=rest), bytes(48)
    yield from _kinds("lowrank", good, "COD-LR-1", ("float64", "int8"))
    flat = lowrank(shape=(12,))
    yield codec_refused("lowrank-vector", flat, "COD-LR-1", "a vector")
    empty = layer("w", "float32", [0, 4], b"", stored=[], codec="lowrank")
    empty = empty.change(params=lowrank().record["params"])
    yield codec_refused("lowrank-empty", empty, "COD-LR-1", "an empty matrix")
    changes: dict[str, Map] = {
        "rank-missing": {"rank": None},
        "rank-0": {"rank": 0},
        "rank-above": {"rank": 4},
        "rank-text": {"rank": "2"},
        "extra": {"more": 1},
        "step-missing": {"step": None},
        "table-missing": {"factor_table": None},
    }
    yield from _params("lowrank-params", good, changes, "COD-LR-2")
    yield from _scales("lowrank-scale", good, "scale", "COD-LR-3")
    yield from _scales("lowrank-step", good, "step", "COD-LR-3")
    for code in (128, -128):
        codes = [code, *(c for row in LEFT + RIGHT for c in row)][:14]
        part = lowrank(codes=codes, elements=zero)
        yield codec_refused(f"lowrank-code-{code}", part, "COD-LR-4", f"the code {code}")
    more = lowrank()
    more.stored.append(b"0123")
    yield codec_refused("lowrank-chunks-too-many", more, "CHK-3", "a chunk without params", (53,))
    none = lowrank(residual=rest)
    del none.stored[1]
    yield codec_refused("lowrank-residual-absent", none, "CHK-3", "a residual of no chunk", (53,))
    large = lowrank("float16", scale=1024.0, elements=bytes(24))
    yield codec_refused("lowrank-overflow", large, "LAY-7", "beyond the largest float16", (68,))


def pca(dtype: str = "float32", *, codes: Sequence[int] | None = None) -> Part:
    """Return a layer of two components and a mean."""
    known = [c for row in [*LEFT, *RIGHT, MEAN] for c in row]
    params, chunks = grid("factor_", known if codes is None else codes)
    params |= {"components": 2, "mean_scale": f32(0.5), "scale": f32(0.125)}
    means = [single(c * 0.5) for c in MEAN] * 3
    values = (single(a + b) for a, b in zip(product(0.125), means, strict=True))
    elements = b"".join(store(dtype, value) for value in values)
    return layer("w", dtype, [3, 4], elements, stored=chunks, codec="pca", params=params)


def _pca() -> Iterator[Vector]:
    for dtype in FLOATS:
        data = Draft([pca(dtype)]).build()
        yield accepted(f"codecs/pca-{dtype}", data, f"two components of {dtype}")
    yield from _kinds("pca", pca(), "COD-PCA-1", ("float64", "int8"))
    flat = pca().change(shape=[12])
    yield codec_refused("pca-vector", flat, "COD-PCA-1", "a vector")
    changes: dict[str, Map] = {
        "components-missing": {"components": None},
        "components-0": {"components": 0},
        "components-above": {"components": 4},
        "extra": {"more": 1},
        "mean-missing": {"mean_scale": None},
    }
    yield from _params("pca-params", pca(), changes, "COD-PCA-2")
    yield from _scales("pca-scale", pca(), "scale", "COD-PCA-3")
    yield from _scales("pca-mean-scale", pca(), "mean_scale", "COD-PCA-3")
    part = pca(codes=[128] + [0] * 17)
    yield codec_refused("pca-code-128", part, "COD-PCA-4", "the code 128")
    more = pca()
    more.stored.append(b"0123")
    yield codec_refused("pca-chunks-too-many", more, "CHK-3", "a chunk more than codes", (53,))


# ---------------------------------------------------------------- sparse


def sparse(
    gaps: Sequence[int],
    values: bytes,
    n: int = 20,
    *,
    dtype: str = "float32",
    levels: Sequence[int] = (),
    elements: bytes | None = None,
) -> Part:
    """Return a layer of exact values, or of levels with the step 0.5."""
    itemsize, count = ITEMSIZES[dtype], len(gaps)
    params, chunks = grid("gap_", gaps)
    params |= {"count": count, "value_chunk_values": count}
    chunks += [values]
    if levels:
        own, more = grid("value_", levels)
        params |= own | {"value_step": f32(0.5)}
        chunks, values = chunks[:1] + more, b"".join(store(dtype, k * 0.5) for k in levels)
    if elements is None:
        out, place = bytearray(n * itemsize), -1
        for j, gap in enumerate(gaps):
            place += gap + 1
            out[place * itemsize : (place + 1) * itemsize] = values[j * itemsize :][:itemsize]
        elements = bytes(out)
    return layer("w", dtype, [n], elements, stored=chunks, codec="sparse", params=params)


def _sparse() -> Iterator[Vector]:
    gaps, three = [2, 0, 9], struct.pack("<3f", 1.5, -2, 3e-40)
    for dtype, itemsize in ITEMSIZES.items():
        part = sparse(gaps, bytes([1] + [0] * (itemsize - 1)) * 3, dtype=dtype)
        data = Draft([part]).build()
        yield accepted(f"codecs/sparse-{dtype}", data, f"three values of {dtype}")
    for dtype in FLOATS:
        data = Draft([sparse(gaps, b"", dtype=dtype, levels=[3, -2, 1])]).build()
        yield accepted(f"codecs/sparse-levels-{dtype}", data, f"three levels of {dtype}")
    cases = {
        "last-place": (sparse([2, 0, 15], three), "a value at the last place", "COD-SPA-4"),
        "all": (sparse([0, 0, 0], three, 3), "no value is zero", "COD-SPA-1"),
    }
    for name, (part, about, rule) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/sparse-{name}", data, about, shows=(rule,))
    good = sparse(gaps, three)
    for name, count in {"missing": None, "0": 0, "above": 21, "text": "3"}.items():
        params = {k: v for k, v in good.record["params"].items() if k != "count"}
        params |= {} if count is None else {"count": count}
        part = good.change(params=params)
        yield codec_refused(f"sparse-count-{name}", part, "COD-SPA-1", f"the count {count}")
    changes: dict[str, Map] = {
        "extra": {"more": 1},
        "gap-table-missing": {"gap_table": None},
        "step-alone": {"value_step": f32(1)},
    }
    yield from _params("sparse-params", good, changes, "COD-SPA-2")
    zero = bytes(80)
    part = sparse([2, -1, 9], three, elements=zero)
    yield codec_refused("sparse-gap-negative", part, "COD-SPA-3", "a gap of -1")
    part = sparse([2, 0, 16], three, elements=zero)
    yield codec_refused("sparse-place-beyond", part, "COD-SPA-4", "the place 20 of 20", (53,))
    none = sparse(gaps, three)
    none.stored = none.stored[:1]
    yield codec_refused("sparse-values-absent", none, "CHK-3", "no chunk of values", (53,))
    part = sparse(gaps, struct.pack("<3f", 1, math.nan, 1), elements=zero)
    yield codec_refused("sparse-nan", part, "LAY-7", "a value that is not a number", (68,))


# ---------------------------------------------------------------- moments


def moments(
    dtype: str = "float32", n: int = 50, mean: float = 0.25, scale: float = 2.0**-18
) -> Part:
    """Return a layer of noise."""
    elements = b""
    for i in range(n):
        noise = sum(word(9, i) >> at & 0xFFFF for at in (0, 16, 32, 48)) - 131_070
        elements += store(dtype, single(single(noise * scale) + mean))
    params = {"mean": f32(mean), "scale": f32(scale), "seed": 9}
    return layer("w", dtype, [n], elements, stored=[], codec="moments", params=params)


def _moments() -> Iterator[Vector]:
    for dtype in FLOATS:
        data = Draft([moments(dtype)]).build()
        yield accepted(f"codecs/moments-{dtype}", data, f"fifty values of {dtype}")
    cases = {
        "empty": (moments(n=0), "an empty tensor", "COD-MOM-2"),
        "mean-zero": (moments(mean=0.0), "the mean 0", "COD-MOM-3"),
        "lowest": (moments(mean=-LOW, scale=LOW), "the least moments", "COD-MOM-3"),
        "highest": (moments(mean=HIGH, scale=HIGH), "the greatest moments", "COD-MOM-3"),
    }
    for name, (part, about, rule) in cases.items():
        data = Draft([part]).build()
        yield accepted(f"codecs/moments-{name}", data, about, shows=(rule,))
    yield from _kinds("moments", moments(), "COD-MOM-1", ("float64", "int8"))
    changes: dict[str, Map] = {
        "mean-missing": {"mean": None},
        "mean-short": {"mean": b"000"},
        "scale-number": {"scale": 1},
        "extra": {"more": 1},
        "seed-text": {"seed": "9"},
    }
    yield from _params("moments-params", moments(), changes, "COD-MOM-2")
    means = {name: value for name, value in BEYOND.items() if name not in {"zero", "negative"}}
    for name, value in (means | {"negative-zero": -0.0}).items():
        part = moments().change(params=moments().record["params"] | {"mean": f32(value)})
        yield codec_refused(f"moments-mean-{name}", part, "COD-MOM-3", f"the mean {value}")
    for name, value in BEYOND.items():
        part = moments().change(params=moments().record["params"] | {"scale": f32(value)})
        yield codec_refused(f"moments-scale-{name}", part, "COD-MOM-3", f"the scale {value}")
    chunk = moments()
    chunk.stored = [b"0"]
    yield codec_refused("moments-chunk", chunk, "CHK-3", "a chunk beside the params", (53,))
