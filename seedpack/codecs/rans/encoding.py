"""Symbols -> stream. An encoder goes backwards: the last symbol enters first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

import numpy as np

from seedpack.codecs.rans.layouts import (
    BLOCK_VALUES,
    LOWEST_STATE,
    MAX_TAIL_ROWS,
    STATE_END,
    WORD_BITS,
    Layout,
)
from seedpack.codecs.rans.tables import PRECISION_BITS, TOTAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

# A state at or above frequency * 2^20 would outgrow 32 bits when it takes the symbol.
_FULL_BITS: Final = 2 * WORD_BITS - PRECISION_BITS
_WORD: Final = np.array(WORD_BITS)


class Frequencies(Protocol):
    """What an encoder needs of a table, or of several: two arrays (symbols,)."""

    @property
    def frequencies(self) -> np.ndarray:
        """How many slots each symbol has."""

    @property
    def starts(self) -> np.ndarray:
        """First slot of each symbol, in its own table."""


def encode_lanes(symbols: np.ndarray, table: Frequencies, layout: Layout) -> bytes:
    """Return the stream of ``symbols`` (v,), v >= 1.

    Args:
        symbols: Indices into the table's frequencies, none of frequency 0.
        table: The symbols' frequencies.
        layout: Lanes, and a tail of at most ``longest_tail`` rows.
    """
    lanes = layout.lanes(symbols.size)
    body = layout.body_values(symbols.size)
    states = np.zeros(lanes, np.int64)
    for push in _pushes_backwards(symbols[body:], table, lanes):
        _apply(push, states)
    states += LOWEST_STATE
    words = []
    for push in _pushes_backwards(symbols[:body], table, lanes):
        (full,) = (states >= push.limit).nonzero()
        leaving = states.take(full)
        words.append(leaving)
        states[full] = np.right_shift(leaving, _WORD)
        _apply(push, states)
    low_bits = np.concatenate([*reversed(words), np.zeros(0, np.int64)]) & (LOWEST_STATE - 1)
    return states.astype("<u4").tobytes() + low_bits.astype("<u2").tobytes()


def longest_tail(streams: Iterable[np.ndarray], table: Frequencies, lane_values: int) -> int:
    """Return the most rows that the tail of all ``streams`` of symbols can have.

    Each row in the tail saves some of the 16 bits that an encoder's first state wastes, until
    a state would not fit its 32 bits.
    """
    return min((_longest_tail(s, table, lane_values) for s in streams), default=0)


def _longest_tail(symbols: np.ndarray, table: Frequencies, lane_values: int) -> int:
    lanes = Layout(lane_values, 0).lanes(symbols.size)
    states = np.zeros(lanes, np.int64)
    for count, push in enumerate(_pushes_backwards(symbols, table, lanes)):
        _apply(push, states)
        if count == MAX_TAIL_ROWS or int(states.max()) >= STATE_END - LOWEST_STATE:
            return count
    return MAX_TAIL_ROWS  # the whole stream is tail


class _Push(NamedTuple):
    """What one row of symbols does to the states: arrays (lanes,)."""

    frequency: np.ndarray
    start: np.ndarray
    growth: np.ndarray  # 4096 - frequency
    limit: np.ndarray  # states from here on have to give a word away first


def _pushes_backwards(symbols: np.ndarray, table: Frequencies, lanes: int) -> Iterator[_Push]:
    """Yield a push per row, the last first; lanes that a short row lacks are left alone."""
    step = max(BLOCK_VALUES // lanes, 1) * lanes
    for at in reversed(range(0, symbols.size, step)):
        block = symbols[at : at + step].astype(np.int64)
        rows = -(-block.size // lanes)
        frequency = np.full(rows * lanes, TOTAL)  # a symbol of frequency 4096 changes no state
        start = np.zeros(rows * lanes, np.int64)
        frequency[: block.size] = table.frequencies.take(block)
        start[: block.size] = table.starts.take(block)
        arrays = frequency, start, TOTAL - frequency, frequency << _FULL_BITS
        yield from map(_Push, *(array.reshape(rows, lanes)[::-1] for array in arrays))


def _apply(push: _Push, states: np.ndarray) -> None:
    """Let each state x take its symbol: x becomes (x // f) * 4096 + start + x % f."""
    quotient = states // push.frequency
    np.multiply(quotient, push.growth, quotient)
    np.add(states, quotient, states)
    np.add(states, push.start, states)
