"""The codec `tcq` of the independent reader (`spec/codecs/tcq.md`)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from spec.reference.seed_codecs import (
        DTYPES,
        Map,
        RefusedError,
        counts,
        fits,
        level_value,
        require,
        table_of,
    )
else:  # beside this file, however that is loaded
    from seed_codecs import DTYPES, RefusedError, counts, fits, level_value, require, table_of


class Symbol(NamedTuple):
    """What a slot stands for."""

    f: int
    offset: int  # slot - start
    p: int
    value: bytes  # none for the escape


def slots_of(params: Map, name: str, dtype: str) -> list[Symbol]:
    """Step 7: return the 4,096 slots of one quantiser."""
    table, (lowest,) = (
        table_of(params[f"table_{name}"]),
        struct.unpack("<i", params[f"lowest_{name}"]),
    )
    (half_step,) = struct.unpack("<f", params["half_step"])
    require(len(table) > 1 and table[1] and table[-1], "COD-TCQ-4")
    q, limit = int(name == "odd"), 1 << 24
    require(-limit <= 2 * lowest + q and 2 * (lowest + len(table) - 2) + q <= limit, "COD-TCQ-4")
    slots = [Symbol(table[0], i, 0, b"") for i in range(table[0])]
    for s, f in enumerate(table[1:]):
        k = lowest + s
        try:
            value = level_value(dtype, (2 * k + q) * half_step) if f else b""
        except RefusedError as e:
            raise RefusedError("COD-TCQ-4") from e
        slots += [Symbol(f, i, k % 2, value) for i in range(f)]
    return slots


def decode_tcq(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `tcq`."""
    params, dtype, b = layer["params"], layer["dtype"], DTYPES[layer["dtype"]][0]
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-TCQ-1")
    kinds = dict.fromkeys(["chunk_values", "lane_values", "tail_rows"], int)
    binary = ["half_step", "lowest_even", "lowest_odd", "table_even", "table_odd"]
    require(fits(params, kinds | dict.fromkeys(binary, bytes)), "COD-TCQ-2")
    require(params["chunk_values"], "COD-TCQ-2")
    require(len(params["lowest_even"]) == len(params["lowest_odd"]) == 4, "COD-TCQ-2")
    layout = params["lane_values"], params["tail_rows"]
    require(64 <= layout[0] <= 2048 and layout[1] <= 255, "COD-RANS-2")
    bits = int.from_bytes(params["half_step"], "little")
    require(len(params["half_step"]) == 4 and 0x800000 <= bits < 0x7F800000, "COD-TCQ-3")
    tables = [slots_of(params, name, dtype) for name in ("even", "odd")]
    elements = b""
    for chunk, v in counts(layer, chunks):
        lanes_nbytes = 4 * -(-v // layout[0])
        require(lanes_nbytes <= len(chunk) <= lanes_nbytes + (2 + b) * v, "COD-TCQ-5")
        values, at = walk(chunk, tables, v, *layout)
        require(len(chunk) - at == values.count(b"") * b, "COD-TCQ-6")
        escaped = iter(chunk[at + i : at + i + b] for i in range(0, len(chunk) - at, b))
        elements += b"".join(value or next(escaped) for value in values)
    return elements


def walk(
    chunk: bytes, tables: list[list[Symbol]], v: int, lane_values: int, tail: int
) -> tuple[list[bytes], int]:
    """Step 7: decode v values, and return where the stream ends."""
    n = -(-v // lane_values)
    rows, at, values = -(-v // n), 4 * n, []
    body = max(rows - tail, 0)
    require(len(chunk) >= at, "COD-RANS-3")
    states = [*struct.unpack_from(f"<{n}I", chunk)]
    require(min(states) >= 1 << 16, "COD-RANS-3")
    trellis = [0] * n
    for i in range((rows + 1) * n):  # one row more, in which a tail of no rows begins
        row, lane = divmod(i, n)
        if row == body:
            states[lane] -= 1 << 16
        if i >= v:
            continue
        t = trellis[lane]
        symbol = tables[t % 2][states[lane] % 4096]
        values.append(symbol.value)
        trellis[lane] = t // 2 ^ (33 if t % 2 else 0) ^ (10 if symbol.p else 0)
        states[lane] = symbol.f * (states[lane] // 4096) + symbol.offset
        if row < body and states[lane] < 1 << 16:
            require(at + 2 <= len(chunk), "COD-RANS-4")
            states[lane] = states[lane] << 16 | int.from_bytes(chunk[at : at + 2], "little")
            at += 2
    require(not any(states), "COD-RANS-5")
    return values, at
