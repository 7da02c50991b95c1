"""Floats of 16 and 32 bits <-> float32, by elementwise IEEE operations only (bit-exact)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from seedpack.dtypes import DType


def widen_bfloat16(bits: np.ndarray) -> np.ndarray:
    """Return the float32 values of bfloat16 bits (uint16); exact."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def round_bfloat16(values: np.ndarray) -> np.ndarray:
    """Return the bfloat16 bits (uint16) nearest to float32 values, ties to even.

    Args:
        values: float32, no NaN; what exceeds the largest bfloat16 becomes infinity.
    """
    bits = values.view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return ((bits + (odd + np.uint32(0x7FFF))) >> np.uint32(16)).astype(np.uint16)


def to_float32(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Return the float32 values of float16, bfloat16 or float32 storage; exact."""
    if dtype.name == "bfloat16":
        return widen_bfloat16(values)
    return values.astype(np.float32, copy=False)


def store_float32(values: np.ndarray, out: np.ndarray, dtype: DType) -> None:
    """Write float32 values into float16, bfloat16 or float32 storage, nearest, ties to even."""
    if dtype.name == "bfloat16":
        out[...] = round_bfloat16(values)
        return
    with np.errstate(over="ignore"):  # float16: infinity is refused by the caller, LAY-7
        out[...] = values
