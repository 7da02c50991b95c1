"""How often each symbol occurs: integers that sum to 4096, and their one packed form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Iterator

PRECISION_BITS: Final = 12
TOTAL: Final = 1 << PRECISION_BITS  # sum of all frequencies; slots of a table

_VARINT_BITS: Final = 7
_MORE: Final = 1 << _VARINT_BITS


class CodeTable:
    """Symbols with their frequencies, laid out over 4096 slots: symbol after symbol."""

    def __init__(self, frequencies: np.ndarray) -> None:
        """Take frequencies (symbols,) that sum to 4096."""
        self.frequencies = frequencies.astype(np.int64)  # (symbols,)
        self.starts = np.cumsum(self.frequencies) - self.frequencies  # (symbols,)
        self.slot_frequencies = self.spread(self.frequencies)  # (4096,)
        self.slot_offsets = np.arange(TOTAL) - self.spread(self.starts)  # (4096,)

    def spread(self, per_symbol: np.ndarray) -> np.ndarray:
        """Return for each slot (4096,) what ``per_symbol`` (symbols,) has for its symbol."""
        return np.repeat(per_symbol, self.frequencies)

    def pack(self) -> bytes:
        """Return the frequencies as varints: 7 bits a byte, lowest first, in the short form."""
        packed = bytearray()
        for frequency in self.frequencies.tolist():
            if frequency < _MORE:
                packed.append(frequency)
            else:
                packed += bytes((frequency % _MORE + _MORE, frequency // _MORE))
        return bytes(packed)

    @classmethod
    def unpack(cls, packed: bytes, where: str) -> CodeTable:
        """Return the table that ``pack`` packed.

        Raises:
            CodecError: COD-RANS-1.
        """
        frequencies = list(_varints(packed, where))
        if sum(frequencies) != TOTAL:
            message = f"frequencies sum to {sum(frequencies)}, not {TOTAL}"
            raise CodecError(message, rule="COD-RANS-1", where=where)
        return cls(np.array(frequencies))


def _varints(packed: bytes, where: str) -> Iterator[int]:
    low = None  # first byte of a frequency that has a second
    for byte in packed:
        if low is None and byte >= _MORE:
            low = byte - _MORE
        elif byte >= _MORE or (low is not None and byte == 0):
            raise CodecError("frequency not in its short form", rule="COD-RANS-1", where=where)
        else:
            yield byte if low is None else byte * _MORE + low
            low = None
    if low is not None:
        raise CodecError("table ends inside a frequency", rule="COD-RANS-1", where=where)
