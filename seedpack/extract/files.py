"""Attached files become attachment records and chunks (spec: ATT)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container.manifest import Attachment
from seedpack.container.planes import encode_plane
from seedpack.crypto.digests import digest
from seedpack.extract.layers import make_chunks
from seedpack.files import read_small_file

if TYPE_CHECKING:
    from seedpack.extract.coding import Storage
    from seedpack.frameworks import AttachedFile

_TEXT_LEVEL: Final = 19  # of zstd: a tokenizer is a megabyte of text, read once


def encode_file(file: AttachedFile, storage: Storage) -> tuple[Attachment, list[bytes]]:
    """Return the record of ``file`` and the stored bytes of its chunks.

    Raises:
        StoreError: FIL-1, it cannot be read; EXT-11, it grew beyond ATT-3.
    """
    content = read_small_file(file.path, limit=limits.MAX_ATTACHMENT_NBYTES, rule="EXT-11")
    nbytes = storage.chunk_raw_nbytes
    stored = [
        encode_plane(content[start : start + nbytes], level=_TEXT_LEVEL)
        for start in range(0, len(content), nbytes)
    ]
    attachment = Attachment(
        chunk_nbytes=nbytes,
        chunks=make_chunks(stored, storage.digest_algorithm),
        digest=digest(storage.digest_algorithm, content),
        kind=file.kind,
        name=file.name,
        nbytes=len(content),
    )
    return attachment, stored
