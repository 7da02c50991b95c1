"""The keys that sign the vectors. Their private halves are public knowledge: sha256(name)."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import Any, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

ED25519 = 1
ML_DSA_65 = 2
NAMES = {ED25519: "ed25519", ML_DSA_65: "ml-dsa-65"}


class Key(NamedTuple):
    """A key pair that anybody can derive from its name."""

    algorithm: int
    name: str

    @property
    def private(self) -> Ed25519PrivateKey | MLDSA65PrivateKey:
        """The private key."""
        secret = hashlib.sha256(f"seed vectors, key of {self.name}".encode()).digest()
        if self.algorithm == ED25519:
            return Ed25519PrivateKey.from_private_bytes(secret)
        return MLDSA65PrivateKey.from_seed_bytes(secret)

    @property
    def public(self) -> bytes:
        """The raw public key."""
        return self.private.public_key().public_bytes_raw()

    @property
    def id(self) -> bytes:
        """The key id."""
        return key_id(self.algorithm, self.public)


def key_id(algorithm: int, public: bytes) -> bytes:
    """Return the hint by which records name a key."""
    return hashlib.sha256(b"seedpack-key-v1\0" + struct.pack("<H", algorithm) + public).digest()


def store_key(algorithm: int, public: bytes, **changes: object) -> dict[str, Any]:
    """Return a key as it stands in a trust store."""
    entry = {
        "algorithm": NAMES[algorithm],
        "public": base64.b64encode(public).decode(),
        "not_before": 0,
        "not_after": None,
        "revoked": False,
    }
    return entry | changes


ALICE = Key(ED25519, "alice")  # trusted in nearly all stores, may sign acme/*
ALICE_PQ = Key(ML_DSA_65, "alice, post-quantum")
BOB = Key(ED25519, "bob")  # may sign acme/*
CAROL = Key(ED25519, "carol")  # may sign other/*
REVOKED = Key(ED25519, "revoked")
LAPSED = Key(ED25519, "lapsed")  # its validity has ended
FUTURE = Key(ED25519, "future")  # its validity has not begun
STRANGER = Key(ED25519, "stranger")  # in no store
STRANGER_PQ = Key(ML_DSA_65, "stranger, post-quantum")
