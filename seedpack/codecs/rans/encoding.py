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
from seedpack.codecs.rans.turns import TURNS, Job

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
    job = _Encoding(streams, table, layout)
    TURNS.run(job)
    heads = job.states.astype("<u4").reshape(len(streams), job.lanes)
    parts = zip(heads, job.first_words, job.emitted.words(), strict=True)
    return [b"".join(part.tobytes() for part in own) for own in parts]


class _Encoding(Job):
    """The streams of one call; those of others with as many lanes and rows go with them."""

    def __init__(self, streams: Sequence[np.ndarray], table: Frequencies, layout: Layout) -> None:
        nvalues = streams[0].size
        self.lanes = layout.lanes(nvalues)
        super().__init__((nvalues, self.lanes), len(streams) * self.lanes)
        self.streams, self.table = streams, table
        self.body = layout.body_values(nvalues)
        self.whole_rows = self.body // self.lanes
        self.states = np.zeros(self.nlanes)
        self.emitted = _Emitted(len(streams), self.lanes)
        self.first_words = [np.zeros(0, "<u2")] * len(streams)  # of rows that others took along

    def start(self, end: int) -> None:
        """Push the tail, and of the body the rows from ``end`` on."""
        tail = [each[self.body :] for each in self.streams]
        for block in _pushes_backwards(tail, self.table, self.lanes):
            for push in block:
                _apply(push, self.states)
        self.states += LOWEST_STATE
        rest = [each[end * self.lanes : self.body] for each in self.streams]
        _push_body(_pushes_backwards(rest, self.table, self.lanes), self.states, self.emitted)

    def work(self, jobs: Sequence[_Encoding]) -> None:
        """See Job."""
        end = min(job.whole_rows for job in jobs) if len(jobs) > 1 else 0
        for job in jobs:
            job.start(end)
        if end:
            _encode_together(jobs, end)


def _encode_together(jobs: Sequence[_Encoding], nrows: int) -> None:
    """Push the first rows of all ``jobs``, which have their own tables."""
    lanes = jobs[0].lanes
    states = np.concatenate([job.states for job in jobs])
    streams = [each[: nrows * lanes] for job in jobs for each in job.streams]
    emitted = _Emitted(len(streams), lanes)
    table = _Joined([(job.table, len(job.streams)) for job in jobs])
    _push_body(_pushes_backwards(streams, table, lanes, table.firsts), states, emitted)
    words = list(emitted.words())
    for job in jobs:
        job.states, states = np.split(states, [job.nlanes])
        job.first_words, words = words[: len(job.streams)], words[len(job.streams) :]


class _Joined:
    """Tables one after the other: symbol s of a stream of table q is number firsts[q] + s."""

    def __init__(self, parts: Sequence[tuple[Frequencies, int]]) -> None:
        """Take tables, and how many streams each has."""
        self.frequencies = np.concatenate([table.frequencies for table, _ in parts])
        self.starts = np.concatenate([table.starts for table, _ in parts])
        sizes = np.array([table.frequencies.size for table, _ in parts])
        self.firsts = (np.cumsum(sizes) - sizes).repeat([nstreams for _, nstreams in parts])


def _push_body(blocks: Iterator[Iterator[_Push]], states: np.ndarray, emitted: _Emitted) -> None:
    for block in blocks:
        for push in block:
            emitted.add(*_give_away(push, states))
            _apply(push, states)
        emitted.close_block()


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
    streams: Sequence[np.ndarray],
    table: Frequencies,
    lanes: int,
    firsts: np.ndarray | None = None,
) -> Iterator[Iterator[_Push]]:
    """Yield pushes of rows by blocks, the last first; lanes that a short row lacks keep theirs.

    Args:
        streams: Symbols (v,) of each.
        table: All tables of all streams.
        lanes: Of each.
        firsts: (streams,), number of each one's symbol 0, and then no row is short; 0 for all.
    """
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
        if firsts is not None:
            block += firsts[:, None]
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
        self._cuts: list[np.ndarray] = []  # in each of them, between words of different streams
        self._blocks: list[list[np.ndarray]] = []  # words of each stream

    def add(self, full: np.ndarray, leaving: np.ndarray) -> None:
        """Take the low 16 bits of ``leaving`` (n,), states of the lanes ``full`` (n,)."""
        self._rows.append(leaving)
        self._cuts.append(full.searchsorted(self._bounds))

    def close_block(self) -> None:
        """Keep no more than two bytes of each word, apart by streams.

        Block by block, for places take twelve times what their words do.
        """
        states = np.concatenate(self._rows[::-1])
        words = states.astype(np.int64).astype("<u2")  # modulo 2^16
        counts = np.diff(np.array(self._cuts[::-1]))  # (rows, streams)
        self._rows.clear()
        self._cuts.clear()
        if counts.shape[1] == 1:
            self._blocks.append([words])
            return
        starts = (np.cumsum(counts).reshape(counts.shape) - counts).T.ravel()
        by_stream = counts.T.ravel()
        before = np.cumsum(by_stream) - by_stream
        places = np.arange(words.size) + (starts - before).repeat(by_stream)
        ends = counts.sum(0).cumsum()
        self._blocks.append(np.split(words.take(places), ends[:-1]))

    def words(self) -> Iterator[np.ndarray]:
        """Yield the words of each stream, from the first row's on."""
        for number in range(self._bounds.size - 1):
            parts = [block[number] for block in reversed(self._blocks)]
            yield np.concatenate([*parts, np.zeros(0, "<u2")])
