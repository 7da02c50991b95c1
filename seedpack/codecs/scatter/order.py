"""Where each chunk's values stand in the tensor (spec: COD-SCA-4).

block b of K values: chunk c holds the one at b K + (c + word(0, b)) mod K

Each chunk has one value of every block, so that no chunk holds a row; and where in the block is
drawn anew for each, so that none holds a column of a matrix whose rows are K values long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.prng import words

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEED: Final = 0  # of the turns
_BLOCK: Final = 1 << 16  # values moved together, so that places take no memory of the tensor's size


def scatter(values: np.ndarray, nchunks: int) -> np.ndarray:
    """Return the values by chunk, 0 behind the last one.

    Shapes:
        n values, K chunks, M = ceil(n / K).

    Args:
        values: (n,), n >= 1.
        nchunks: K, 1 to n.

    Returns:
        (K, M), of the same type.
    """
    nblocks = -(-values.size // nchunks)
    padded = np.zeros(nblocks * nchunks, values.dtype)
    padded[: values.size] = values
    blocks = padded.reshape(nblocks, nchunks)  # (M, K)
    rows = np.empty((nchunks, nblocks), values.dtype)
    for span, places in _places(nblocks, nchunks):
        rows[:, span] = np.take_along_axis(blocks[span], places, axis=1).T
    return rows


def gather(rows: np.ndarray) -> np.ndarray:
    """Undo ``scatter``: return (K M,) values of (K, M), those behind the last one among them."""
    nchunks, nblocks = rows.shape
    blocks = np.empty((nblocks, nchunks), rows.dtype)
    for span, places in _places(nblocks, nchunks):
        np.put_along_axis(blocks[span], places, rows[:, span].T, axis=1)
    return blocks.reshape(-1)


def _places(nblocks: int, nchunks: int) -> Iterator[tuple[slice, np.ndarray]]:
    """Yield some blocks, and (blocks, K) where in its block each chunk's value stands."""
    chunks = np.arange(nchunks, dtype=np.int64)
    step = max(_BLOCK // nchunks, 1)
    for start in range(0, nblocks, step):
        count = min(step, nblocks - start)
        turns = (words(_SEED, start, count) % np.uint64(nchunks)).astype(np.int64)
        yield slice(start, start + count), (chunks + turns[:, None]) % nchunks
