"""Small seeds for tests, written with the product's own encoders.

TensorData, FileData --pieces--> Manifest + stored bytes --sign--> bytes of a container

Everything is deterministic (but for ML-DSA-65 signatures, which are hedged), and valid unless
a test changes it: ``make_manifest(name="Acme")``, ``make_layer(finite=False)``.
"""

from __future__ import annotations

import hashlib
import math
import struct
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from seedpack.container.manifest import (
    Architecture,
    Attachment,
    Base,
    Chunk,
    Claim,
    Layer,
    Manifest,
    Parity,
    encode_manifest,
)
from seedpack.container.payload import encode_presence
from seedpack.container.planes import encode_plane
from seedpack.container.stripes import stripe_layout
from seedpack.container.writer import Header, encode_header
from seedpack.crypto.digests import digest
from seedpack.crypto.keys import Algorithm, PrivateKey, private_key_from_secret
from seedpack.dtypes import DTYPES
from seedpack.parity.reedsolomon import encode_stripe
from seedpack.seed.signing import make_record
from seedpack.trust.store import TrustStore

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from seedpack.container.signature_area import SignatureRecord
    from seedpack.seed.contents import Contents

NOW = 1_800_000_000  # the time at which tests look at seeds
CREATED = 1_700_000_000


def make_key(number: int = 1, algorithm: Algorithm = Algorithm.ED25519) -> PrivateKey:
    """Return the key that tests know by ``number``, the same in every run."""
    return private_key_from_secret(algorithm, bytes([number]) * 32)


def trusting(*keys: PrivateKey, threshold: int = 1) -> TrustStore:
    """Return a trust store in which each of ``keys`` is a principal."""
    return TrustStore.of_keys([key.public for key in keys], threshold)


# ---------------------------------------------------------------- manifests without payload


def make_chunk(nbytes: int = 16, fill: int = 0) -> Chunk:
    return Chunk(nbytes, bytes([fill]) * 32)


def make_layer(**changes: object) -> Layer:
    """Return a valid layer record of 2 x 2 float32."""
    fields: dict[str, object] = {
        "chunks": [make_chunk()],
        "codec": "raw",
        "digest": bytes(32),
        "dtype": "float32",
        "finite": True,
        "name": "encoder.weight",
        "params": {"chunk_values": 4},
        "shape": [2, 2],
    }
    return Layer(**(fields | changes))


def make_attachment(**changes: object) -> Attachment:
    """Return a valid attachment of 24 bytes in two chunks."""
    fields: dict[str, object] = {
        "chunk_nbytes": 16,
        "chunks": [make_chunk(16, 1), make_chunk(8, 2)],
        "digest": bytes(32),
        "kind": "licence",
        "name": "docs/LICENSE",
        "nbytes": 24,
    }
    return Attachment(**(fields | changes))


def make_claim(**changes: object) -> Claim:
    fields: dict[str, object] = {
        "chance": "0.5",
        "control": "random weights",
        "control_value": "0.503",
        "dataset": "sst2",
        "evaluated": 872,
        "interval_high": "0.93",
        "interval_low": "0.9",
        "metric": "accuracy",
        "original": "0.92",
        "seeds": 3,
        "value": "-0.91",
    }
    return Claim(**(fields | changes))


def make_architecture(**changes: object) -> Architecture:
    fields: dict[str, object] = {
        "class_name": "BertModel",
        "config": '{"hidden_size": 2}',
        "framework": "transformers",
        "model_type": "bert",
    }
    return Architecture(**(fields | changes))


def make_parity(data_chunks: Sequence[Chunk], **changes: object) -> Parity:
    """Return a parity record that fits ``data_chunks``; its digests are zero."""
    fields: dict[str, object] = {
        "percent": 50,
        "scheme": "rs-vandermonde-gf256",
        "stripe_nchunks": 16,
    } | changes
    if "chunks" not in fields:
        stripes = stripe_layout(
            [chunk.stored_nbytes for chunk in data_chunks],
            fields["stripe_nchunks"],
            fields["percent"],
        )
        fields["chunks"] = [make_chunk(s.shard_nbytes) for s in stripes for _ in range(s.nparity)]
    return Parity(**fields)


