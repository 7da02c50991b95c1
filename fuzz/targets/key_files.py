"""Key files: SPKI and PKCS#8 PEM, OpenSSH (spec: KEY-3 to KEY-6)."""

from __future__ import annotations

import base64
import binascii
import re
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import serialization as s

from fuzz.harness import Target, scratch_folder
from fuzz.samples import ALICE, CAROL
from fuzz.trees import edit_bytes
from seedpack.crypto.keyfiles import load_private_key
from seedpack.crypto.publicfiles import encode_public_key, parse_public_key
from seedpack.errors import KeyFileError

if TYPE_CHECKING:
    from random import Random

_BASE64: Final = re.compile(rb"[A-Za-z0-9+/=\n]{24,}")
_MESSAGE: Final = b"message"


def _check(data: bytes) -> None:
    public, private = _check_public(data), _check_private(data)
    assert public or private, "one file is both a public and a private key"
    if public and private:
        raise public from private


def _check_public(data: bytes) -> KeyFileError | None:
    try:
        key = parse_public_key(data, where="input")
    except KeyFileError as refusal:
        return refusal
    assert parse_public_key(encode_public_key(key), where="input") == key
    assert not key.verifies(_MESSAGE, bytes(key.algorithm.signature_nbytes))
    return None


def _check_private(data: bytes) -> KeyFileError | None:
    path = scratch_folder() / "input.key"
    path.touch(mode=0o600)
    path.write_bytes(data)
    try:
        key = load_private_key(path, passphrase=None)
    except KeyFileError as refusal:
        return refusal
    assert key.public.verifies(_MESSAGE, key.sign(_MESSAGE))
    return None


@cache
def _starts() -> dict[str, bytes]:
    pem, ssh, clear = s.Encoding.PEM, s.PrivateFormat.OpenSSH, s.NoEncryption()
    pkcs8 = s.PrivateFormat.PKCS8
    public = ALICE.handle.public_key()
    return {
        "ed25519.pub": encode_public_key(ALICE.public),
        "ml-dsa-65.pub": encode_public_key(CAROL.public),
        "ssh.pub": public.public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH) + b" alice\n",
        "ed25519.key": ALICE.handle.private_bytes(pem, pkcs8, clear),
        "ml-dsa-65.key": CAROL.handle.private_bytes(pem, pkcs8, clear),
        "ssh.key": ALICE.handle.private_bytes(pem, ssh, clear),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    found = list(_BASE64.finditer(data))
    if not found:
        return random.choice(list(_starts().values()))
    block = random.choice(found)
    try:
        raw = binascii.a2b_base64(block[0])
    except binascii.Error:
        return edit_bytes(data, random)
    text = base64.encodebytes(edit_bytes(raw, random)).replace(b"\n", b"")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    joined = b"\n".join(lines) + b"\n" if b"\n" in block[0] else text
    return data[: block.start()] + b"\n" * block[0].startswith(b"\n") + joined + data[block.end() :]


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=8192)
