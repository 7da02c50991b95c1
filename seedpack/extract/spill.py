"""Payload that waits for its manifest, in a temporary file without a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO

    from seedpack.container.manifest import Chunk

_COPY_NBYTES: Final = 8 * limits.MIB


class Spill:
    """Stored bytes of chunks, in payload order."""

    def __init__(self, file: BinaryIO) -> None:
        """Use ``file``, which is empty."""
        self._file = file
        self._places: list[tuple[int, int]] = []  # offset, size
        self.nbytes = 0

    def append(self, chunks: Iterable[Chunk], stored: Iterable[bytes]) -> None:
        """Write the bytes of ``chunks`` behind all others."""
        for chunk, data in zip(chunks, stored, strict=True):
            self._file.seek(self.nbytes)
            self._file.write(data)
            self._places.append((self.nbytes, chunk.stored_nbytes))
            self.nbytes += chunk.stored_nbytes

    def read(self, index: int) -> bytes:
        """Return the stored bytes of chunk ``index``."""
        offset, nbytes = self._places[index]
        self._file.seek(offset)
        return self._file.read(nbytes)

    def pieces(self) -> Iterator[bytes]:
        """Yield everything, in pieces of bounded size."""
        self._file.seek(0)
        while piece := self._file.read(_COPY_NBYTES):
            yield piece
