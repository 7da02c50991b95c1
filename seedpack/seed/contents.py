"""An open container: its manifest, and its chunks once their digests hold (spec: CHK-2, PRT-3).

    PlacedChunk --pread--> one buffer --digest equal?--> the same buffer, to whoever decodes

Nothing else in the product reads payload bytes.
"""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING, Self

from seedpack.container.rules import attachment_piece_sizes
from seedpack.crypto.digests import digest
from seedpack.errors import IntegrityError

if TYPE_CHECKING:
    from types import TracebackType

    from seedpack.container.manifest import Attachment, Layer, Manifest
    from seedpack.container.payload import PlacedChunk
    from seedpack.files import InputFile
    from seedpack.seed.header import RawHeader


class Contents:
    """What a container holds; says nothing about who vouches for it.

    Attributes:
        header: Raw bytes before the payload, and the signature records.
        manifest: Decoded and valid.
        chunks: All chunks of the seed in payload order, with their place in this file.
    """

    def __init__(
        self,
        file: InputFile,
        header: RawHeader,
        manifest: Manifest,
        chunks: list[PlacedChunk],
    ) -> None:
        """Take over ``file``; everything else has been checked by ``opening``."""
        self.file = file
        self.header = header
        self.manifest = manifest
        self.chunks = chunks
        self._owners = _name_owners(manifest)

    @property
    def id(self) -> str:
        """The seed id: SHA-256 of the manifest bytes, 64 hex digits."""
        return self.header.preamble.seed_id.hex()

    @property
    def is_complete(self) -> bool:
        """True when this file has every chunk."""
        return not self.header.preamble.presence_nbytes

    def owner(self, index: int) -> str:
        """Return what chunk ``index`` belongs to, for messages."""
        return self._owners[index]

    def layers(self, pattern: str | None = None) -> list[tuple[Layer, list[PlacedChunk]]]:
        """Return the layers whose name matches the glob ``pattern`` with their chunks.

        Raises:
            ValueError: No layer matches.
        """
        found = []
        start = 0
        for layer in self.manifest.layers:
            end = start + len(layer.chunks)
            if pattern is None or fnmatch.fnmatchcase(layer.name, pattern):
                found.append((layer, self.chunks[start:end]))
            start = end
        if pattern is not None and not found:
            raise ValueError(f"no layer matches {pattern!r}")
        return found

    def attachments(self) -> list[tuple[Attachment, list[PlacedChunk]]]:
        """Return the attachments with their chunks."""
        found = []
        start = sum(len(layer.chunks) for layer in self.manifest.layers)
        for attachment in self.manifest.attachments:
            end = start + len(attachment.chunks)
            found.append((attachment, self.chunks[start:end]))
            start = end
        return found

    def read_chunk(self, chunk: PlacedChunk, buffer: bytearray) -> memoryview:
        """Read ``chunk`` into ``buffer`` and return exactly the bytes that were digested.

        Args:
            chunk: One of ``chunks``.
            buffer: At least ``chunk.stored_nbytes`` long; the result is a view of it.

        Raises:
            IntegrityError: CHK-2, the digest differs; PRT-3, this file lacks the chunk.
        """
        if chunk.offset is None:
            raise IntegrityError(
                f"this file lacks a chunk of {self.owner(chunk.index)}",
                rule="PRT-3",
                where=f"chunk {chunk.index}",
                hint="merge it with the other parts, repair it, or ask for other layers",
            )
        stored = memoryview(buffer)[: chunk.stored_nbytes]
        self.file.read_into(chunk.offset, stored)
        actual = digest(self.manifest.digest_algorithm, stored)
        if actual != chunk.digest:
            raise IntegrityError(
                f"{self.owner(chunk.index)} is damaged or was changed: digest "
                f"{actual.hex()[:16]}, signed is {chunk.digest.hex()[:16]}",
                rule="CHK-2",
                where=f"chunk {chunk.index}, byte {chunk.offset}",
                hint="fetch the file again, or try `seedpack repair` if it carries parity",
            )
        return stored.toreadonly()

    def read_attachment(self, attachment: Attachment, chunks: list[PlacedChunk]) -> bytes:
        """Return the checked content of one attachment.

        Raises:
            IntegrityError: CHK-2, PRT-3 or ATT-6.
            CodecError: ZST.
        """
        from seedpack.container.planes import decode_plane  # noqa: PLC0415 -- zstandard only here

        content = bytearray()
        sizes = attachment_piece_sizes(attachment)
        for chunk, raw_nbytes in zip(chunks, sizes, strict=True):
            stored = self.read_chunk(chunk, bytearray(chunk.stored_nbytes))
            content += decode_plane(stored, raw_nbytes, where=f"chunk {chunk.index}")
        if digest(self.manifest.digest_algorithm, content) != attachment.digest:
            raise IntegrityError(
                "decoded attachment is not what was signed",
                rule="ATT-6",
                where=f"attachment {attachment.name}",
                hint="the publisher's writer is at fault; ask for a new seed",
            )
        return bytes(content)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()


def _name_owners(manifest: Manifest) -> list[str]:
    owners = [f"layer {layer.name}" for layer in manifest.layers for _ in layer.chunks]
    owners += [f"attachment {a.name}" for a in manifest.attachments for _ in a.chunks]
    return owners + ["parity"] * (len(manifest.chunks) - len(owners))