def make_manifest(**changes: object) -> Manifest:
    """Return a valid manifest that uses every field, with ``changes``.

    ``decoded_nbytes`` and ``parity`` follow from the layers and attachments unless given.
    """
    fields: dict[str, object] = {
        "architecture": make_architecture(),
        "attachments": [make_attachment()],
        "base": Base(digest=bytes(32), name="acme/base"),
        "claims": [make_claim()],
        "created": CREATED,
        "digest_algorithm": "blake3-256",
        "expires": CREATED + 10 * 366 * 86_400,
        "layers": [make_layer()],
        "name": "acme/minilm",
        "producer": "seedpack 0.1.0",
        "recipe": {"epochs": 3, "optimizer": "adam"},
        "schema": 1,
        "version": 1,
    } | changes
    owners = [*fields["layers"], *fields["attachments"]]
    if "decoded_nbytes" not in fields:
        fields["decoded_nbytes"] = sum(map(_decoded_nbytes, owners))
    if "parity" not in fields:
        fields["parity"] = make_parity([chunk for owner in owners for chunk in owner.chunks])
    return Manifest(**fields)


def _decoded_nbytes(owner: Layer | Attachment) -> int:
    if isinstance(owner, Attachment):
        return owner.nbytes
    return math.prod(owner.shape) * DTYPES[owner.dtype].itemsize


def bare_manifest(**changes: object) -> Manifest:
    """Return the smallest valid manifest: no layer, no attachment, nothing optional."""
    nothing: dict[str, object] = {
        "architecture": None,
        "attachments": [],
        "base": None,
        "claims": [],
        "expires": None,
        "layers": [],
        "parity": None,
        "recipe": {},
    }
    return make_manifest(**(nothing | changes))


def replace(record: msgspec.Struct, **changes: object) -> msgspec.Struct:
    """Return ``record`` with ``changes``."""
    return msgspec.structs.replace(record, **changes)


# ---------------------------------------------------------------- seeds with payload


class TensorData(NamedTuple):
    """A tensor to store, verbatim, by the codec ``raw``."""

    name: str
    raw: bytes  # elements, little-endian, in C order
    dtype: str = "uint8"
    shape: tuple[int, ...] | None = None  # None: one dimension
    chunk_nbytes: int = 64


class FileData(NamedTuple):
    """A file to carry along."""

    name: str
    content: bytes
    kind: str = "other"
    chunk_nbytes: int = 1 << 16


class BuiltSeed(NamedTuple):
    """A seed in memory."""

    manifest: Manifest
    manifest_bytes: bytes
    stored: list[bytes]  # of each chunk, by index

    @property
    def seed_id(self) -> bytes:
        return hashlib.sha256(self.manifest_bytes).digest()


LAYERS = (
    TensorData("embed", bytes(range(200)), shape=(4, 50)),
    TensorData("dense", bytes(range(1, 161)), dtype="uint16", shape=(8, 10)),
    TensorData("bias", b"\x05\x06\x07"),
)
ATTACHMENTS = (FileData("README.md", b"# A seed\n" * 40, "card"), FileData("empty.txt", b""))


def build_seed(
    *,
    layers: Sequence[TensorData] = LAYERS,
    attachments: Sequence[FileData] = ATTACHMENTS,
    parity: int | None = None,
    stripe_nchunks: int = 4,
    patch: Callable[[Manifest], dict[str, object]] | None = None,
    **changes: object,
) -> BuiltSeed:
    """Return a seed of ``layers`` and ``attachments``.

    Args:
        layers: Tensors.
        attachments: Files.
        parity: Per cent, or None for none.
        stripe_nchunks: Most data chunks of a stripe.
        patch: Gives manifest fields that lie about the data, from the right manifest.
        changes: Manifest fields; records with payload follow from the data.
    """
    algorithm = str(changes.get("digest_algorithm", "blake3-256"))
    stored: list[bytes] = []
    layer_records = []
    for tensor in layers:
        pieces = _cut(tensor.raw, tensor.chunk_nbytes)
        layer_records.append(_layer_record(tensor, pieces, algorithm))
        stored += pieces
    file_records = []
    for file in attachments:
        pieces = [encode_plane(piece) for piece in _cut(file.content, file.chunk_nbytes)]
        file_records.append(_file_record(file, pieces, algorithm))
        stored += pieces
    parity_record = None
    if parity is not None:
        shards = parity_shards(stored, stripe_nchunks, parity)
        parity_record = make_parity(
            [],
            chunks=_chunk_records(shards, algorithm),
            percent=parity,
            stripe_nchunks=stripe_nchunks,
        )
        stored += shards
    fields: dict[str, object] = {
        "layers": layer_records,
        "attachments": file_records,
        "parity": parity_record,
    }
    fields |= changes
    manifest = bare_manifest(**fields)
    if patch is not None:
        manifest = bare_manifest(**(fields | patch(manifest)))
    return BuiltSeed(manifest, encode_manifest(manifest), stored)


