"""Six attacks on a file, as somebody between publisher and consumer would try them.

Each function writes what the attacker delivers and says what was done; whether it is
refused, and why, is for the ordinary verifier to tell.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import zstandard
from msgspec.structs import replace

from seedpack.container.manifest import Attachment, Chunk, encode_manifest
from seedpack.container.writer import Header, write_container
from seedpack.crypto.digests import digest
from seedpack.seed.opening import open_unverified
from seedpack.seed.signing import make_record

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.crypto.keys import PrivateKey

_BOMB_NBYTES: Final = 1 << 30
_DECLARED_NBYTES: Final = 1 << 16


def flip_bit(seed: Path, out: Path) -> None:
    """Flip one bit in the middle of the weights."""
    data = bytearray(seed.read_bytes())
    with open_unverified(seed) as contents:
        preamble = contents.header.preamble
    data[preamble.payload_offset + preamble.payload_nbytes // 2] ^= 1
    out.write_bytes(data)


def truncate(seed: Path, out: Path) -> None:
    """Cut off the last tenth of the file."""
    data = seed.read_bytes()
    out.write_bytes(data[: len(data) * 9 // 10])


def splice_layer(seed: Path, donor: Path, out: Path) -> str:
    """Put a layer of ``donor`` into ``seed``, both validly signed; return its name."""
    data = bytearray(seed.read_bytes())
    with open_unverified(seed) as ours, open_unverified(donor) as theirs:
        pairs = zip(ours.layers(), theirs.layers(), strict=True)
        for (layer, chunks), (_, others) in reversed(list(pairs)):
            sizes = [chunk.stored_nbytes for chunk in chunks]
            if sizes == [chunk.stored_nbytes for chunk in others]:
                for chunk, other in zip(chunks, others, strict=True):
                    stolen = theirs.file.read(other.offset or 0, other.stored_nbytes)
                    start = chunk.offset or 0
                    data[start : start + chunk.stored_nbytes] = stolen
                out.write_bytes(data)
                return layer.name
    raise ValueError("no layer has the same stored size in both seeds")


def bomb(seed: Path, key: PrivateKey, out: Path) -> None:
    """Sign, with a key that the consumer trusts, a file of 64 KiB that unpacks to 1 GiB."""
    frame = zstandard.ZstdCompressor(level=1).compress(bytes(_BOMB_NBYTES))
    with open_unverified(seed) as contents:
        algorithm = contents.manifest.digest_algorithm
        readme = Attachment(
            chunk_nbytes=_DECLARED_NBYTES,
            chunks=[Chunk(len(frame), digest(algorithm, frame))],
            digest=digest(algorithm, bytes(_DECLARED_NBYTES)),
            kind="card",
            name="README.md",
            nbytes=_DECLARED_NBYTES,
        )
        manifest = replace(
            contents.manifest,
            attachments=[readme],
            decoded_nbytes=contents.manifest.decoded_nbytes + _DECLARED_NBYTES,
            parity=None,
            version=contents.manifest.version + 1,  # else rollback protection refuses it first
        )
        layer_chunks = [chunk for _, owned in contents.layers() for chunk in owned]
        payload = [bytes(contents.read_chunk(c, bytearray(c.stored_nbytes))) for c in layer_chunks]
    data = encode_manifest(manifest)
    seed_id = hashlib.sha256(data).digest()
    payload.append(frame)
    header = Header(data, seed_id, [make_record(data, key)], b"", sum(map(len, payload)))
    with out.open("wb") as file:
        write_container(file, header, payload)
