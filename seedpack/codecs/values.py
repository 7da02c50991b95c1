"""The values of one layer: cut into chunks, allocated, checked for finiteness.

n values, chunk_values --> ceil(n / chunk_values) chunks, all full but the last
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Partial
from seedpack.errors import CodecError
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Collection

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_BLOCK: Final = 1 << 16  # values looked at together, so that no copy outgrows the cache


def read_params(layer: Layer, names: frozenset[str], *, rule: str) -> dict[str, int]:
    """Return the params, which must be exactly these, all integers of at least 1.

    Raises:
        CodecError: ``rule``.
    """
    where = f"layer {layer.name}"
    if layer.params.keys() != names:
        message = f"params of codec {layer.codec} are not {', '.join(sorted(names))}"
        raise CodecError(message, rule=rule, where=where)
    params: dict[str, int] = {}
    for name, value in layer.params.items():
        if not isinstance(value, int) or value < 1:
            raise CodecError(f"param {name} is no count", rule=rule, where=where)
        params[name] = value
    return params


def chunk_counts(layer: Layer, dtype: DType, chunk_values: int) -> list[int]:
    """Return the number of values in each chunk, after a look at the chunks that there are.

    Raises:
        CodecError: CHK-1, chunks would decode to more than 4 MiB; CHK-3, not as many
            chunks as the values need.
    """
    where = f"layer {layer.name}"
    if chunk_values * dtype.itemsize > MAX_CHUNK_RAW_NBYTES:
        message = f"chunks decode to {chunk_values * dtype.itemsize} bytes"
        raise CodecError(message, rule="CHK-1", where=where)
    nvalues = math.prod(layer.shape)
    nchunks = -(-nvalues // chunk_values)
    if len(layer.chunks) != nchunks:
        message = f"{len(layer.chunks)} chunks, the values need {nchunks}"
        raise CodecError(message, rule="CHK-3", where=where)
    return [min(chunk_values, nvalues - i * chunk_values) for i in range(nchunks)]


def refuse_chunks(layer: Layer) -> None:
    """Refuse any chunk of a layer that is all in its params.

    Raises:
        CodecError: CHK-3.
    """
    if layer.chunks:
        message = f"{len(layer.chunks)} chunks, codec {layer.codec} has none"
        raise CodecError(message, rule="CHK-3", where=f"layer {layer.name}")


def allocate_values(layer: Layer, dtype: DType) -> np.ndarray:
    """Return uninitialised room for a layer's values.

    Raises:
        CodecError: LAY-4, this machine has no such memory.
    """
    nvalues = math.prod(layer.shape)
    try:
        return np.empty(nvalues, dtype=dtype.storage)
    except MemoryError as error:
        raise CodecError(
            f"tensor of {nvalues * dtype.itemsize} bytes does not fit into memory",
            rule="LAY-4",
            where=f"layer {layer.name}",
            hint="choose other layers with --layers, or a machine with more memory",
        ) from error


def forget_chunks(values: np.ndarray, chunk_values: int, lost: Collection[int]) -> Partial:
    """Return ``values`` with 0 in place of what no chunk was decoded to.

    Args:
        values: (n,), of a decoder; where a chunk is lost they are any old memory's.
        chunk_values: How many consecutive values each chunk holds.
        lost: Indices of chunks.
    """
    is_known = np.ones(values.size, np.bool_)
    for index in lost:
        span = slice(index * chunk_values, (index + 1) * chunk_values)
        values[span] = 0
        is_known[span] = False
    return Partial(values, is_known, np.zeros(values.size, np.bool_))


def all_finite(values: np.ndarray, dtype: DType) -> bool:
    """Return whether ``values`` hold no NaN and no infinity; integers never do.

    Args:
        values: 1-D, contiguous, of numpy type ``dtype.storage``.
        dtype: What the stored bits mean.
    """
    if dtype.kind != "float":
        return True
    words = values.view(f"<u{dtype.itemsize}")
    without_sign = words.dtype.type((1 << (8 * dtype.itemsize - 1)) - 1)
    limit = first_nonfinite(dtype)
    blocks = (words[start : start + _BLOCK] for start in range(0, words.size, _BLOCK))
    return all(int((block & without_sign).max()) < limit for block in blocks)


def first_nonfinite(dtype: DType) -> int:
    """Return the smallest word, sign aside, that is an infinity or NaN of float ``dtype``."""
    if dtype.name == "float8_e4m3fn":
        return 0x7F  # no infinities; all ones is the only NaN
    return ((1 << dtype.exponent_bits) - 1) << dtype.mantissa_bits


def check_finite(values: np.ndarray, dtype: DType, where: str) -> None:
    """Refuse NaN and infinity in a layer declared finite.

    Raises:
        CodecError: LAY-7.
    """
    if not all_finite(values, dtype):
        raise CodecError("NaN or infinity in a finite layer", rule="LAY-7", where=where)
