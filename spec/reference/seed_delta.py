"""The codec `delta` of the independent reader, and the bases that its layers refer to.

Written from `spec/delta.md` and `spec/codecs/delta.md` alone; it stands on `seed_codecs.py`.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from spec.reference.seed_codecs import (
        DTYPES,
        MIB,
        Map,
        decode_ecq,
        fits,
        plane,
        require,
        round_to,
    )
else:  # found however this file is loaded: as a part of a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from seed_codecs import (
        DTYPES,
        MIB,
        Map,
        decode_ecq,
        fits,
        plane,
        require,
        round_to,
    )

Base = dict[str, tuple[str, list[int], bytes]]  # name: dtype, shape, elements
HASHES: Map = {"blake3-256": blake3, "sha2-256": hashlib.sha256}
NAMES = {"BOOL": "bool", "BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
NAMES |= {f"{k[0].upper()}{b}": f"{k}{b}" for k in ("int", "uint") for b in (8, 16, 32, 64)}
NAMES |= {f"F{bits}": f"float{bits}" for bits in (16, 32, 64)}


def load_base(data: bytes) -> Base:
    """Read a `.safetensors` file, the reader's own choice and so believed."""
    n = int.from_bytes(data[:8], "little")
    header, base = json.loads(data[8 : 8 + n]), {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = (8 + n + at for at in entry["data_offsets"])
            base[name] = (NAMES[entry["dtype"]], entry["shape"], data[begin:end])
    return base


def tensor_digest(algorithm: str, dtype: str, shape: list[int], elements: bytes) -> bytes:
    """Return the digest of a decoded tensor (section 7)."""
    dims = struct.pack(f"<B{len(shape)}Q", len(shape), *shape)
    described = b"seedpack-tensor-v1\0" + dtype.encode() + b"\0" + dims + elements
    return bytes(HASHES[algorithm](described).digest())


def base_digest(algorithm: str, base: Base) -> bytes:
    """Return the digest of a model as a base."""
    text = b"seedpack-base-v1\0" + struct.pack("<Q", len(base))
    for name, tensor in sorted(base.items()):
        digest = tensor_digest(algorithm, *tensor)
        text += struct.pack("<H", len(name.encode())) + name.encode() + digest
    return bytes(HASHES[algorithm](text).digest())


def check_base(manifest: Map, layers: list[Map], base: Base | None) -> None:
    """Apply BAS-1, BAS-2 and BAS-4, where one of the layers is a delta."""
    if any(layer["codec"] == "delta" for layer in layers):
        require(manifest["base"] is not None, "BAS-4", "SP400")
        require(base is not None, "BAS-1", "SP500")
        actual = base_digest(manifest["digest_algorithm"], base or {})
        require(actual == manifest["base"]["digest"], "BAS-2", "SP300")


def decode_delta(layer: Map, chunks: list[bytes], base: Base) -> bytes:
    """Step 7: decode the codec `delta`."""
    params, dtype = dict(layer["params"]), layer["dtype"]
    method, skip, prefix = (params.pop(name, None) for name in ("method", "skip", "prefix"))
    require(type(method) is str, "COD-DLT-1")
    require(skip is None or (type(skip) is int and 1 <= skip <= len(layer["name"])), "COD-DLT-1")
    require(prefix is None or (type(prefix) is str and prefix), "COD-DLT-1")
    tensor = base.get((prefix or "") + layer["name"][skip or 0 :])
    require(tensor and tensor[0] == dtype and tensor[1] == layer["shape"], "BAS-3", "SP400")
    elements = tensor[2] if tensor else b""
    if method == "same" and not params:
        require(not chunks, "CHK-3")
        return elements
    require(method in METHODS, "COD-DLT-1")
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-DLT-2")
    difference = METHODS[method]({**layer, "params": params}, chunks)
    s, ones = DTYPES[dtype]
    out = b""
    for i, d in enumerate(difference):
        bits = int.from_bytes(elements[i * s : i * s + s], "little")
        require(bits & ones != ones, "COD-DLT-2")
        require(math.isfinite(d), "LAY-7", "SP400")
        out += round_to(dtype, single(value_of(dtype, bits) + d))
    return out


def value_of(dtype: str, bits: int) -> float:
    """Return a float of 16 or 32 bits."""
    if dtype == "bfloat16":
        dtype, bits = "float32", bits << 16
    form = "<He" if dtype == "float16" else "<If"
    (value,) = struct.unpack(f"<{form[2]}", struct.pack(form[:2], bits))
    return float(value)


def single(value: float) -> float:
    """Round to float32; too great a value is infinite (LAY-7).

    The sum or product of two float32 in float64, rounded again, is their sum or product in
    float32: 53 bits are more than twice 24 and two.
    """
    (rounded,) = struct.unpack("<f", round_to("float32", value))
    return float(rounded)


def matrix(layer: Map) -> tuple[int, int]:
    """Return the first dimension, and the product of the others."""
    shape = layer["shape"] or [1]
    return shape[0], math.prod(shape[1:])


def by_ecq(layer: Map, chunks: list[bytes]) -> list[float]:
    """Return what the codec `ecq` makes of it as float32."""
    elements = decode_ecq({**layer, "dtype": "float32"}, chunks)
    values = [*struct.unpack(f"<{len(elements) // 4}f", elements)]
    require(all(map(math.isfinite, values)), "LAY-7", "SP400")
    return values


def by_lowrank(layer: Map, chunks: list[bytes]) -> list[float]:
    """Return the product of two factors, scaled."""
    params, (o, i) = layer["params"], matrix(layer)
    kinds = {"bits": int, "rank": int, "scale": bytes, "weights": bytes}
    kinds |= {"seed": bytes} if "seed" in params else {}
    require(fits(params, kinds), "COD-DLT-3")
    r, bits = params["rank"], params["bits"]
    require(1 <= r <= 2048 and r * (o + i) <= o * i and bits in {4, 8}, "COD-DLT-3")
    require(len(params["weights"]) == 2 * r and len(params.get("seed", bytes(8))) == 8, "COD-DLT-3")
    scale, weights = positive(params["scale"]), struct.unpack(f"<{r}H", params["weights"])
    require(all(weights), "COD-DLT-3")
    n, codes = r * (o if "seed" in params else o + i), []
    counts = [min(4 * MIB, n - at) for at in range(0, n, 4 * MIB)]
    require(len(chunks) == len(counts), "CHK-3")
    sizes = [-(-count * bits // 8) for count in counts]
    require(all(len(c) <= size for c, size in zip(chunks, sizes, strict=True)), "COD-DLT-4")
    for chunk, count, size in zip(chunks, counts, sizes, strict=True):
        number = int.from_bytes(plane(chunk, size), "little")
        require(number >> count * bits == 0, "COD-DLT-4")
        for place in range(count):
            code = number >> place * bits & ((1 << bits) - 1)
            codes.append(code - (code >> bits - 1 << bits))
    right = codes[o * r :]
    if "seed" in params:
        right = signs(int.from_bytes(params["seed"], "little"), r * i)
    out = []
    for row in range(o):
        left = [w * c for w, c in zip(weights, codes[row * r : row * r + r], strict=True)]
        for column in range(i):
            total = sum(c * right[k * i + column] for k, c in enumerate(left))
            out.append(single(single(total) * scale))
    return out


def signs(seed: int, count: int) -> list[int]:
    """Return signs from a seed (splitmix64)."""
    out: list[int] = []
    ones = (1 << 64) - 1
    while len(out) < count:
        seed = seed + 0x9E3779B97F4A7C15 & ones
        z = (seed ^ seed >> 30) * 0xBF58476D1CE4E5B9 & ones
        z = (z ^ z >> 27) * 0x94D049BB133111EB & ones
        z ^= z >> 31
        out += [2 * (z >> bit & 1) - 1 for bit in range(64)]
    return out[:count]


def positive(packed: bytes) -> float:
    """Return a positive normal float32."""
    bits = int.from_bytes(packed, "little")
    require(len(packed) == 4 and 0x800000 <= bits < 0x7F800000, "COD-DLT-3")
    return value_of("float32", bits)


def by_sign(layer: Map, chunks: list[bytes]) -> list[float]:
    """Return plus or minus the scale of the row."""
    params, (o, i) = layer["params"], matrix(layer)
    require(fits(params, {"chunk_rows": int}) and params["chunk_rows"], "COD-DLT-5")
    step, row = params["chunk_rows"], -(-i // 8)
    require(step * i * 4 <= 4 * MIB, "CHK-1", "SP400")
    require(len(chunks) == -(-o // step), "CHK-3")
    counts = [min(step, o - at) for at in range(0, o, step)]
    sizes = [count * (2 + row) for count in counts]
    require([*map(len, chunks)] == sizes, "COD-DLT-5")
    out = []
    for chunk, count in zip(chunks, counts, strict=True):
        for at in range(count):
            bits = int.from_bytes(chunk[2 * at : 2 * at + 2], "little")
            require(bits == 0 or 0x80 <= bits < 0x7F80, "COD-DLT-5")
            begin = 2 * count + at * row
            flags = int.from_bytes(chunk[begin : begin + row], "little")
            require(flags >> i == 0, "COD-DLT-5")
            scale = value_of("bfloat16", bits)
            out += [scale if flags >> place & 1 else -scale for place in range(i)]
    return out


METHODS: Map = {"ecq": by_ecq, "lowrank": by_lowrank, "sign": by_sign}
