"""Stream -> symbols, or rather what they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from seedpack.codecs.rans.layouts import (
    BLOCK_VALUES,
    LOWEST_STATE,
    STATE_NBYTES,
    WORD_BITS,
    WORD_NBYTES,
)
from seedpack.codecs.rans.tables import PRECISION_BITS, TOTAL
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.codecs.rans.layouts import Layout
    from seedpack.codecs.rans.tables import CodeTable

# As arrays: numpy would convert a Python integer anew in each of a million calls.
SLOT_MASK: Final = np.array(TOTAL - 1)
PRECISION: Final = np.array(PRECISION_BITS)
_LOWEST_STATE: Final = np.array(LOWEST_STATE)
_WORD: Final = np.array(WORD_BITS)


class RowDecoder(Protocol):
    """Symbols of whole rows; the lanes of a short row are the first ones."""

    def decode_rows(
        self, states: np.ndarray, slots: np.ndarray, words: np.ndarray, taken: int
    ) -> int:
        """Fill ``slots`` (r, n) from ``states`` (n,); return how many words are then taken.

        More than there are words means that they ran out; what was decoded is then void.
        """

    def decode_tail(self, states: np.ndarray, slots: np.ndarray) -> None:
        """Fill ``slots`` (r, n) from ``states`` (n,), which shrink as they should."""


def decode_lanes(
    stored: memoryview,
    decoder: RowDecoder,
    layout: Layout,
    *,
    meanings: np.ndarray,
    out: np.ndarray,
    where: str,
) -> int:
    """Decode as many symbols as ``out`` has room for (COD-RANS-6); return the stream's bytes.

    Args:
        stored: The stream; more may follow it.
        decoder: What knows the symbols' frequencies; made for this stream.
        layout: Lanes and tail; has been checked.
        meanings: (4096 per table,), what the symbol of each slot stands for.
        out: (v,), v >= 1, of the type of ``meanings``.
        where: For refusals.

    Raises:
        CodecError: COD-RANS-3 to COD-RANS-5.

    Cost:
        At most 2048 rows, and time linear in v; memory: 40 bytes per lane, 256 KiB of slots
        or one row of them, four times ``stored``.
    """
    lanes = layout.lanes(out.size)
    states = _read_states(stored, lanes, where)  # (n,)
    at = lanes * STATE_NBYTES
    nwords = (len(stored) - at) // WORD_NBYTES
    words = np.frombuffer(stored, "<u2", nwords, at).astype(np.int64)
    body = layout.body_values(out.size)
    taken = 0
    for slots, start, stop in _blocks(0, body, lanes):
        taken = decoder.decode_rows(states[: slots.shape[1]], slots, words, taken)
        if taken > nwords:
            raise CodecError("stream ends too early", rule="COD-RANS-4", where=where)
        meanings.take(slots.reshape(-1), out=out[start:stop], mode="clip")
    states -= LOWEST_STATE
    for slots, start, stop in _blocks(body, out.size, lanes):
        decoder.decode_tail(states[: slots.shape[1]], slots)
        meanings.take(slots.reshape(-1), out=out[start:stop], mode="clip")
    if states.any():
        raise CodecError("a lane does not end at 0", rule="COD-RANS-5", where=where)
    return at + taken * WORD_NBYTES


def _read_states(stored: memoryview, lanes: int, where: str) -> np.ndarray:
    if len(stored) < lanes * STATE_NBYTES:
        message = f"{len(stored)} bytes for the states of {lanes} lanes"
        raise CodecError(message, rule="COD-RANS-3", where=where)
    # 64 bits throughout: numpy looks slots up in its index type without a conversion.
    states = np.frombuffer(stored, "<u4", lanes).astype(np.int64)
    if int(states.min()) < LOWEST_STATE:
        raise CodecError("state below 2^16", rule="COD-RANS-3", where=where)
    return states


def _blocks(start: int, end: int, lanes: int) -> Iterator[tuple[np.ndarray, int, int]]:
    """Yield room for the slots of some whole rows, or of the last short one, and its place."""
    while start < end:
        rows = min(max(BLOCK_VALUES // lanes, 1), (end - start) // lanes)
        stop = start + rows * lanes if rows else end
        yield np.empty((max(rows, 1), min(lanes, stop - start)), np.int64), start, stop
        start = stop


class OneTable:
    """Rows whose symbols all have the frequencies of one table."""

    def __init__(self, table: CodeTable) -> None:
        """Take the table."""
        self._table = table

    def decode_rows(
        self, states: np.ndarray, slots: np.ndarray, words: np.ndarray, taken: int
    ) -> int:
        """See RowDecoder."""
        table = self._table
        frequency, offset = np.empty_like(states), np.empty_like(states)
        is_low = np.empty(states.size, np.bool_)
        for row in slots:
            np.bitwise_and(states, SLOT_MASK, row)
            np.right_shift(states, PRECISION, states)
            table.slot_frequencies.take(row, None, frequency, "clip")
            np.multiply(states, frequency, states)
            table.slot_offsets.take(row, None, offset, "clip")
            np.add(states, offset, states)
            taken = take_words(states, is_low, words, taken)
            if taken > words.size:
                break
        return taken

    def decode_tail(self, states: np.ndarray, slots: np.ndarray) -> None:
        """See RowDecoder."""
        for row in slots:
            np.bitwise_and(states, SLOT_MASK, row)
            np.right_shift(states, PRECISION, states)
            np.multiply(states, self._table.slot_frequencies.take(row), states)
            np.add(states, self._table.slot_offsets.take(row), states)


def take_words(states: np.ndarray, is_low: np.ndarray, words: np.ndarray, taken: int) -> int:
    """Give a word to each state below 2^16; return how many words are then taken.

    Args:
        states: (n,), lifted in place.
        is_low: (n,) bool, room to work in.
        words: All words of the stream; where they run out, no state is lifted.
        taken: Words taken before.
    """
    np.less(states, _LOWEST_STATE, is_low)
    (low,) = is_low.nonzero()
    before, taken = taken, taken + low.size
    if taken <= words.size:
        wide = np.left_shift(states.take(low), _WORD)
        states[low] = np.bitwise_or(wide, words[before:taken], wide)
    return taken
