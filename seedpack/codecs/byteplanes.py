"""Words <-> planes that put alike bits side by side (spec/codecs/raw.md).

    float of 2 bytes or more:   low 16-bit words | sign + 7 bits below | 8 bits below the sign
                                incompressible     incompressible        exponent: Huffman coded
    all else:                   byte 0 | byte 1 | ... of every value

Decoding a float costs a handful of passes over blocks that stay in the cache; the low
words are used where they lie, uncopied.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.dtypes import DType

_BLOCK_VALUES: Final = 1 << 15  # scratch of 8 bytes per value: 256 KiB, half a usual L2
_EXPONENT_SHIFT: Final = 7
_SIGN_AND_LOW: Final = np.uint16(0x807F)  # bits of the top 16 that the side plane holds


class _Scratch(threading.local):
    """Per thread, so that decoding allocates nothing per chunk."""

    def __init__(self) -> None:
        """Make this thread's scratch."""
        self.top = np.empty(_BLOCK_VALUES, np.uint16)
        self.side = np.empty(_BLOCK_VALUES, np.int16)
        self.low = np.empty(_BLOCK_VALUES, np.uint32)


_scratch: Final = _Scratch()


def has_float_planes(dtype: DType) -> bool:
    """Return whether ``dtype`` is split by exponent rather than by byte."""
    return dtype.kind == "float" and dtype.itemsize > 1


def plane_sizes(dtype: DType, nvalues: int) -> list[int]:
    """Return the raw size of each plane of ``nvalues`` values, in bytes."""
    if has_float_planes(dtype):
        return [2 * nvalues] * (dtype.itemsize // 2 - 1) + [nvalues, nvalues]
    return [nvalues] * dtype.itemsize


def split_planes(values: np.ndarray, dtype: DType) -> list[bytes]:
    """Return the planes of ``values`` (1-D, contiguous, storage type)."""
    if not has_float_planes(dtype):
        columns = values.view(np.uint8).reshape(-1, dtype.itemsize)  # (n, itemsize)
        return [columns[:, i].tobytes() for i in range(dtype.itemsize)]
    words = values.view("<u2").reshape(-1, dtype.itemsize // 2)  # (n, itemsize / 2)
    top = words[:, -1]
    side = (top >> np.uint16(8)) & np.uint16(0x80) | top & np.uint16(0x7F)
    exponent = (top >> np.uint16(_EXPONENT_SHIFT)).astype(np.uint8)  # the sign falls off
    low = [words[:, i].tobytes() for i in range(words.shape[1] - 1)]
    return [*low, side.astype(np.uint8).tobytes(), exponent.tobytes()]


def merge_planes(planes: Sequence[np.ndarray], out: np.ndarray, dtype: DType) -> None:
    """Write the values that ``planes`` hold into ``out``.

    Args:
        planes: uint8 arrays of the sizes that ``plane_sizes`` gives.
        out: 1-D, contiguous, storage type.
        dtype: What the stored bits mean.
    """
    if not has_float_planes(dtype):
        columns = out.view(np.uint8).reshape(-1, dtype.itemsize)  # (n, itemsize)
        for i, plane in enumerate(planes):
            columns[:, i] = plane
        return
    low = [plane.view("<u2") for plane in planes[:-2]]
    side, exponent = planes[-2].view(np.int8), planes[-1]
    for start in range(0, out.size, _BLOCK_VALUES):
        block = slice(start, start + _BLOCK_VALUES)
        top = _merge_top(side[block], exponent[block])
        _write_words([words[block] for words in low], top, out[block], dtype)


def _merge_top(side: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return the top 16 bits, in this thread's scratch."""
    top = _scratch.top[: side.size]
    wide = _scratch.side[: side.size]
    top[...] = exponent
    np.left_shift(top, _EXPONENT_SHIFT, out=top)
    wide[...] = side  # sign-extended: bit 15 is the sign, bits 7 to 14 are masked away
    bits = wide.view(np.uint16)
    np.bitwise_and(bits, _SIGN_AND_LOW, out=bits)
    return np.bitwise_or(top, bits, out=top)


def _write_words(low: Sequence[np.ndarray], top: np.ndarray, out: np.ndarray, dtype: DType) -> None:
    """Join low words and top words; whole-word arithmetic beats strided stores twofold."""
    if dtype.itemsize == 4:  # noqa: PLR2004 -- float32, the case worth its own path
        target = out.view("<u4")
        target[...] = top
        np.left_shift(target, 16, out=target)
        wide = _scratch.low[: out.size]
        wide[...] = low[0]
        np.bitwise_or(target, wide, out=target)
        return
    words = out.view("<u2").reshape(-1, dtype.itemsize // 2)  # (n, itemsize / 2)
    for i, plane in enumerate([*low, top]):
        words[:, i] = plane
