"""The two text forms of a public key: SPKI PEM, and the line of OpenSSH (spec: KEY-5, KEY-6).

Each algorithm's DER, and OpenSSH's blob, is a constant followed by the raw key, so that
comparing the constant is the whole parser: no ASN.1 reader runs on a file from elsewhere.
"""

from __future__ import annotations

import binascii
import re
from typing import Final

from seedpack.crypto.keys import Algorithm, PublicKey
from seedpack.crypto.pem import encode_pem
from seedpack.errors import KeyFileError

# SubjectPublicKeyInfo up to the raw key: RFC 8410 section 4, RFC 9881 section 4
_SPKI_PREFIX: Final = {
    Algorithm.ED25519: bytes.fromhex("302a300506032b6570032100"),
    Algorithm.ML_DSA_65: bytes.fromhex("308207b2300b0609608648016503040312038207a100"),
}
# RFC 8709, section 4: two strings, each behind its length
_SSH_PREFIX: Final = b"\x00\x00\x00\x0bssh-ed25519\x00\x00\x00\x20"

_PEM: Final = re.compile(
    rb"\A-----BEGIN PUBLIC KEY-----\r?\n"
    rb"((?:[A-Za-z0-9+/=]+\r?\n)+)"
    rb"-----END PUBLIC KEY-----\s*\Z"
)
_SSH_LINE: Final = re.compile(rb"\Assh-ed25519 ([A-Za-z0-9+/=]+)(?: [^\r\n]*)?\s*\Z")


def parse_public_key(text: bytes, *, where: str) -> PublicKey:
    """Return the one public key that ``text`` holds.

    Args:
        text: Content of a key file.
        where: Its name, for messages.

    Raises:
        KeyFileError: KEY-5, it is a private key; KEY-6, not exactly one key of a known
            algorithm; KEY-3 or KEY-4, a key that must not be used.
    """
    if b"PRIVATE KEY" in text:
        raise KeyFileError(
            "a private key where a public one is asked for",
            rule="KEY-5",
            where=where,
            hint="pass the .pub file, and show the private one to nobody",
        )
    algorithm, raw = _split(text, where)
    try:
        return PublicKey(algorithm, raw)
    except KeyFileError as error:
        raise KeyFileError(error.message, rule=error.rule, where=where, hint=error.hint) from error


def encode_public_key(key: PublicKey) -> bytes:
    """Return ``key`` as SPKI PEM."""
    return encode_pem("PUBLIC KEY", _SPKI_PREFIX[key.algorithm] + key.raw)


def _split(text: bytes, where: str) -> tuple[Algorithm, bytes]:
    if match := _PEM.match(text):
        der = _decode_base64(match[1].translate(None, b"\r\n"), where)
        for algorithm, prefix in _SPKI_PREFIX.items():
            if der.startswith(prefix):
                return algorithm, der.removeprefix(prefix)
    elif match := _SSH_LINE.match(text):
        blob = _decode_base64(match[1], where)
        if blob.startswith(_SSH_PREFIX):
            return Algorithm.ED25519, blob.removeprefix(_SSH_PREFIX)
    raise _no_key(where)


def _decode_base64(text: bytes, where: str) -> bytes:
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except binascii.Error as error:
        raise _no_key(where) from error


def _no_key(where: str) -> KeyFileError:
    return KeyFileError(
        "not exactly one Ed25519 or ML-DSA-65 public key",
        rule="KEY-6",
        where=where,
        hint="pass a PEM file (BEGIN PUBLIC KEY) or one line of OpenSSH (ssh-ed25519 ...)",
    )
