"""Which chunks a file has, and where each one stands (spec: PRT, MAN-14).

presence bitmap + stored sizes in signed order --> offset of each chunk, or None
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seedpack.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from seedpack.container.manifest import Chunk
    from seedpack.container.preamble import Preamble


class PlacedChunk(NamedTuple):
    """One chunk of the signed manifest and its place in this file."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which means nothing here
    stored_nbytes: int
    digest: bytes  # (32,)
    offset: int | None  # bytes from the file start; None where this file lacks it


def place_chunks(chunks: Sequence[Chunk], presence: bytes, preamble: Preamble) -> list[PlacedChunk]:
    """Give every chunk its place.

    Raises:
        FormatError: PRT-1, PRT-2 or MAN-14.
    """
    present = _read_presence(presence, len(chunks))
    placed = []
    offset = preamble.payload_offset
    for index, (chunk, here) in enumerate(zip(chunks, present, strict=True)):
        placed.append(
            PlacedChunk(index, chunk.stored_nbytes, chunk.digest, offset if here else None)
        )
        offset += chunk.stored_nbytes * here
    if offset != preamble.file_nbytes:
        nbytes = offset - preamble.payload_offset
        message = f"payload of {preamble.payload_nbytes} bytes, the chunks have {nbytes}"
        raise FormatError(message, rule="MAN-14", where="byte 24")
    return placed


def encode_presence(present: Collection[int], nchunks: int) -> bytes:
    """Return the bitmap of the chunk indices in ``present``; empty where all are."""
    if len(present) == nchunks:
        return b""
    bits = bytearray(-(-nchunks // 8))
    for index in present:
        bits[index // 8] |= 1 << index % 8
    return bytes(bits)


def _read_presence(presence: bytes, nchunks: int) -> list[bool]:
    if not presence:
        return [True] * nchunks
    if len(presence) != -(-nchunks // 8):
        message = f"presence bitmap of {len(presence)} bytes for {nchunks} chunks"
        raise FormatError(message, rule="PRT-1", where="presence bitmap")
    bits = int.from_bytes(presence, "little")
    if bits >= (1 << nchunks) - 1:
        message = "presence bitmap without an absent chunk, or with unused bits set"
        raise FormatError(message, rule="PRT-2", where="presence bitmap")
    return [bool(presence[index // 8] >> index % 8 & 1) for index in range(nchunks)]
