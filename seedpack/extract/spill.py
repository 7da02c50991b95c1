"""Payload that waits for its manifest, in a temporary file without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from seedpack.container.manifest import Chunk


class Spill:
    """Stored bytes of chunks, in payload order."""

    def __init__(self, file: BinaryIO) -> None:
        """Use ``file``, which is empty."""
        self._file = file
        self._places: list[tuple[int, int]] = []  # offset, size
        self._end = 0
        self.nbytes = 0  # of all pieces

    def append(self, chunks: Iterable[Chunk], stored: Iterable[bytes]) -> None:
        """Write the bytes of ``chunks`` behind all others."""
        for chunk, data in zip(chunks, stored, strict=True):
            self._file.seek(self._end)
            self._file.write(data)
            self._places.append((self._end, chunk.stored_nbytes))
            self._end += chunk.stored_nbytes
            self.nbytes += chunk.stored_nbytes

    def arrange(self, order: Sequence[int]) -> None:
        """Put the chunks into another order, in which one may occur more than once."""
        self._places = [self._places[index] for index in order]
        self.nbytes = sum(nbytes for _, nbytes in self._places)

    def read(self, index: int) -> bytes:
        """Return the stored bytes of chunk ``index``."""
        offset, nbytes = self._places[index]
        self._file.seek(offset)
        return self._file.read(nbytes)

    def pieces(self) -> Iterator[bytes]:
        """Yield everything, in pieces of bounded size."""
        for index in range(len(self._places)):
            yield self.read(index)