def raw_container(
    manifest_bytes: bytes,
    payload: bytes = b"",
    *,
    records: Sequence[SignatureRecord] = (),
    presence: bytes = b"",
    seed_id: bytes | None = None,
) -> bytes:
    """Return a container of any manifest bytes, payload and presence, right or wrong."""
    right_id = hashlib.sha256(manifest_bytes).digest()
    header = Header(manifest_bytes, seed_id or right_id, list(records), presence, len(payload))
    return encode_header(header) + payload


def container_bytes(
    seed: BuiltSeed,
    *,
    keys: Sequence[PrivateKey] = (),
    absent: Collection[int] = (),
    expires: int = 0,
) -> bytes:
    """Return the container of ``seed``, signed by ``keys``, without the chunks ``absent``."""
    present = [index for index in range(len(seed.stored)) if index not in absent]
    records = [make_record(seed.manifest_bytes, key, expires=expires) for key in keys]
    return raw_container(
        seed.manifest_bytes,
        b"".join(seed.stored[index] for index in present),
        records=records,
        presence=encode_presence(present, len(seed.stored)),
    )


def make_seed(
    path: Path,
    *,
    layers: Sequence[TensorData] = LAYERS,
    attachments: Sequence[FileData] = ATTACHMENTS,
    parity: int | None = None,
    keys: Sequence[PrivateKey] | None = None,
    absent: Collection[int] = (),
    **changes: object,
) -> BuiltSeed:
    """Write a container to ``path``; without ``keys`` it is signed by ``make_key()``."""
    seed = build_seed(layers=layers, attachments=attachments, parity=parity, **changes)
    signers = (make_key(),) if keys is None else keys
    path.write_bytes(container_bytes(seed, keys=signers, absent=absent))
    return seed


def damage(path: Path, contents: Contents, *indices: int) -> None:
    """Flip one bit in the middle of each of these chunks of an open file."""
    with path.open("r+b") as file:
        for index in indices:
            chunk = contents.chunks[index]
            file.seek(chunk.offset + chunk.stored_nbytes // 2)
            byte = file.read(1)[0]
            file.seek(-1, 1)
            file.write(bytes([byte ^ 0x10]))


def tensor_digest_by_hand(algorithm: str, tensor: TensorData) -> bytes:
    """Return the digest of section 7, from the specification alone."""
    shape = shape_of(tensor)
    head = b"seedpack-tensor-v1\0" + tensor.dtype.encode() + b"\0" + struct.pack("<B", len(shape))
    return digest(algorithm, head + struct.pack(f"<{len(shape)}Q", *shape), tensor.raw)


def shape_of(tensor: TensorData) -> tuple[int, ...]:
    """Return the shape that a tensor of one dimension has where none is given."""
    if tensor.shape is not None:
        return tensor.shape
    return (len(tensor.raw) // DTYPES[tensor.dtype].itemsize,)


def parity_shards(stored: Sequence[bytes], stripe_nchunks: int, percent: int) -> list[bytes]:
    """Return the parity chunks of ``stored`` (section 10)."""
    shards: list[bytes] = []
    for stripe in stripe_layout(list(map(len, stored)), stripe_nchunks, percent):
        data = [stored[index] for index in stripe.members]
        shards += encode_stripe(data, stripe.shard_nbytes, stripe.nparity)
    return shards


def _cut(content: bytes, nbytes: int) -> list[bytes]:
    return [content[start : start + nbytes] for start in range(0, len(content), nbytes)]


def _chunk_records(stored: Sequence[bytes], algorithm: str) -> list[Chunk]:
    return [Chunk(len(piece), digest(algorithm, piece)) for piece in stored]


def _layer_record(tensor: TensorData, pieces: Sequence[bytes], algorithm: str) -> Layer:
    return make_layer(
        chunks=_chunk_records(pieces, algorithm),
        digest=tensor_digest_by_hand(algorithm, tensor),
        dtype=tensor.dtype,
        name=tensor.name,
        params={"chunk_values": tensor.chunk_nbytes // DTYPES[tensor.dtype].itemsize},
        shape=list(shape_of(tensor)),
    )


def _file_record(file: FileData, pieces: Sequence[bytes], algorithm: str) -> Attachment:
    return make_attachment(
        chunk_nbytes=file.chunk_nbytes,
        chunks=_chunk_records(pieces, algorithm),
        digest=digest(algorithm, file.content),
        kind=file.kind,
        name=file.name,
        nbytes=len(file.content),
    )
