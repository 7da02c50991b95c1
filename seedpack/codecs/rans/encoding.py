"""Symbols -> streams. An encoder goes backwards: the last symbol enters first.

States are float64: integers below 2^32, which it holds exactly, and of which it has quotients
four times as fast as of int64. A quotient is rounded by less than 2^-20, and what is not whole
is 2^-12 or more away from it, so that its floor is exact.
"""

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
from seedpack.codecs.rans.turns import ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

# A state at or above frequency * 2^20 would outgrow 32 bits when it takes the symbol.
_FULL: Final = np.array(2.0 ** (2 * WORD_BITS - PRECISION_BITS))
_WORD: Final = np.array(2.0**-WORD_BITS)
_TOTAL: Final = np.array(float(TOTAL))


class Frequencies(Protocol):
    """What an encoder needs of a table, or of several: two arrays (symbols,)."""

    @property
    def frequencies(self) -> np.ndarray:
        """How many slots each symbol has."""

    @property
    def starts(self) -> np.ndarray:
        """First slot of each symbol, in its own table."""


def encode_streams(
    streams: Sequence[np.ndarray], table: Frequencies, layout: Layout
) -> list[bytes]:
    """Return the streams of symbols (v,), v >= 1, all of one size.

    Args:
        streams: Indices into the table's frequencies, none of frequency 0.
        table: The symbols' frequencies.
        layout: Lanes, and a tail of at most ``longest_tail`` rows.

    Cost:
        Memory: 60 bytes per lane, 1.5 MiB or one row of it, four times the bytes returned.
    """
    lanes = layout.lanes(streams[0].size)
    body = layout.body_values(streams[0].size)
    states = np.zeros(len(streams) * lanes)
    emitted = _Emitted(len(streams), lanes)
    with ROWS:
        for block in _pushes_backwards([each[body:] for each in streams], table, lanes):
            for push in block:
                _apply(push, states)
        states += LOWEST_STATE
        for block in _pushes_backwards([each[:body] for each in streams], table, lanes):
            for push in block:
                emitted.add(*_give_away(push, states))
                _apply(push, states)
            emitted.close_block()
    heads = states.astype("<u4").reshape(len(streams), lanes)
    words = emitted.words()
    return [head.tobytes() + own.tobytes() for head, own in zip(heads, words, strict=True)]


def longest_tail(streams: Iterable[np.ndarray], table: Frequencies, lane_values: int) -> int:
    """Return the most rows that the tail of all ``streams`` of symbols can have.

    Each row in the tail saves some of the 16 bits that an encoder's first state wastes, until
    a state would not fit its 32 bits.
    """
    return min((_longest_tail(s, table, lane_values) for s in streams), default=0)


def _longest_tail(symbols: np.ndarray, table: Frequencies, lane_values: int) -> int:
    lanes = Layout(lane_values, 0).lanes(symbols.size)
    states = np.zeros(lanes)
    count = 0
    for block in _pushes_backwards([symbols], table, lanes):
        for push in block:
            _apply(push, states)
            if count == MAX_TAIL_ROWS or int(states.max()) >= STATE_END - LOWEST_STATE:
                return count
            count += 1
    return MAX_TAIL_ROWS  # the whole stream is tail


class _Push(NamedTuple):
    """What one row of symbols does to the states: float64 arrays (streams * lanes,)."""

    frequency: np.ndarray
    start: np.ndarray
    growth: np.ndarray  # 4096 - frequency
    limit: np.ndarray  # states from here on have to give a word away first


def _pushes_backwards(
    streams: Sequence[np.ndarray], table: Frequencies, lanes: int
) -> Iterator[Iterator[_Push]]:
    """Yield pushes of rows by blocks, the last first; lanes that a short row lacks keep theirs."""
    # One symbol more, which changes no state: for those lanes.
    frequencies = np.append(table.frequencies, TOTAL).astype(np.float64)
    starts = np.append(table.starts, 0).astype(np.float64)
    nvalues = streams[0].size
    step = max(BLOCK_VALUES // (len(streams) * lanes), 1) * lanes
    for at in reversed(range(0, nvalues, step)):
        rows = -(-min(step, nvalues - at) // lanes)
        block = np.empty((rows, len(streams), lanes), np.int64)
        for number, each in enumerate(streams):
            _fill(block[:, number], each[at : at + step], frequencies.size - 1)
        frequency = frequencies.take(block.reshape(rows, -1))
        arrays = frequency, starts.take(block.reshape(rows, -1)), _TOTAL - frequency
        yield map(_Push, *(array[::-1] for array in (*arrays, frequency * _FULL)))


def _fill(rows: np.ndarray, symbols: np.ndarray, behind: int) -> None:
    """Put ``symbols`` into ``rows`` (r, lanes), and ``behind`` where there are too few."""
    lanes = rows.shape[1]
    whole = symbols.size // lanes
    rows[:whole] = symbols[: whole * lanes].reshape(whole, lanes)
    if whole < len(rows):
        rest = symbols[whole * lanes :]
        rows[whole, : rest.size] = rest
        rows[whole, rest.size :] = behind


def _give_away(push: _Push, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift a word out of each state that is full; return their lanes and what they were."""
    (full,) = np.greater_equal(states, push.limit).nonzero()
    leaving = states.take(full)
    shifted = np.multiply(leaving, _WORD)
    states[full] = np.floor(shifted, shifted)
    return full, leaving


def _apply(push: _Push, states: np.ndarray) -> None:
    """Let each state x take its symbol: x becomes (x // f) * 4096 + start + x % f."""
    quotient = np.divide(states, push.frequency)
    np.floor(quotient, quotient)
    np.multiply(quotient, push.growth, quotient)
    np.add(states, quotient, states)
    np.add(states, push.start, states)


class _Emitted:
    """The words that rows gave away, the last row's first."""

    def __init__(self, nstreams: int, lanes: int) -> None:
        self._bounds = np.arange(nstreams + 1) * lanes
        self._rows: list[np.ndarray] = []  # of the block in work
        self._blocks: list[np.ndarray] = []
        self._cuts: list[np.ndarray] = []  # in each row, between words of different streams

    def add(self, full: np.ndarray, leaving: np.ndarray) -> None:
        """Take the low 16 bits of ``leaving`` (n,), states of the lanes ``full`` (n,)."""
        self._rows.append(leaving)
        self._cuts.append(full.searchsorted(self._bounds))

    def close_block(self) -> None:
        """Keep no more than two bytes of each word."""
        states = np.concatenate(self._rows[::-1])
        self._blocks.append(states.astype(np.int64).astype("<u2"))  # modulo 2^16
        self._rows.clear()

    def words(self) -> Iterator[np.ndarray]:
        """Yield the words of each stream, from the first row's on."""
        words = np.concatenate([*self._blocks[::-1], np.zeros(0, "<u2")])
        cuts = np.array(self._cuts[::-1], np.int64).reshape(-1, self._bounds.size)
        counts = np.diff(cuts)  # (rows, streams)
        starts = np.cumsum(counts).reshape(counts.shape) - counts
        for count, start in zip(counts.T, starts.T, strict=True):
            before = np.cumsum(count) - count
            yield words.take(np.arange(count.sum()) + (start - before).repeat(count))
