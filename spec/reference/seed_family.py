"""More codecs of the independent reader, beside `seed_codecs.py`: one function per page."""

from __future__ import annotations

import math
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec.reference.seed_codecs import DTYPES, Map, counts, decode_raw, fits, require, round_to
else:  # found however this file is loaded: as a part of a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from seed_codecs import DTYPES, counts, decode_raw, fits, require, round_to

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


FAMILY: Map = {"bf16": decode_bf16, "const": decode_const, "init": decode_init}
