"""Memory that was freed is kept for the next array, where the C library can be told so.

    array of some megabytes freed ──usual──> given back at once; the next one is given fresh pages,
                                             each cleared by the system when it is first touched
                              ──kept───> the next array lies where the last one lay

A search makes and frees the same few arrays thousands of times; it spends up to a third of its
time on pages being cleared. Whatever is computed stays the same.

Source:
    mallopt(3), GNU C Library.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_TRIM_THRESHOLD, _MMAP_MAX = -1, -4  # names of malloc.h
_KEPT: Final = 512 * 2**20  # bytes free at the end of the heap, beyond which they are given back


def keep_freed_memory() -> bool:
    """Have this process keep up to 512 MiB of freed memory at hand.

    For processes of our own only: how memory is handed out is a program's to choose, not a
    library's.

    Returns:
        Whether the C library did so. Others than that of GNU are left as they are.
    """
    if sys.platform != "linux":
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(_TRIM_THRESHOLD, _KEPT) and mallopt(_MMAP_MAX, 0))
