"""How the symbols of a stream lie in lanes and rows."""

from __future__ import annotations

from typing import Final, NamedTuple

from seedpack.errors import CodecError

MIN_LANE_VALUES: Final = 64  # COD-RANS-2: bounds memory, some 40 bytes per lane
MAX_LANE_VALUES: Final = 2048  # COD-RANS-2: bounds time, one step per value of a lane
MAX_TAIL_ROWS: Final = 255  # COD-RANS-2

STATE_NBYTES: Final = 4
WORD_NBYTES: Final = 2
WORD_BITS: Final = 16
LOWEST_STATE: Final = 1 << WORD_BITS  # states stay within [2^16, 2^32), but in the tail
STATE_END: Final = LOWEST_STATE << WORD_BITS
BLOCK_VALUES: Final = 1 << 15  # symbols worked on together: 256 KiB, half a usual L2
# Lanes worked on together: so many that calls cost less than what they do, and states and the
# tables for them stay in a usual L2.
_MANY_LANES: Final = 1 << 12


class Layout(NamedTuple):
    """Symbol i of a stream is that of row i // lanes and lane i % lanes."""

    lane_values: int  # symbols per lane at most
    tail_rows: int  # last rows that take no words

    def lanes(self, nvalues: int) -> int:
        """Return the number of lanes for ``nvalues`` symbols."""
        return -(-nvalues // self.lane_values)

    def body_values(self, nvalues: int) -> int:
        """Return how many of ``nvalues`` symbols, 1 or more, come before the tail."""
        lanes = self.lanes(nvalues)
        rows = -(-nvalues // lanes)
        return min(max(rows - self.tail_rows, 0) * lanes, nvalues)

    def batches(self, nvalues: int, chunk_values: int) -> list[range]:
        """Return which of the chunks of ``nvalues`` symbols to work on side by side.

        Those of a batch have equally many symbols: the last chunk may have fewer.
        """
        nwhole = nvalues // chunk_values
        most = max(_MANY_LANES // self.lanes(min(chunk_values, max(nvalues, 1))), 1)
        nbatches = -(-nwhole // most)
        found = [
            range(number * nwhole // nbatches, (number + 1) * nwhole // nbatches)
            for number in range(nbatches)
        ]
        return found + [range(nwhole, nwhole + 1)] * (nvalues % chunk_values > 0)

    def check(self, where: str) -> None:
        """Refuse what would cost more time or memory than a reader grants.

        Raises:
            CodecError: COD-RANS-2.
        """
        if not (
            MIN_LANE_VALUES <= self.lane_values <= MAX_LANE_VALUES
            and 0 <= self.tail_rows <= MAX_TAIL_ROWS
        ):
            message = f"{self.lane_values} values per lane, {self.tail_rows} rows of tail"
            raise CodecError(message, rule="COD-RANS-2", where=where)
