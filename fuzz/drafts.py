"""Seeds that may be edited, and the way back to validity after an edit.

    container --read_draft--> Draft --edits--> Draft --settle--> --write, sign--> container

Settling recomputes sizes, digests and parity, and signing is by keys that the store
trusts. So the fuzzer gets behind checks that no attacker passes, and finds out whether
what stands behind relies on them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import struct
import zlib
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from fuzz.trees import pack, unpack
from seedpack.codecs import get_codec
from seedpack.codecs.tensors import tensor_digest
from seedpack.container.manifest import Chunk, Manifest
from seedpack.container.payload import encode_presence
from seedpack.container.planes import decode_plane
from seedpack.container.preamble import Preamble, encode_preamble
from seedpack.container.rules import (
    MAX_PARITY_PERCENT,
    attachment_piece_sizes,
    layer_nbytes,
)
from seedpack.container.signature_area import encode_signature_area
from seedpack.container.stripes import stripe_layout
from seedpack.crypto.digests import ALGORITHMS, DIGEST_NBYTES, digest
from seedpack.dtypes import DTYPES
from seedpack.limits import MAX_SHARDS
from seedpack.parity import encode_stripe
from seedpack.seed.signing import make_record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from seedpack.container.manifest import Attachment, Layer, Parity
    from seedpack.container.stripes import Stripe
    from seedpack.crypto.keys import PrivateKey

_SETTLED_NBYTES: Final = 1 << 20  # decoded; larger layers keep the digest that they have
_MAX_U64: Final = (1 << 64) - 1  # the largest that msgpack can say
_SIZES: Final = struct.Struct("<III")  # S, M, P at byte 12 of the preamble
_SIZES_AT: Final = 12
_CRC: Final = slice(4, 8)  # in a signature record
_PREAMBLE_NBYTES: Final = 64


@dataclasses.dataclass
class Draft:
    """A seed that may be nonsense."""

    tree: Any  # manifest, as nested values
    contents: dict[bytes, bytes]  # stored bytes, by the digest that the tree gives them
    presence: bytes = b""

    def manifest(self) -> Manifest | None:
        """Return the manifest, where the tree is of its grammar."""
        try:
            return msgspec.convert(self.tree, Manifest)
        except (msgspec.ValidationError, UnicodeEncodeError):
            return None


def read_draft(data: bytes) -> Draft | None:
    """Take a container apart without any check; None where there is no manifest to find."""
    if len(data) < _PREAMBLE_NBYTES:
        return None
    signatures_nbytes, manifest_nbytes, presence_nbytes = _SIZES.unpack_from(data, _SIZES_AT)
    rest = data[_PREAMBLE_NBYTES + signatures_nbytes :]
    draft = Draft(unpack(rest[:manifest_nbytes]), {}, b"")
    manifest = draft.manifest()
    if manifest is None:
        return None
    end = manifest_nbytes + presence_nbytes
    draft.presence, payload = rest[manifest_nbytes:end], rest[end:]
    at = 0
    for chunk in _present(manifest.chunks, draft.presence):
        draft.contents.setdefault(chunk.digest, payload[at : at + chunk.stored_nbytes])
        at += chunk.stored_nbytes
    return draft


def _present(chunks: list[Chunk], presence: bytes) -> list[Chunk]:
    bits = int.from_bytes(presence, "little") if presence else -1
    return [chunk for index, chunk in enumerate(chunks) if bits >> index & 1]


def write_container(draft: Draft, signers: Iterable[PrivateKey], *, expires: int = 0) -> bytes:
    """Return the container, signed; valid exactly as far as the draft is."""
    body, manifest = pack(draft.tree), draft.manifest()
    chunks = _present(manifest.chunks, draft.presence) if manifest else []
    payload = b"".join(draft.contents.get(chunk.digest, b"") for chunk in chunks)
    records = [make_record(body, signer, expires=expires) for signer in signers]
    area = encode_signature_area(records, reserve=False)
    seed_id = hashlib.sha256(body).digest()
    preamble = Preamble(len(area), len(body), len(draft.presence), len(payload), seed_id)
    return encode_preamble(preamble) + area + body + draft.presence + payload


def with_crc(record: bytes) -> bytes:
    """Return a signature record with the CRC that its other bytes have."""
    body = bytearray(record.ljust(_CRC.stop, b"\0"))
    body[_CRC] = bytes(4)
    body[_CRC] = struct.pack("<I", zlib.crc32(body))
    return bytes(body)


def drop_chunks(draft: Draft, absent: set[int]) -> None:
    """Leave chunks out of the file, by index."""
    manifest = draft.manifest()
    if manifest is not None:
        nchunks = len(manifest.chunks)
        draft.presence = encode_presence(set(range(nchunks)) - absent, nchunks)


# ---------------------------------------------------------------- settling


def settle(draft: Draft) -> Draft:
    """Return the draft with sizes, digests and parity that fit its contents, where possible."""
    manifest = draft.manifest()
    if manifest is None or manifest.digest_algorithm not in ALGORITHMS:
        return draft
    settler = _Settler(manifest.digest_algorithm, draft.contents)
    layers = [settler.layer(layer) for layer in manifest.layers]
    attachments = [settler.attachment(attachment) for attachment in manifest.attachments]
    manifest = replace(manifest, layers=layers, attachments=attachments)
    if all(layer.dtype in DTYPES for layer in layers):
        total = sum(map(layer_nbytes, layers)) + sum(file.nbytes for file in attachments)
        manifest = replace(manifest, decoded_nbytes=min(total, _MAX_U64))
    if manifest.parity is not None:
        parity = settler.parity(manifest.parity, manifest.data_chunks)
        manifest = replace(manifest, parity=parity)
    return Draft(to_tree(manifest), settler.new, draft.presence)


def to_tree(manifest: Manifest) -> dict[str, Any]:
    """Return the manifest as nested values."""
    tree: dict[str, Any] = msgspec.to_builtins(manifest, builtin_types=(bytes,))
    return tree


class _Settler:
    """Recomputes what depends on the contents of chunks.

    Whatever fails is left as it is: the target meets the same seed, and says why.
    """

    def __init__(self, algorithm: str, contents: dict[bytes, bytes]) -> None:
        self.algorithm = algorithm
        self.old = contents
        self.new: dict[bytes, bytes] = {}

    def layer(self, layer: Layer) -> Layer:
        layer = replace(layer, chunks=[self._chunk(chunk) for chunk in layer.chunks])
        with contextlib.suppress(Exception):
            if layer_nbytes(layer) <= _SETTLED_NBYTES:
                return replace(layer, digest=self._digest_layer(layer))
        return layer

    def _digest_layer(self, layer: Layer) -> bytes:
        kind = DTYPES[layer.dtype]
        decoder = get_codec(layer.codec).decoder(layer, kind)
        for number, chunk in enumerate(layer.chunks):
            decoder.decode_chunk(number, memoryview(self.new[chunk.digest]))
        return tensor_digest(self.algorithm, kind, layer.shape, decoder.finish())

    def attachment(self, attachment: Attachment) -> Attachment:
        attachment = replace(attachment, chunks=[self._chunk(c) for c in attachment.chunks])
        with contextlib.suppress(Exception):
            if attachment.nbytes <= _SETTLED_NBYTES:
                sizes = attachment_piece_sizes(attachment)
                planes = [
                    decode_plane(memoryview(self.new[chunk.digest]), nbytes, where="draft")
                    for chunk, nbytes in zip(attachment.chunks, sizes, strict=True)
                ]
                return replace(attachment, digest=digest(self.algorithm, b"".join(planes)))
        return attachment

    def parity(self, parity: Parity, data: list[Chunk]) -> Parity:
        with contextlib.suppress(Exception):
            if len(data) <= MAX_SHARDS and parity.percent <= MAX_PARITY_PERCENT:
                stored = [chunk.stored_nbytes for chunk in data]
                stripes = stripe_layout(stored, parity.stripe_nchunks, parity.percent)
                chunks = [c for stripe in stripes for c in self._parity_chunks(stripe, data)]
                return replace(parity, chunks=chunks)
        return parity

    def _parity_chunks(self, stripe: Stripe, data: list[Chunk]) -> list[Chunk]:
        shards = [self.new.get(data[index].digest) for index in stripe.members]
        if not all(shards):  # a manifest alone: the sizes have to fit, the digests cannot
            return [Chunk(stripe.shard_nbytes, bytes(DIGEST_NBYTES))] * stripe.nparity
        encoded = encode_stripe([s for s in shards if s], stripe.shard_nbytes, stripe.nparity)
        return [self._keep(shard) for shard in encoded]

    def _chunk(self, chunk: Chunk) -> Chunk:
        return self._keep(self.old[chunk.digest]) if chunk.digest in self.old else chunk

    def _keep(self, content: bytes) -> Chunk:
        fresh = Chunk(len(content), digest(self.algorithm, content))
        self.new[fresh.digest] = content
        return fresh
