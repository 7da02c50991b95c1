"""The codecs of the independent reader, one function per page in `spec/codecs`, and their planes.

Beside `read_seed.py`, because a new codec is a new page and a new function, and no change there.
"""

from __future__ import annotations

import math
import struct
from typing import Any

import zstandard

Map = dict[str, Any]  # a map of the manifest, or an object of the trust store
MIB = 1 << 20


class RefusedError(Exception):
    """The file breaks the rule that stands first, with the code that stands second if any."""


def require(holds: object, *rule_and_code: str) -> None:
    """Refuse the file unless `holds`."""
    if not holds:
        raise RefusedError(*rule_and_code)


# Each dtype's itemsize in bytes, and the bits that are all ones exactly in NaN and infinity.
DTYPES = {f"{kind}{bits}": (bits // 8, 0) for kind in ("int", "uint") for bits in (8, 16, 32, 64)}
DTYPES |= {"bool": (1, 0), "float8_e4m3fn": (1, 0x7F), "float8_e5m2": (1, 0x7C)}
DTYPES |= {"bfloat16": (2, 0x7F80), "float16": (2, 0x7C00), "float32": (4, 0xFF << 23)}
DTYPES |= {"float64": (8, 0x7FF << 52)}


def fits(value: Any, kind: Any) -> bool:  # noqa: ANN401 -- any msgpack value, any kind
    """Tell whether a value is of a kind; bool is not int.

    A kind is a type, None, a tuple of alternatives, [kind] for an array of any length, a longer
    list for an array of that length, a map of keys to kinds, or {...: kind} for any text keys.
    """
    if isinstance(kind, tuple):
        return any(fits(value, alternative) for alternative in kind)
    if isinstance(kind, dict) and type(value) is dict:
        kind = dict.fromkeys(value, kind[...]) if ... in kind else kind
        return value.keys() == kind.keys() and all(fits(value[name], kind[name]) for name in kind)
    if isinstance(kind, list) and type(value) is list:
        kind = kind * len(value) if len(kind) == 1 else kind
        return len(value) == len(kind) and all(map(fits, value, kind))
    return value is None if kind is None else type(value) is kind


def plane(stored: bytes, nbytes: int) -> bytes:
    """Step 7: decode one plane of `nbytes` raw bytes."""
    require(len(stored) <= nbytes, "ZST-1")
    if len(stored) == nbytes:
        return stored
    require(stored[:4] == b"\x28\xb5\x2f\xfd", "ZST-1")
    flags, window = stored[4:6].ljust(2, b"\x20")
    require(flags & 0x20 or window <= 13 << 3, "ZST-3")  # 2^(10 + 13); or none but the content
    decoder, rule = zstandard.ZstdDecompressor(max_window_size=8 * MIB), "ZST-6"
    try:
        frame = zstandard.get_frame_parameters(stored)
        require(frame.content_size == nbytes, "ZST-2")
        require(flags & 3 == 0, "ZST-4")
        raw = decoder.decompress(stored)  # memory: the content size that was just checked
        rule = "ZST-5"
        decoder.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as e:
        raise RefusedError(rule) from e
    require(len(raw) == nbytes, "ZST-6")
    return raw


def planes(chunk: bytes, sizes: list[int], rule: str) -> list[bytes]:
    """Step 7: decode planes of these raw sizes, which stand behind a table of their lengths."""
    lengths = struct.unpack_from(f"<{len(sizes)}I", chunk)
    ends = [4 * len(sizes) + sum(lengths[: i + 1]) for i in range(len(sizes))]
    require(ends[-1] == len(chunk), rule)
    spans = zip(ends, lengths, sizes, strict=True)
    return [plane(chunk[end - length : end], size) for end, length, size in spans]


def counts(layer: Map, chunks: list[bytes]) -> list[tuple[bytes, int]]:
    """Step 7: return each chunk with the number of its values."""
    n, step = math.prod(layer["shape"]), layer["params"]["chunk_values"]
    require(len(chunks) == -(-n // step), "CHK-3")
    require(step * DTYPES[layer["dtype"]][0] <= 4 * MIB, "CHK-1", "SP400")
    return [(chunk, min(step, n - i * step)) for i, chunk in enumerate(chunks)]


def decode_raw(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `raw`."""
    params, (s, ones) = layer["params"], DTYPES[layer["dtype"]]
    require(fits(params, {"chunk_values": int}) and params["chunk_values"] >= 1, "COD-RAW-1")
    wide = ones and s > 1  # a float of 16-bit words, of which the highest is split in two planes
    elements = b""
    for chunk, v in counts(layer, chunks):
        sizes = [2 * v] * (s // 2 - 1) + [v, v] if wide else [v] * s
        require(len(chunk) == v * s or 5 * len(sizes) <= len(chunk) < v * s, "COD-RAW-2")
        if len(chunk) < v * s:
            columns, width = planes(chunk, sizes, "COD-RAW-3"), 2 if wide else 1
            if wide:
                pairs = zip(*columns[-2:], strict=True)
                tops = [(side & 128) << 8 | exponent << 7 | side & 127 for side, exponent in pairs]
                columns[-2:] = [struct.pack(f"<{v}H", *tops)]
            starts = range(0, v * width, width)
            elements += b"".join(column[at : at + width] for at in starts for column in columns)
        else:
            elements += chunk
    require(layer["dtype"] != "bool" or {*elements} <= {0, 1}, "COD-RAW-4")
    return elements


def decode_q8(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `q8`."""
    params, dtype = layer["params"], layer["dtype"]
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-Q8-1")
    require(fits(params, {"chunk_values": int, "group_values": int}), "COD-Q8-2")
    step, group = params["chunk_values"], params["group_values"]
    require(step and group and step % group == 0 and step <= MIB, "COD-Q8-2")
    elements = b""
    for chunk, v in counts(layer, chunks):
        g = -(-v // group)
        require(10 <= len(chunk) <= 8 + 2 * g + v, "COD-Q8-3")
        scales, raw = planes(chunk, [2 * g, v], "COD-Q8-4")
        codes = struct.unpack(f"{v}b", raw)
        require(-128 not in codes, "COD-Q8-6")
        for i, bits in enumerate(struct.unpack(f"<{g}H", scales)):
            own = codes[i * group : (i + 1) * group]
            require(bits == 0 or 0x80 <= bits <= 0x7F7F, "COD-Q8-5")
            require((bits == 0) == (not any(own)), "COD-Q8-7")
            (scale,) = struct.unpack("<f", struct.pack("<HH", 0, bits))
            elements += b"".join(round_to(dtype, code * scale) for code in own)
    return elements


def round_to(dtype: str, product: float) -> bytes:
    """Step 7: convert to nearest with ties to even; too great a value is infinite (LAY-7)."""
    try:
        value = struct.pack("<e" if dtype == "float16" else "<f", product)
    except OverflowError as e:
        raise RefusedError("LAY-7", "SP400") from e
    if dtype != "bfloat16":
        return value
    bits = int.from_bytes(value, "little")
    return struct.pack("<H", (bits + 0x7FFF + (bits >> 16 & 1)) >> 16)


def table_of(packed: bytes) -> list[int]:
    """Step 7: return the frequencies of a rANS code table."""
    frequencies, at = [], 0
    while at < len(packed):
        low, high = packed[at : at + 2].ljust(2, b"\0")
        require(low < 128 or 1 <= high < 128, "COD-RANS-1")
        frequencies.append(low if low < 128 else low - 128 + 128 * high)
        at += 1 if low < 128 else 2
    require(sum(frequencies) == 4096, "COD-RANS-1")
    return frequencies


def rans(chunk: bytes, table: list[int], v: int, lane_values: int, tail: int) -> list[int]:
    """Step 7: decode v symbols; append to them where the stream ends."""
    slots = [(s, f, i) for s, f in enumerate(table) for i in range(f)]
    n = -(-v // lane_values)
    rows, at, symbols = -(-v // n), 4 * n, []
    body = max(rows - tail, 0)
    require(len(chunk) >= at, "COD-RANS-3")
    states = [*struct.unpack_from(f"<{n}I", chunk)]
    require(min(states) >= 1 << 16, "COD-RANS-3")
    for i in range((rows + 1) * n):  # one row more, in which a tail of no rows begins
        row, lane = divmod(i, n)
        if row == body:
            states[lane] -= 1 << 16
        if i < v:
            s, f, offset = slots[states[lane] % 4096]
            states[lane] = f * (states[lane] // 4096) + offset
            symbols.append(s)
        if i < v and row < body and states[lane] < 1 << 16:
            require(at + 2 <= len(chunk), "COD-RANS-4")
            states[lane] = states[lane] << 16 | int.from_bytes(chunk[at : at + 2], "little")
            at += 2
    require(not any(states), "COD-RANS-5")
    return [*symbols, at]


def decode_ecq(layer: Map, chunks: list[bytes]) -> bytes:
    """Step 7: decode the codec `ecq`."""
    params, dtype, b = layer["params"], layer["dtype"], DTYPES[layer["dtype"]][0]
    require(dtype in {"float16", "bfloat16", "float32"} and layer["finite"], "COD-ECQ-1")
    kinds = dict.fromkeys(["chunk_values", "lane_values", "tail_rows"], int)
    require(fits(params, kinds | dict.fromkeys(["lowest", "table", "step"], bytes)), "COD-ECQ-2")
    require(params["chunk_values"] and len(params["lowest"]) == 4, "COD-ECQ-2")
    layout = params["lane_values"], params["tail_rows"]
    require(64 <= layout[0] <= 2048 and layout[1] <= 255, "COD-RANS-2")
    bits = int.from_bytes(params["step"], "little")
    require(len(params["step"]) == 4 and 0x800000 <= bits < 0x7F800000, "COD-ECQ-3")
    table, (step,) = table_of(params["table"]), struct.unpack("<f", params["step"])
    (lowest,) = struct.unpack("<i", params["lowest"])
    require(len(table) > 1 and table[1] and table[-1], "COD-ECQ-4")
    require(-(1 << 23) <= lowest <= (1 << 23) - len(table) + 2, "COD-ECQ-4")
    levels = [(lowest + i) * step if f else 0 for i, f in enumerate(table[1:])]
    values, elements = [b"", *(level_value(dtype, product) for product in levels)], b""
    for chunk, v in counts(layer, chunks):
        lanes_nbytes = 4 * -(-v // layout[0])
        require(lanes_nbytes <= len(chunk) <= lanes_nbytes + (2 + b) * v, "COD-ECQ-5")
        *symbols, at = rans(chunk, table, v, *layout)
        require(len(chunk) - at == symbols.count(0) * b, "COD-ECQ-6")
        escaped = iter(chunk[at + i : at + i + b] for i in range(0, len(chunk) - at, b))
        elements += b"".join(values[s] if s else next(escaped) for s in symbols)
    return elements


def level_value(dtype: str, product: float) -> bytes:
    """Step 7: round to float32, and then to the dtype; an infinite value is no level."""
    try:
        (single,) = struct.unpack("<f", round_to("float32", product))
        value, ones = round_to(dtype, single), DTYPES[dtype][1]
    except RefusedError as e:
        raise RefusedError("COD-ECQ-4") from e
    require(int.from_bytes(value, "little") & ones != ones, "COD-ECQ-4")
    return value


CODECS: Map = {"raw": decode_raw, "q8": decode_q8, "ecq": decode_ecq}
