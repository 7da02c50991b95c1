"""Lanes that change between code tables: which one comes next follows from the symbols before.

    automaton state --> table --slot--> symbol, and its input --> next automaton state

Every lane has an automaton of its own, which begins in state 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.rans.decoding import PRECISION, SLOT_MASK
from seedpack.codecs.rans.tables import PRECISION_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.codecs.rans.tables import CodeTable
    from seedpack.codecs.rans.words import Words


class Automaton(NamedTuple):
    """What decides which table comes next."""

    next_states: np.ndarray  # (states, inputs)
    tables: np.ndarray  # (states,), the table that each state uses


class JointTable:
    """Several tables one after the other: symbol s of table q is number starts[q] + s."""

    def __init__(self, tables: Sequence[CodeTable]) -> None:
        """Take tables, in the order of their numbers."""
        self.frequencies: Final = np.concatenate([table.frequencies for table in tables])
        self.starts: Final = np.concatenate([table.starts for table in tables])
        # Slot i of table q is number 4096 q + i.
        self.slot_frequencies: Final = np.concatenate([t.slot_frequencies for t in tables])
        self.slot_offsets: Final = np.concatenate([t.slot_offsets for t in tables])


class SwitchedTables:
    """Rows of some streams; each lane remembers where its automaton is."""

    def __init__(
        self, table: JointTable, slot_inputs: np.ndarray, automaton: Automaton, lanes: int
    ) -> None:
        """Set all ``lanes`` to state 0.

        Args:
            table: All tables.
            slot_inputs: (4096 per table,), input of the symbol of each slot, an int64.
            automaton: With ``inputs`` a power of two.
            lanes: Of all streams together.
        """
        inputs = automaton.next_states.shape[1]
        successors = automaton.next_states.astype(np.int64).reshape(-1)
        self._table = table
        self._inputs = slot_inputs
        self._rows = successors * inputs  # of next_states, flat: one look-up less
        self._bases = automaton.tables.astype(np.int64)[successors] << PRECISION_BITS
        self._row = np.zeros(lanes, np.int64)
        self._base = np.full(lanes, int(automaton.tables[0]) << PRECISION_BITS)

    def decode_rows(self, states: np.ndarray, slots: np.ndarray, words: Words) -> None:
        """See RowDecoder."""
        room = np.empty_like(states)
        for row in slots:
            self._decode_row(states, row, room)
            words.lift(states)

    def decode_tail(self, states: np.ndarray, slots: np.ndarray) -> None:
        """See RowDecoder."""
        room = np.empty_like(states)
        for row in slots:
            self._decode_row(states, row, room)

    def _decode_row(self, states: np.ndarray, row: np.ndarray, room: np.ndarray) -> None:
        at, base = self._row, self._base
        np.bitwise_and(states, SLOT_MASK, row)
        np.add(row, base, row)
        np.right_shift(states, PRECISION, states)
        self._table.slot_frequencies.take(row, None, room, "clip")
        np.multiply(states, room, states)
        self._table.slot_offsets.take(row, None, room, "clip")
        np.add(states, room, states)
        self._inputs.take(row, None, room, "clip")
        np.add(room, at, room)
        self._rows.take(room, None, at, "clip")
        self._bases.take(room, None, base, "clip")
