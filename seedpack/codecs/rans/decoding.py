"""Streams -> symbols, or rather what they stand for.

streams of equally many symbols --side by side, as if one with more lanes--> rows --> values
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, cast

import numpy as np

from seedpack.codecs.rans.layouts import BLOCK_VALUES, LOWEST_STATE, STATE_NBYTES, WORD_NBYTES
from seedpack.codecs.rans.tables import PRECISION_BITS, TOTAL
from seedpack.codecs.rans.turns import TURNS, Job
from seedpack.codecs.rans.words import join_words
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.codecs.rans.layouts import Layout
    from seedpack.codecs.rans.tables import CodeTable
    from seedpack.codecs.rans.words import Words

# As arrays: numpy would convert a Python integer anew in each of a million calls.
SLOT_MASK: Final = np.array(TOTAL - 1)
PRECISION: Final = np.array(PRECISION_BITS)
_IDLE_STATE: Final = 1 << 31  # of a lane that a short row lacks: no symbol makes it ask for a word


class RowDecoder(Protocol):
    """Symbols of whole rows."""

    def decode_rows(self, states: np.ndarray, slots: np.ndarray, words: Words) -> None:
        """Fill ``slots`` (r, n) from ``states`` (n,), which take ``words``."""

    def decode_tail(self, states: np.ndarray, slots: np.ndarray) -> None:
        """Fill ``slots`` (r, n) from ``states`` (n,), which shrink as they should."""


class Stream(NamedTuple):
    """Where symbols come from and what they mean goes to."""

    stored: memoryview  # the stream; more may follow it
    out: np.ndarray  # (v,), v >= 1, of the type of the meanings
    where: str  # for refusals


def decode_streams(
    streams: Sequence[Stream], decoder: RowDecoder, layout: Layout, *, meanings: np.ndarray
) -> list[int]:
    """Decode what ``out`` of each stream has room for; return the bytes of each (COD-RANS-6).

    Args:
        streams: At least one; all ``out`` are of one size.
        decoder: What knows the symbols' frequencies; made for the lanes of all streams together.
        layout: Lanes and tail of each; has been checked.
        meanings: (4096 per table,), what the symbol of each slot stands for.

    Raises:
        CodecError: COD-RANS-3 to COD-RANS-5.

    Cost:
        At most 2048 rows, and time linear in v; memory: 50 bytes per lane, 400 KiB of slots and
        values or one row of them, that of all words.
    """
    job = _Decoding(streams, decoder, layout, meanings)
    TURNS.run(job)
    used = [job.lanes * STATE_NBYTES + WORD_NBYTES * taken for taken in job.words.taken()]
    for stream, nbytes, own in zip(streams, used, job.states.reshape(-1, job.lanes), strict=True):
        if nbytes > len(stream.stored):
            raise CodecError("stream ends too early", rule="COD-RANS-4", where=stream.where)
        if own.any():
            raise CodecError("a lane does not end at 0", rule="COD-RANS-5", where=stream.where)
    return used


class _Decoding(Job):
    """The streams of one call; those of others with as many lanes and rows go with them."""

    def __init__(
        self, streams: Sequence[Stream], decoder: RowDecoder, layout: Layout, meanings: np.ndarray
    ) -> None:
        nvalues = streams[0].out.size
        self.lanes = lanes = layout.lanes(nvalues)
        kind = (nvalues, lanes, meanings.dtype.str) if isinstance(decoder, OneTable) else object()
        super().__init__(kind, len(streams) * lanes)
        self.streams, self.decoder, self.layout, self.meanings = streams, decoder, layout, meanings
        self.states = np.concatenate([_read_states(stream, lanes) for stream in streams])
        self.stored_words = [_read_words(stream.stored, lanes) for stream in streams]
        self.words = join_words(self.stored_words, lanes)
        self.whole_rows = layout.body_values(nvalues) // lanes  # of the body

    def finish(self, start: int) -> None:
        """Decode the rows from ``start`` on."""
        rows = _Rows(self.streams, self.layout, self.states, self.meanings)
        for slots in rows.take(start, rows.body):
            self.decoder.decode_rows(self.states, slots, self.words)
        self.states -= LOWEST_STATE
        for slots in rows.take(rows.body, rows.all):
            self.decoder.decode_tail(self.states, slots)

    def work(self, jobs: Sequence[_Decoding]) -> None:
        """See Job."""
        start = 0
        if len(jobs) > 1:
            start = min(job.whole_rows for job in jobs)
            _decode_together(jobs, start)
        for job in jobs:
            job.finish(start)


def _decode_together(jobs: Sequence[_Decoding], nrows: int) -> None:
    """Decode the first rows of all ``jobs``, which have their own tables."""
    states = np.concatenate([job.states for job in jobs])
    tables = [cast("OneTable", job.decoder).table for job in jobs]
    decoder = _JoinedTables(tables, [job.nlanes for job in jobs])
    words = join_words([own for job in jobs for own in job.stored_words], jobs[0].lanes)
    meanings = np.concatenate([job.meanings for job in jobs])
    rows = _Rows([s for job in jobs for s in job.streams], jobs[0].layout, states, meanings)
    for slots in rows.take(0, nrows):
        decoder.decode_rows(states, slots, words)
    taken = words.taken()
    for job in jobs:
        job.states[...], states = np.split(states, [job.nlanes])
        job.words.skip(taken[: len(job.streams)])
        taken = taken[len(job.streams) :]


def _read_states(stream: Stream, lanes: int) -> np.ndarray:
    stored, where = stream.stored, stream.where
    if len(stored) < lanes * STATE_NBYTES:
        message = f"{len(stored)} bytes for the states of {lanes} lanes"
        raise CodecError(message, rule="COD-RANS-3", where=where)
    # 64 bits throughout: numpy looks slots up in its index type without a conversion.
    states = np.frombuffer(stored, "<u4", lanes).astype(np.int64)
    if int(states.min()) < LOWEST_STATE:
        raise CodecError("state below 2^16", rule="COD-RANS-3", where=where)
    return states


def _read_words(stored: memoryview, lanes: int) -> np.ndarray:
    at = lanes * STATE_NBYTES
    return np.frombuffer(stored, "<u2", (len(stored) - at) // WORD_NBYTES, at)


class _Rows:
    """The rows of streams side by side, some at a time, and where their values go."""

    def __init__(
        self, streams: Sequence[Stream], layout: Layout, states: np.ndarray, meanings: np.ndarray
    ) -> None:
        self._outs = [stream.out for stream in streams]
        self._nvalues = self._outs[0].size
        self._lanes = layout.lanes(self._nvalues)
        self._states = states
        self._meanings = meanings
        self.all = -(-self._nvalues // self._lanes)
        self.body = max(self.all - layout.tail_rows, 0)
        self._most = min(max(BLOCK_VALUES // states.size, 1), self.all)  # rows taken together
        # Kept from block to block: so large a piece of memory would be paged in anew each time.
        self._values = np.empty(self._most * states.size, meanings.dtype)

    def take(self, start: int, end: int) -> Iterator[np.ndarray]:
        """Yield room for the slots (r, n) of rows ``start`` to ``end``; filled, they are kept."""
        has_short = end == self.all > start and self._nvalues % self._lanes > 0
        yield from self._take_whole(start, end - has_short)
        if has_short:
            yield from self._take_short()

    def _take_whole(self, start: int, end: int) -> Iterator[np.ndarray]:
        slots = np.empty((self._most, self._states.size), np.int64)
        for row in range(start, end, self._most):
            taken = slots[: end - row]
            yield taken
            self._keep(taken, row)

    def _take_short(self) -> Iterator[np.ndarray]:
        """Yield room for the last row, all lanes of it; those that it lacks stay as they are."""
        missing = self._states.reshape(-1, self._lanes)[:, self._nvalues % self._lanes :]
        before = missing.copy()
        missing[...] = _IDLE_STATE
        slots = np.empty((1, self._states.size), np.int64)
        yield slots
        missing[...] = before
        self._keep(slots, self.all - 1)

    def _keep(self, slots: np.ndarray, row: int) -> None:
        rows, lanes = len(slots), self._lanes
        values = self._values[: slots.size]
        self._meanings.take(slots.reshape(-1), out=values, mode="clip")
        values = values.reshape(rows, -1, lanes)
        for number, out in enumerate(self._outs):
            place = out[row * lanes : (row + rows) * lanes]
            place[...] = values[:, number].reshape(-1)[: place.size]


class _Tables:
    """Rows whose lanes have each a table."""

    def __init__(
        self, frequencies: np.ndarray, offsets: np.ndarray, bases: np.ndarray | None
    ) -> None:
        self._frequencies, self._offsets = frequencies, offsets
        self._bases = bases  # first slot of each lane's table; None: all have the first

    def decode_rows(self, states: np.ndarray, slots: np.ndarray, words: Words) -> None:
        """See RowDecoder."""
        self._decode(states, slots, words.lift)

    def decode_tail(self, states: np.ndarray, slots: np.ndarray) -> None:
        """See RowDecoder."""
        self._decode(states, slots, None)

    def _decode(
        self, states: np.ndarray, slots: np.ndarray, lift: Callable[[np.ndarray], None] | None
    ) -> None:
        room, bases = np.empty_like(states), self._bases
        for row in slots:
            np.bitwise_and(states, SLOT_MASK, row)
            if bases is not None:
                np.add(row, bases, row)
            np.right_shift(states, PRECISION, states)
            self._frequencies.take(row, None, room, "clip")
            np.multiply(states, room, states)
            self._offsets.take(row, None, room, "clip")
            np.add(states, room, states)
            if lift is not None:
                lift(states)


class OneTable(_Tables):
    """Rows whose symbols all have the frequencies of one table."""

    def __init__(self, table: CodeTable) -> None:
        """Take the table."""
        super().__init__(table.slot_frequencies, table.slot_offsets, None)
        self.table = table


class _JoinedTables(_Tables):
    """Tables of so many lanes each, one after the other: slot i of table q is 4096 q + i."""

    def __init__(self, tables: Sequence[CodeTable], nlanes: Sequence[int]) -> None:
        super().__init__(
            np.concatenate([table.slot_frequencies for table in tables]),
            np.concatenate([table.slot_offsets for table in tables]),
            (np.arange(len(tables)) * TOTAL).repeat(nlanes),
        )
