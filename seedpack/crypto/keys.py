"""Public and private keys; only keys that cannot betray their owner exist (spec: KEY).

OpenSSL, below ``cryptography``, accepts Ed25519 keys of small order. With the neutral
element as key, one constant signature verifies for every message; so such keys are
refused when they are made, and nothing later has to think of them (KEY-4).
"""

from __future__ import annotations

import hashlib
import struct
from enum import IntEnum
from typing import Final, Literal, NamedTuple

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey, MLDSA65PublicKey

from seedpack.errors import KeyFileError

Label = Literal["ed25519", "ml-dsa-65"]
PrivateHandle = Ed25519PrivateKey | MLDSA65PrivateKey

_RHO_NBYTES: Final = 32  # FIPS 204: an ML-DSA public key is rho, then t1
PRIVATE_NBYTES: Final = 32  # of both algorithms: RFC 8032 and FIPS 204 start from a seed
_KEY_ID_DOMAIN: Final = b"seedpack-key-v1\x00"

_FIELD_PRIME: Final = 2**255 - 19  # RFC 8032, section 5.1
_Y_MASK: Final = 2**255 - 1  # the highest bit is the sign of x
# KEY-3: y of the two points with x = 0, where a sign of 1 means nothing
_Y_OF_ZERO_X: Final = frozenset({1, _FIELD_PRIME - 1})
# KEY-4: y of the eight points whose order divides 8: orders 1, 2, 4, 8 and 8.
# tests/crypto/test_small_order.py derives them from the equation of the curve.
_SMALL_ORDER_Y: Final = frozenset(
    {
        1,
        _FIELD_PRIME - 1,
        0,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
    }
)


class _Traits(NamedTuple):
    label: Label
    public_nbytes: int
    signature_nbytes: int


class Algorithm(IntEnum):
    """A signature algorithm; the number stands in signature records (section 4)."""

    ED25519 = 1
    ML_DSA_65 = 2

    @property
    def label(self) -> Label:
        """The name in trust stores and on the command line."""
        return _TRAITS[self].label

    @property
    def public_nbytes(self) -> int:
        """Size of a raw public key."""
        return _TRAITS[self].public_nbytes

    @property
    def signature_nbytes(self) -> int:
        """Size of a signature."""
        return _TRAITS[self].signature_nbytes

    @classmethod
    def of_label(cls, label: str) -> Algorithm:
        """Return the algorithm of that name.

        Raises:
            KeyFileError: KEY-6, there is none.
        """
        for algorithm in cls:
            if algorithm.label == label:
                return algorithm
        known = ", ".join(a.label for a in cls)
        raise KeyFileError(
            f"unknown key algorithm {label!r}", rule="KEY-6", where="algorithm", hint=f"use {known}"
        )


_TRAITS: Final = {
    Algorithm.ED25519: _Traits("ed25519", 32, 64),  # RFC 8032
    Algorithm.ML_DSA_65: _Traits("ml-dsa-65", 1952, 3309),  # FIPS 204, table 2
}


class PublicKey(msgspec.Struct, frozen=True):
    """A public key that has passed KEY-3 and KEY-4."""

    algorithm: Algorithm
    raw: bytes

    def __post_init__(self) -> None:
        """Refuse what is no key, or one that anybody can sign for.

        Raises:
            KeyFileError: KEY-6 (size), KEY-3 (not canonical) or KEY-4 (anybody can sign).
        """
        if len(self.raw) != self.algorithm.public_nbytes:
            raise KeyFileError(
                f"{len(self.raw)} bytes are no {self.algorithm.label} public key, "
                f"which has {self.algorithm.public_nbytes}",
                rule="KEY-6",
                where="public key",
            )
        if self.algorithm is Algorithm.ED25519:
            _check_ed25519(self.raw)
        elif not any(self.raw[_RHO_NBYTES:]):
            raise _anybodys_key("an ML-DSA-65 public key whose t1 is zero")

    @property
    def key_id(self) -> bytes:
        """The 32 bytes that records name this key by: a hint, never a proof."""
        head = _KEY_ID_DOMAIN + struct.pack("<H", self.algorithm)
        return hashlib.sha256(head + self.raw).digest()

    def verifies(self, message: bytes, signature: bytes) -> bool:
        """Tell whether ``signature`` is this key's over ``message``."""
        handle = (
            Ed25519PublicKey.from_public_bytes(self.raw)
            if self.algorithm is Algorithm.ED25519
            else MLDSA65PublicKey.from_public_bytes(self.raw)
        )
        try:
            handle.verify(signature, message)
        except InvalidSignature:
            return False
        return True


def _check_ed25519(raw: bytes) -> None:
    encoded = int.from_bytes(raw, "little")
    y, sign = encoded & _Y_MASK, encoded >> 255
    if y >= _FIELD_PRIME or (sign and y in _Y_OF_ZERO_X):
        raise KeyFileError(
            "not the canonical encoding of an Ed25519 public key", rule="KEY-3", where="public key"
        )
    if y in _SMALL_ORDER_Y:
        raise _anybodys_key("an Ed25519 public key of small order")


def _anybodys_key(what: str) -> KeyFileError:
    return KeyFileError(
        f"{what}, for which anybody can sign",
        rule="KEY-4",
        where="public key",
        hint="do not trust whoever gave you this key",
    )


class PrivateKey:
    """A key that signs; its repr says nothing of it.

    Attributes:
        public: The public half.
        handle: The object of ``cryptography`` that holds the secret.
    """

    __slots__ = ("handle", "public")

    def __init__(self, handle: PrivateHandle) -> None:
        """Wrap a key that ``cryptography`` loaded or made."""
        is_ed25519 = isinstance(handle, Ed25519PrivateKey)
        algorithm = Algorithm.ED25519 if is_ed25519 else Algorithm.ML_DSA_65
        self.handle = handle
        self.public = PublicKey(algorithm, handle.public_key().public_bytes_raw())

    def sign(self, message: bytes) -> bytes:
        """Sign; Ed25519 gives the same bytes each time, ML-DSA-65 is hedged and does not."""
        return self.handle.sign(message)


def generate_private_key(algorithm: Algorithm) -> PrivateKey:
    """Make a new key from the operating system's randomness."""
    if algorithm is Algorithm.ED25519:
        return PrivateKey(Ed25519PrivateKey.generate())
    return PrivateKey(MLDSA65PrivateKey.generate())


def private_key_from_secret(algorithm: Algorithm, secret: bytes) -> PrivateKey:
    """Return the key that ``secret`` (32 bytes, kept as safe as the key) determines.

    Raises:
        ValueError: not 32 bytes.
    """
    if len(secret) != PRIVATE_NBYTES:
        raise ValueError(f"a secret of {len(secret)} bytes")
    if algorithm is Algorithm.ED25519:
        return PrivateKey(Ed25519PrivateKey.from_private_bytes(secret))
    return PrivateKey(MLDSA65PrivateKey.from_seed_bytes(secret))
