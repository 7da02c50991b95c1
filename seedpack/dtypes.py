"""The closed set of element types (spec: LAY-2).

Names are those of numpy where numpy has the type, and the field's usual short
names elsewhere. All are little-endian; nothing here imports numpy.
"""

from __future__ import annotations

from typing import Final, NamedTuple


class DType(NamedTuple):
    """One element type."""

    name: str
    itemsize: int  # bytes
    storage: str  # numpy type of the same width that holds the bits
    kind: str  # "bool", "int" or "float"
    exponent_bits: int  # 0 unless float
    mantissa_bits: int  # stored, without the implicit one; 0 unless float


DTYPES: Final[dict[str, DType]] = {
    d.name: d
    for d in (
        DType("bool", 1, "|u1", "bool", 0, 0),
        DType("uint8", 1, "|u1", "int", 0, 0),
        DType("int8", 1, "|i1", "int", 0, 0),
        DType("uint16", 2, "<u2", "int", 0, 0),
        DType("int16", 2, "<i2", "int", 0, 0),
        DType("uint32", 4, "<u4", "int", 0, 0),
        DType("int32", 4, "<i4", "int", 0, 0),
        DType("uint64", 8, "<u8", "int", 0, 0),
        DType("int64", 8, "<i8", "int", 0, 0),
        DType("float8_e4m3fn", 1, "|u1", "float", 4, 3),
        DType("float8_e5m2", 1, "|u1", "float", 5, 2),
        DType("float16", 2, "<f2", "float", 5, 10),
        DType("bfloat16", 2, "<u2", "float", 8, 7),
        DType("float32", 4, "<f4", "float", 8, 23),
        DType("float64", 8, "<f8", "float", 11, 52),
    )
}
