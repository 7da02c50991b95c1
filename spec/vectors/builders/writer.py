"""A writer of `.seed` files that can also write wrong ones; it shares no code with seedpack.

A `Draft` holds the parts of a file as values, so that a builder changes the one thing that
shall be wrong and everything behind it (digests, seed id, signatures, sizes) stays right.
"""

from __future__ import annotations

import hashlib
import math
import struct
import zlib
from dataclasses import dataclass, field, replace
from typing import Any

import msgpack
from blake3 import blake3

from .keys import ALICE, ED25519, Key

Map = dict[str, Any]
NOW = 1_700_000_000  # the time at which nearly all vectors are judged
CREATED = NOW - 1_000_000
RECORD_NBYTES = {1: 128, 2: 3456}
RESERVE_NBYTES = 65_472
ITEMSIZES = {
    **dict.fromkeys(["bool", "uint8", "int8", "float8_e4m3fn", "float8_e5m2"], 1),
    **dict.fromkeys(["uint16", "int16", "float16", "bfloat16"], 2),
    **dict.fromkeys(["uint32", "int32", "float32"], 4),
    **dict.fromkeys(["uint64", "int64", "float64"], 8),
}
BLAKE3 = "blake3-256"
SHA2 = "sha2-256"


def digest(algorithm: str, data: bytes) -> bytes:
    """Return H(data); an unknown algorithm counts as BLAKE3, for vectors that name one."""
    return hashlib.sha256(data).digest() if algorithm == SHA2 else blake3(data).digest()


def pack(value: object) -> bytes:
    """Encode canonically: keys in ascending order, shortest forms."""
    return bytes(msgpack.packb(_ordered(value)))


def _ordered(value: Any) -> Any:  # noqa: ANN401 -- any msgpack value
    if isinstance(value, dict):
        return {k: _ordered(value[k]) for k in sorted(value, key=lambda k: str(k).encode())}
    return [_ordered(item) for item in value] if isinstance(value, list) else value


# ---------------------------------------------------------------- layers and attachments


@dataclass
class Part:
    """A layer or an attachment: its record without chunks, and its stored bytes."""

    record: Map
    stored: list[bytes]

    def change(self, **changes: object) -> Part:
        """Return the same part with other fields."""
        return replace(self, record=self.record | changes)


def tensor_digest(algorithm: str, dtype: str, shape: list[int], elements: bytes) -> bytes:
    """Return the digest of a decoded tensor (section 7)."""
    dims = struct.pack(f"<B{len(shape)}Q", len(shape), *shape)
    return digest(algorithm, b"seedpack-tensor-v1\0" + dtype.encode() + b"\0" + dims + elements)


