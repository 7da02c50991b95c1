"""Chunks of lossy codecs: a rANS stream, and behind it the values that it escapes.

symbols of a chunk --> stream || escaped values, verbatim, in order
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.floats import round_bfloat16, store_float32, to_float32, widen_bfloat16
from seedpack.codecs.rans import Layout, Stream, decode_streams, encode_streams, longest_tail
from seedpack.codecs.rans.layouts import MAX_LANE_VALUES, STATE_NBYTES, WORD_NBYTES
from seedpack.codecs.values import all_finite, check_finite
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.codecs.rans.decoding import RowDecoder
    from seedpack.codecs.rans.encoding import Frequencies
    from seedpack.dtypes import DType

DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})
ESCAPE: Final = 0  # symbol, of every table

_MIN_STEP: Final = 2.0**-126  # the smallest normal float32: no product is subnormal
_MAX_STEP: Final = (2 - 2.0**-23) * 2.0**127  # the largest float32
_DEFAULT_STEP: Final = 0.25  # times the root mean square: about 4 bits per value
# Chunks are sized by what they store: at these rates a quarter of what raw would, or less.
_CHUNK_GROWTH: Final = 4
# A lane costs 15 bits or more, and fewer than 512 lanes cost time: 0.007 to 0.015 bits a value.
_LANES: Final = 512
_MIN_LANE_VALUES: Final = 1024
_BLOCK: Final = 1 << 16  # values squared together, so that no copy outgrows the cache


class Cut(NamedTuple):
    """How a tensor is cut into chunks and lanes."""

    chunk_values: int
    lane_values: int

    def lanes(self, nvalues: int) -> int:
        """Return the number of lanes of a chunk."""
        return Layout(self.lane_values, 0).lanes(nvalues)

    def spans(self, nvalues: int) -> list[slice]:
        """Return where each chunk of ``nvalues`` values stands."""
        starts = range(0, nvalues, self.chunk_values)
        return [slice(start, min(start + self.chunk_values, nvalues)) for start in starts]


def mean_square(values: np.ndarray, dtype: DType) -> float:
    """Return the mean of the squares of ``values`` (v,), v >= 1, without a copy of them all."""
    blocks = (values[start : start + _BLOCK] for start in range(0, values.size, _BLOCK))
    floats = (to_float32(block, dtype) for block in blocks)
    return sum(float(np.square(f, dtype=np.float64).sum()) for f in floats) / values.size


def default_step(values: np.ndarray, dtype: DType = DTYPES["float32"]) -> float:
    """Return a step of 8 bits, so that no order of summation shows in it."""
    root = math.sqrt(mean_square(values, dtype))
    rounded = round_bfloat16(np.array([root * _DEFAULT_STEP], np.float32))
    return float(widen_bfloat16(rounded)[0])


def most_chunk_values(itemsize: int, chunk_raw_nbytes: int) -> int:
    """Return how many values a chunk may have."""
    return min(chunk_raw_nbytes * _CHUNK_GROWTH, MAX_CHUNK_RAW_NBYTES) // itemsize


def choose_cut(values: np.ndarray, chunk_raw_nbytes: int) -> Cut:
    """Return how to cut ``values`` (v,), v >= 1."""
    most = most_chunk_values(values.itemsize, chunk_raw_nbytes)
    nchunks = -(-values.size // most)
    chunk_values = -(-values.size // nchunks)  # so that none is much shorter than the others
    return Cut(chunk_values, min(max(chunk_values // _LANES, _MIN_LANE_VALUES), MAX_LANE_VALUES))


def encode_chunks(
    values: np.ndarray,
    symbols: np.ndarray,
    escapes: Callable[[slice], np.ndarray],
    table: Frequencies,
    cut: Cut,
) -> tuple[Layout, list[bytes]]:
    """Return the streams' layout, and the chunks.

    Args:
        values: (v,), as the tensor holds them.
        symbols: (v,), indices into the table's frequencies.
        escapes: Says of the values of a slice which (n,) bool to store verbatim.
        table: The symbols' frequencies.
        cut: Of ``choose_cut``.
    """
    spans = cut.spans(values.size)
    tail = longest_tail((symbols[span] for span in spans), table, cut.lane_values)
    layout = Layout(cut.lane_values, tail)
    chunks = []
    for batch in layout.batches(values.size, cut.chunk_values):
        some = [spans[number] for number in batch]
        streams = encode_streams([symbols[span] for span in some], table, layout)
        for span, stream in zip(some, streams, strict=True):
            chunks.append(stream + values[span][escapes(span)].tobytes())
    return layout, chunks


def escape_word(dtype: DType) -> int:
    """Return a NaN's bits, which no level decodes to."""
    return (1 << (8 * dtype.itemsize - 1)) - 1


