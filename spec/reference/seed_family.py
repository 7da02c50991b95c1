"""More codecs of the independent reader, beside `seed_codecs.py`: one function per page."""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec.reference.seed_codecs import (
        DTYPES,
        Map,
        counts,
        decode_ecq,
        decode_raw,
        fits,
        require,
        round_to,
    )
else:  # found however this file is loaded: as a part of a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from seed_codecs import DTYPES, counts, decode_ecq, decode_raw, fits, require, round_to

MASK = (1 << 64) - 1


def word(seed: int, index: int) -> int:
    """Step 7: return a random word."""
    z = (seed + (index + 1) * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ z >> 30) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ z >> 27) * 0x94D049BB133111EB) & MASK
    return z ^ z >> 31


def single(value: float) -> float:
    """Step 7: round to float32, to nearest with ties to even."""
    return float(struct.unpack("<f", round_to("float32", value))[0])


def small_float(packed: bytes, rule: str) -> float:
    """Step 7: return a float32 of 2^-100 or more."""
    require(len(packed) == 4, rule)
    (value,) = struct.unpack("<f", packed)
    require(2.0**-100 <= value < math.inf, rule)
    return float(value)


def decode_const(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `const`."""
    params, (itemsize, ones) = layer["params"], DTYPES[layer["dtype"]]
    require(fits(params, {"value": bytes}) and len(params["value"]) == itemsize, "COD-CON-1")
    require(layer["dtype"] != "bool" or params["value"][0] < 2, "COD-CON-2")
    require(not chunks, "CHK-3")
    bits = int.from_bytes(params["value"], "little")
    require(not (layer["finite"] and ones) or bits & ones != ones, "LAY-7", "SP400")
    return bytes(params["value"] * math.prod(layer["shape"]))


def decode_init(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `init`."""
    params, dtype = layer["params"], layer["dtype"]
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-INI-1")
    require(fits(params, {"scale": bytes, "seed": int}), "COD-INI-2")
    scale = small_float(params["scale"], "COD-INI-3")
    require(not chunks, "CHK-3")
    drawn = (word(params["seed"], i) >> 40 for i in range(math.prod(layer["shape"])))
    return b"".join(round_to(dtype, single((w - (1 << 23)) / (1 << 23) * scale)) for w in drawn)


def decode_bf16(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `bf16`."""
    params, dtype = layer["params"], layer["dtype"]
    require(dtype in {"float16", "float32"} and layer["finite"], "COD-BF16-1")
    require(fits(params, {"chunk_values": int}) and params["chunk_values"] >= 1, "COD-BF16-2")
    counts(layer, chunks)
    stored = decode_raw(layer | {"dtype": "bfloat16"}, chunks)
    words = [int.from_bytes(stored[at : at + 2], "little") for at in range(0, len(stored), 2)]
    require(all(w & 0x7F80 != 0x7F80 for w in words), "LAY-7", "SP400")
    values = (struct.unpack("<f", struct.pack("<HH", 0, w))[0] for w in words)
    return b"".join(round_to(dtype, value) for value in values)


# ---------------------------------------------------------------- parts that `ecq` or `raw` stores

GRID = ("chunk_values", "lane_values", "lowest", "table", "tail_rows")
FLOATS = {"float16", "bfloat16", "float32"}


def part(layer: Map, prefix: str, names: tuple[str, ...], n: int, chunks: list[bytes]) -> Map:
    """Step 7: return a part as a layer, and under `own` its chunks, the first ones."""
    params = {name: layer["params"][prefix + name] for name in names}
    step = params["chunk_values"]
    count = -(-n // step) if type(step) is int and step > 0 else 0
    own = {"params": params, "shape": [n], "own": chunks[:count], "rest": chunks[count:]}
    return layer | own


def named(prefix: str, names: tuple[str, ...]) -> set[str]:
    """Step 7: return the names of a part's params."""
    return {prefix + name for name in names}


def integers(layer: Map, prefix: str, n: int, chunks: list[bytes]) -> tuple[list[float], Map]:
    """Step 7: decode a part with the step 1."""
    own = part(layer, prefix, GRID, n, chunks) | {"dtype": "float32", "finite": True}
    own["params"]["step"] = struct.pack("<f", 1)
    return floats(decode_ecq(own, own["own"])), own


def floats(elements: bytes) -> list[float]:
    """Step 7: return float32 values; those of escapes may be anything but not finite (LAY-7)."""
    values = [*struct.unpack(f"<{len(elements) // 4}f", elements)]
    require(all(map(math.isfinite, values)), "LAY-7", "SP400")
    return values


def matrix(layer: Map, rule: str, ranks: str) -> tuple[int, int, int]:
    """Step 7: return rows, columns and rank."""
    shape = layer["shape"]
    require(layer["dtype"] in FLOATS and layer["finite"] and len(shape) > 1, f"{rule}-1")
    rows, columns = shape[0], math.prod(shape[1:])
    require(rows * columns, f"{rule}-1")
    rank = layer["params"].get(ranks)
    require(type(rank) is int and 1 <= rank <= min(rows, columns, 1024), f"{rule}-2")
    return rows, columns, rank


def scale_of(packed: object, rule: str) -> float:
    """Step 7: return a float32 from 2^-100 to 2^100."""
    require(isinstance(packed, bytes), rule)
    value = small_float(bytes(packed), rule)  # type: ignore[call-overload]
    require(value <= 2.0**100, rule)
    return value


def product(codes: list[float], sides: tuple[int, int, int], scale: float) -> list[float]:
    """Step 7: return the scaled product of two factors, row by row."""
    rows, columns, rank = sides
    left, right = codes[: rows * rank], codes[rows * rank :]
    out = []
    for x in range(rows):
        row = left[x * rank : (x + 1) * rank]
        for y in range(columns):
            total = sum(int(c) * int(right[k * columns + y]) for k, c in enumerate(row))
            out.append(single(total * scale))
    return out


def decode_lowrank(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `lowrank`."""
    params, residual = layer["params"], (*GRID, "step")
    sides = rows, columns, rank = matrix(layer, "COD-LR", "rank")
    own = {"rank", "scale"} | named("factor_", GRID)
    require(params.keys() in (own, own | {*residual}), "COD-LR-2")
    scale = scale_of(params["scale"], "COD-LR-3")
    if "step" in params:
        scale_of(params["step"], "COD-LR-3")
    codes, factors = integers(layer, "factor_", rank * (rows + columns), chunks)
    added = [0.0] * (rows * columns)
    if "step" in params:
        rest = part(layer, "", residual, rows * columns, factors["rest"]) | {"dtype": "float32"}
        added = floats(decode_ecq(rest, factors["rest"]))
    else:
        require(not factors["rest"], "CHK-3")
    require(all(c == int(c) and abs(c) <= 127 for c in codes), "COD-LR-4")
    pairs = zip(product(codes, sides, scale), added, strict=True)
    return b"".join(round_to(layer["dtype"], single(a + b)) for a, b in pairs)


def decode_pca(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `pca`."""
    params = layer["params"]
    sides = rows, columns, rank = matrix(layer, "COD-PCA", "components")
    own = {"components", "mean_scale", "scale"} | named("factor_", GRID)
    require(params.keys() == own, "COD-PCA-2")
    scale, mean_scale = (scale_of(params[n], "COD-PCA-3") for n in ("scale", "mean_scale"))
    codes, factors = integers(layer, "factor_", rank * (rows + columns) + columns, chunks)
    require(not factors["rest"], "CHK-3")
    require(all(c == int(c) and abs(c) <= 127 for c in codes), "COD-PCA-4")
    means = [single(c * mean_scale) for c in codes[rank * (rows + columns) :]] * rows
    pairs = zip(product(codes, sides, scale), means, strict=True)
    return b"".join(round_to(layer["dtype"], single(a + b)) for a, b in pairs)


def decode_moments(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `moments`."""
    params, dtype = layer["params"], layer["dtype"]
    require(dtype in FLOATS and layer["finite"], "COD-MOM-1")
    require(fits(params, {"mean": bytes, "scale": bytes, "seed": int}), "COD-MOM-2")
    require(len(params["mean"]) == len(params["scale"]) == 4, "COD-MOM-2")
    scale, (mean,) = scale_of(params["scale"], "COD-MOM-3"), struct.unpack("<f", params["mean"])
    require(params["mean"] == bytes(4) or 2.0**-100 <= abs(mean) <= 2.0**100, "COD-MOM-3")
    require(not chunks, "CHK-3")
    elements = b""
    for i in range(math.prod(layer["shape"])):
        noise = sum(word(params["seed"], i) >> at & 0xFFFF for at in (0, 16, 32, 48)) - 131_070
        elements += round_to(dtype, single(single(noise * scale) + mean))
    return elements


def decode_sparse(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `sparse`."""
    params, n, itemsize = layer["params"], math.prod(layer["shape"]), DTYPES[layer["dtype"]][0]
    count = params.get("count")
    require(type(count) is int and 1 <= count <= n, "COD-SPA-1")
    names: tuple[str, ...] = (*GRID, "step") if "value_step" in params else ("chunk_values",)
    own = {"count"} | named("gap_", GRID) | named("value_", names)
    require(params.keys() == own, "COD-SPA-2")
    gaps, first = integers(layer, "gap_", count, chunks)
    rest = part(layer, "value_", names, count, first["rest"])
    decoder = decode_ecq if "value_step" in params else decode_raw
    values = decoder(rest, first["rest"])
    require(all(g == int(g) and 0 <= g <= 1 << 23 for g in gaps), "COD-SPA-3")
    elements, place = bytearray(n * itemsize), -1
    require(sum(gaps) + count <= n, "COD-SPA-4")
    for j, gap in enumerate(gaps):
        place += int(gap) + 1
        elements[place * itemsize : (place + 1) * itemsize] = values[j * itemsize :][:itemsize]
    return bytes(elements)


FAMILY: Map = {"bf16": decode_bf16, "const": decode_const, "init": decode_init}
FAMILY |= {"lowrank": decode_lowrank, "moments": decode_moments, "pca": decode_pca}
FAMILY |= {"sparse": decode_sparse}
