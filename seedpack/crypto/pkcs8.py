"""Encrypted PKCS#8 with scrypt (RFC 5958, RFC 8018, RFC 7914).

``cryptography`` writes PBKDF2 with 2,048 rounds, where today's advice is 600,000 (OWASP
Password Storage Cheat Sheet). It reads scrypt, as OpenSSL does, so only the writing stands
here: one fixed shape of DER around what ``cryptography`` encrypts.

    EncryptedPrivateKeyInfo
    ├─ PBES2
    │  ├─ scrypt: salt, N, r, p
    │  └─ AES-256-CBC: iv
    └─ ciphertext of the PrivateKeyInfo
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7

from seedpack.crypto.pem import encode_pem

# 16 MiB and about 0.2 s; OpenSSL refuses to read what needs 32 MiB or more.
# Source: OWASP Password Storage Cheat Sheet, scrypt with N = 2^14.
_COST: Final = 2**14
_BLOCKS: Final = 8
_LANES: Final = 5
_SALT_NBYTES: Final = 16
_KEY_NBYTES: Final = 32  # AES-256
_IV_NBYTES: Final = 16

_INTEGER, _OCTETS, _SEQUENCE = b"\x02", b"\x04", b"\x30"  # DER tags
_LONG_FORM: Final = 0x80  # DER lengths from here on say first how many bytes they have
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_SCRYPT: Final = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42


def encrypt_private_key(der: bytes, passphrase: bytes) -> bytes:
    """Return the PEM of ``der`` (PrivateKeyInfo) encrypted with ``passphrase``."""
    salt, iv = os.urandom(_SALT_NBYTES), os.urandom(_IV_NBYTES)
    kdf = Scrypt(salt=salt, length=_KEY_NBYTES, n=_COST, r=_BLOCKS, p=_LANES)
    cipher = Cipher(algorithms.AES(kdf.derive(passphrase)), modes.CBC(iv)).encryptor()
    padder = PKCS7(algorithms.AES.block_size).padder()
    padded = padder.update(der) + padder.finalize()
    ciphertext = cipher.update(padded) + cipher.finalize()
    numbers = b"".join(_integer(number) for number in (_COST, _BLOCKS, _LANES))
    derivation = _sequence(_SCRYPT, _sequence(_field(_OCTETS, salt), numbers))
    encryption = _sequence(_AES_256_CBC, _field(_OCTETS, iv))
    scheme = _sequence(_PBES2, _sequence(derivation, encryption))
    return encode_pem("ENCRYPTED PRIVATE KEY", _sequence(scheme, _field(_OCTETS, ciphertext)))


def _sequence(*parts: bytes) -> bytes:
    return _field(_SEQUENCE, b"".join(parts))


def _integer(value: int) -> bytes:
    # one bit more than the value has, so that it does not read as negative
    return _field(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _field(tag: bytes, content: bytes) -> bytes:
    size = len(content)
    if size < _LONG_FORM:
        return tag + bytes([size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return tag + bytes([_LONG_FORM | len(length)]) + length + content