def is_step(step: float) -> bool:
    """Return whether ``step`` is a positive normal float32."""
    return _MIN_STEP <= step <= _MAX_STEP and float(np.float32(step)) == step


def level_words(levels: np.ndarray, step: float, dtype: DType) -> np.ndarray:
    """Return the bits of what each symbol decodes to; a NaN's for the escape.

    The product of a level (exact in float32) and the step is rounded once, to nearest even.

    Args:
        levels: (symbols,) integers; what stands for the escape is not looked at.
        step: A float32.
        dtype: Of the values.
    """
    values = np.empty(levels.size, dtype.storage)
    with np.errstate(over="ignore"):  # are_finite shows it
        products = levels.astype(np.float32) * np.float32(step)
    store_float32(products, values, dtype)
    words = values.view(f"<u{dtype.itemsize}")
    words[ESCAPE] = escape_word(dtype)
    return words


def are_finite(words: np.ndarray, frequencies: np.ndarray, dtype: DType) -> bool:
    """Return whether all levels that occur decode to finite values.

    Args:
        words: Of ``level_words``.
        frequencies: (symbols,), 0 where a symbol does not occur.
        dtype: Of the values.
    """
    occurs = frequencies > 0
    occurs[ESCAPE] = False
    return all_finite(words[occurs].view(dtype.storage), dtype)


def check_size(
    stored_nbytes: int, nvalues: int, layout: Layout, dtype: DType, *, rule: str, where: str
) -> None:
    """Refuse a chunk too short for its lanes, or longer than all values escaped.

    Raises:
        CodecError: ``rule``.
    """
    smallest = STATE_NBYTES * layout.lanes(nvalues)
    if not smallest <= stored_nbytes <= smallest + (WORD_NBYTES + dtype.itemsize) * nvalues:
        message = f"chunk of {stored_nbytes} bytes for {nvalues} values"
        raise CodecError(message, rule=rule, where=where)


class Meanings(NamedTuple):
    """What the slots of a layer's tables stand for."""

    words: np.ndarray  # (4096 per table,) bits of values, ``escape_word`` where one is to come
    dtype: DType
    has_escapes: bool  # in any table; without, there is nothing to look for


def decode_chunks(
    streams: Sequence[Stream],
    decoder: RowDecoder,
    layout: Layout,
    meanings: Meanings,
    *,
    rule: str,
) -> None:
    """Decode chunks of equally many values: streams, and behind them what they escaped.

    Args:
        streams: At least one; where they go are bits of values.
        decoder: Of the lanes of all of them.
        layout: Of each.
        meanings: Of the layer.
        rule: Broken where what follows a stream is not exactly the escaped values.

    Raises:
        CodecError: ``rule``, COD-RANS-3 to COD-RANS-5, or LAY-7.
    """
    used = decode_streams(streams, decoder, layout, meanings=meanings.words)
    for stream, nbytes in zip(streams, used, strict=True):
        _place_escapes(stream, stream.stored[nbytes:], meanings, rule)


def _place_escapes(stream: Stream, stored: memoryview, meanings: Meanings, rule: str) -> None:
    """Put the verbatim values ``stored`` where the stream escaped."""
    words, dtype = stream.out, meanings.dtype
    candidates = words if meanings.has_escapes else words[:0]
    escaped = np.flatnonzero(candidates == escape_word(dtype))
    if len(stored) != escaped.size * dtype.itemsize:
        message = f"{len(stored)} bytes for {escaped.size} escaped values"
        raise CodecError(message, rule=rule, where=stream.where)
    if escaped.size:
        verbatim = np.frombuffer(stored, dtype.storage)
        check_finite(verbatim, dtype, stream.where)
        words[escaped] = verbatim.view(words.dtype)
