"""Codec `scatter` of the independent reader: see its page."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spec.reference.seed_codecs import DTYPES, Map, decode_ecq, decode_raw, require, round_to
    from spec.reference.seed_family import FLOATS, floats, single, word
else:  # found however this file is loaded: as a part of a program, a module, or by its path
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    from seed_codecs import DTYPES, decode_ecq, decode_raw, require, round_to
    from seed_family import FLOATS, floats, single, word

COPIES = ("copies_before", "copies_behind")
LEVELS = ("chunk_values", "lane_values", "lowest", "step", "table", "tail_rows")


def decode_scatter(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `scatter`."""
    params, n, dtype = layer["params"], math.prod(layer["shape"]), layer["dtype"]
    quantised, split = "step" in params, "low_step" in params
    require(n > 0 and (not quantised or dtype in FLOATS), "COD-SCA-1")
    own = {*(LEVELS if quantised else LEVELS[:1])} | {f"low_{x}" for x in LEVELS if split}
    pieces = sorted(name for name in params if name.startswith("whole_"))
    require(params.keys() == own | {*pieces} | (params.keys() & {*COPIES}), "COD-SCA-2")
    require(not split or (quantised and not pieces), "COD-SCA-2")
    copies = [params[name] for name in COPIES if name in params]
    require(all(type(x) is int and x > 0 for x in copies), "COD-SCA-2")
    require(sum(copies) <= len(chunks), "COD-SCA-2")
    every, before = chunks, params.get("copies_before", 0)
    chunks = chunks[before : len(chunks) - params.get("copies_behind", 0)]
    if pieces:
        whole = joined([params[name] for name in pieces], pieces)
        require(not every, "CHK-3")
        chunks = [whole]
    k, odd = divmod(len(chunks), 2 if split else 1)
    require(not odd and 1 <= k <= n, "CHK-3")
    m = -(-n // k)
    require(params["chunk_values"] == m and params.get("low_chunk_values", m) == m, "COD-SCA-3")
    if split:
        elements = add_low(layer, chunks, k, m)
    else:
        decoder = decode_ecq if quantised else decode_raw
        plain = {name: value for name, value in params.items() if name in LEVELS}
        elements = decoder(layer | {"params": plain, "shape": [k * m]}, chunks)
    return in_order(elements, DTYPES[dtype][0], k, n)


def joined(values: list[object], names: list[str]) -> bytes:
    """Step 7: return the chunk that stands in the params."""
    require(len(values) <= 8 and names == [f"whole_{i}" for i in range(len(names))], "COD-SCA-2")
    found = [value for value in values if isinstance(value, bytes) and value]
    require(len(found) == len(values), "COD-SCA-2")
    require(all(len(value) == 4096 for value in found[:-1]), "COD-SCA-2")
    return b"".join(found)


def add_low(layer: Map, chunks: list[bytes], k: int, m: int) -> bytes:
    """Step 7: return the sums of top and low bits, by chunk."""
    parts = []
    for prefix, own in (("", chunks[:k]), ("low_", chunks[k:])):
        params = {name: layer["params"][prefix + name] for name in LEVELS}
        part = layer | {"params": params, "shape": [k * m], "dtype": "float32"}
        parts.append(floats(decode_ecq(part, own)))
    sums = (single(a + b) for a, b in zip(*parts, strict=True))
    return b"".join(round_to(layer["dtype"], total) for total in sums)


def in_order(elements: bytes, itemsize: int, k: int, n: int) -> bytes:
    """Step 7: put values by chunk where they stand in the tensor."""
    m = len(elements) // itemsize // k
    out = bytearray(len(elements))
    for b in range(m):
        turn = word(0, b) % k
        for c in range(k):
            to, at = (b * k + (c + turn) % k) * itemsize, (c * m + b) * itemsize
            out[to : to + itemsize] = elements[at : at + itemsize]
    require(not any(out[n * itemsize :]), "COD-SCA-4")
    return bytes(out[: n * itemsize])