def layer(  # noqa: PLR0913 -- one parameter per field of the record
    name: str = "w",
    dtype: str = "uint8",
    shape: list[int] | None = None,
    elements: bytes = bytes(range(8)),
    *,
    stored: list[bytes] | None = None,
    codec: str = "raw",
    params: Map | None = None,
    finite: bool = True,
    algorithm: str = BLAKE3,
) -> Part:
    """Return a layer; by default one verbatim chunk of the codec `raw`."""
    shape = [len(elements) // ITEMSIZES[dtype]] if shape is None else shape
    record = {
        "codec": codec,
        "digest": tensor_digest(algorithm, dtype, shape, elements),
        "dtype": dtype,
        "finite": finite,
        "name": name,
        "params": {"chunk_values": max(1, math.prod(shape))} if params is None else params,
        "shape": shape,
    }
    return Part(record, ([elements] if elements else []) if stored is None else stored)


def attachment(
    name: str = "README.md",
    content: bytes = b"# A seed\n",
    *,
    chunk_nbytes: int = 1 << 20,
    stored: list[bytes] | None = None,
    kind: str = "card",
    algorithm: str = BLAKE3,
) -> Part:
    """Return an attachment; by default of verbatim pieces."""
    pieces = [content[at : at + chunk_nbytes] for at in range(0, len(content), chunk_nbytes)]
    record = {
        "chunk_nbytes": chunk_nbytes,
        "digest": digest(algorithm, content),
        "kind": kind,
        "name": name,
        "nbytes": len(content),
    }
    return Part(record, pieces if stored is None else stored)


# ---------------------------------------------------------------- files


@dataclass
class Draft:
    """A seed before it is written.

    Attributes:
        layers: In order.
        attachments: In order.
        parity: The parity map without chunks, and the parity chunks.
        fields: Further fields of the manifest.
        signers: Whose records stand in the signature area.
        absent: Indices of chunks that the file lacks.
        reserve: Whether the signature area has its full size.
    """

    layers: list[Part] = field(default_factory=lambda: [layer()])
    attachments: list[Part] = field(default_factory=list)
    parity: Part | None = None
    fields: Map = field(default_factory=dict)
    signers: list[Key] = field(default_factory=lambda: [ALICE])
    absent: frozenset[int] = frozenset()
    reserve: bool = False

    def parts(self) -> list[Part]:
        """Return all that owns chunks, in the order of the payload."""
        return [*self.layers, *self.attachments, *([self.parity] if self.parity else [])]

    def chunks(self) -> list[bytes]:
        """Return the stored bytes of all chunks by index."""
        return [stored for part in self.parts() for stored in part.stored]

    def manifest(self) -> Map:
        """Return the manifest as a value, true to the parts unless `fields` say otherwise."""
        algorithm = self.fields.get("digest_algorithm", BLAKE3)

        def listed(part: Part) -> Map:
            chunks = [[len(stored), digest(algorithm, stored)] for stored in part.stored]
            return {"chunks": chunks} | part.record

        sizes = [
            math.prod(part.record["shape"]) * ITEMSIZES.get(part.record["dtype"], 1)
            for part in self.layers
        ]
        return {
            "architecture": None,
            "attachments": [listed(part) for part in self.attachments],
            "base": None,
            "claims": [],
            "created": CREATED,
            "decoded_nbytes": (sum(sizes) + sum(p.record["nbytes"] for p in self.attachments))
            % 2**63,
            "digest_algorithm": BLAKE3,
            "expires": None,
            "layers": [listed(part) for part in self.layers],
            "name": "acme/tiny",
            "parity": listed(self.parity) if self.parity else None,
            "producer": "vector builder",
            "recipe": {},
            "schema": 1,
            "version": 7,
        } | self.fields

    def payload(self) -> bytes:
        """Return the stored bytes of the chunks that the file has."""
        return b"".join(c for i, c in enumerate(self.chunks()) if i not in self.absent)

    def presence(self) -> bytes:
        """Return the bitmap, empty when nothing is absent."""
        n = len(self.chunks())
        bits = sum(1 << i for i in range(n) if i not in self.absent)
        return bits.to_bytes(-(-n // 8), "little") if self.absent else b""

    def build(self, **preamble: int | bytes) -> bytes:
        """Return the file."""
        return frame(pack(self.manifest()), self, **preamble)


def frame(manifest: bytes, draft: Draft | None = None, **preamble: int | bytes) -> bytes:
    """Sign manifest bytes and put the file together around them."""
    draft = draft or Draft()
    records = [sign(key, manifest) for key in draft.signers]
    area = place(records, reserve=draft.reserve)
    return assemble(area, manifest, draft.presence(), draft.payload(), **preamble)


def assemble(
    area: bytes, manifest: bytes, presence: bytes, payload: bytes, **preamble: int | bytes
) -> bytes:
    """Put a file together; `preamble` overrides its fields."""
    fields = {
        "magic": b"\x89SEED\r\n\x1a",
        "version": 1,
        "flags": 0,
        "signatures_nbytes": len(area),
        "manifest_nbytes": len(manifest),
        "presence_nbytes": len(presence),
        "payload_nbytes": len(payload),
        "seed_id": hashlib.sha256(manifest).digest(),
    } | preamble
    return struct.pack("<8sHHIIIQ32s", *fields.values()) + area + manifest + presence + payload


# ---------------------------------------------------------------- signature records


def message(key_id: bytes, algorithm: int, expires: int, manifest: bytes) -> bytes:
    """Return what a signature is over (section 5)."""
    head = b"seedpack-signature-v1\0" + struct.pack("<HHQ", 1, algorithm, expires) + key_id
    return head + struct.pack("<Q", len(manifest)) + manifest


def sign(key: Key, manifest: bytes, *, expires: int = 0) -> bytes:
    """Return a true record."""
    signature = key.private.sign(message(key.id, key.algorithm, expires, manifest))
    return record(key.algorithm, key.id, signature, expires=expires)


def record(
    algorithm: int,
    key_id: bytes,
    signature: bytes,
    *,
    flags: int = 0,
    expires: int = 0,
    tail: bytes = b"",
) -> bytes:
    """Return a record with a true CRC; `tail` stands where zero bytes should."""
    nbytes = RECORD_NBYTES.get(algorithm, RECORD_NBYTES[ED25519])
    body = struct.pack("<Q", expires) + key_id + signature
    body += tail.rjust(nbytes - 8 - len(body), b"\0")
    head = struct.pack("<HH", algorithm, flags)
    return head + struct.pack("<I", zlib.crc32(head + bytes(4) + body)) + body


def place(records: list[bytes], *, reserve: bool = False) -> bytes:
    """Lay records out at their lowest places (SIG-4)."""
    front = bytes(64)
    for one in records:
        if len(front) // 4096 != (len(front) + len(one) - 1) // 4096:
            front = front.ljust(-(-len(front) // 4096) * 4096, b"\0")
        front += one
    area = front[64:]
    return area.ljust(RESERVE_NBYTES, b"\0") if reserve else area
