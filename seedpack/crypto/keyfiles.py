"""Key files on disk (spec: KEY-5, KEY-6).

NAME.pub  SPKI PEM, or one line of OpenSSH (ssh-ed25519)   --> PublicKey
NAME.key  PKCS#8 PEM, or OpenSSH (Ed25519); 0600           --> PrivateKey
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA65PrivateKey

from seedpack.crypto.keys import PrivateKey, PublicKey
from seedpack.crypto.pem import encode_pem
from seedpack.crypto.publicfiles import encode_public_key, parse_public_key
from seedpack.errors import KeyFileError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MAX_KEY_FILE_NBYTES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_PRIVATE_MODE: Final = 0o600  # KEY-5
_OTHERS_MODE: Final = 0o077  # any permission of group or others
_BLOCK: Final = re.compile(
    rb"\A-----BEGIN ([A-Z0-9 ]+)-----\r?\n(?:[A-Za-z0-9+/=]+\r?\n)+-----END \1-----\s*\Z"
)
_PKCS8_LABELS: Final = frozenset({b"PRIVATE KEY", b"ENCRYPTED PRIVATE KEY"})
_SSH_LABEL: Final = b"OPENSSH PRIVATE KEY"
_NAME: Final = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}\Z")


def load_public_key(path: Path) -> PublicKey:
    """Read a public key file.

    Raises:
        KeyFileError: KEY-3 to KEY-6, what is in it must not be used.
        StoreError: FIL-1, it cannot be read; KEY-6, it is too large.
    """
    text = read_small_file(path, limit=MAX_KEY_FILE_NBYTES, rule="KEY-6")
    return parse_public_key(text, where=str(path))


def load_private_key(path: Path, passphrase: Callable[[], bytes] | None) -> PrivateKey:
    """Read a private key file.

    Args:
        path: PKCS#8 PEM or OpenSSH.
        passphrase: Called when the file is encrypted, at most once; None: cannot ask.

    Raises:
        KeyFileError: KEY-5, a public key, open to others, or the passphrase is wrong;
            KEY-6, not exactly one key of a known algorithm.
        StoreError: FIL-1, it cannot be read; KEY-6, it is too large.
    """
    text = read_small_file(path, limit=MAX_KEY_FILE_NBYTES, rule="KEY-6")
    label = _label(text, str(path))
    _check_mode(path)
    handle = _decrypt(text, label, passphrase, str(path))
    if not isinstance(handle, Ed25519PrivateKey | MLDSA65PrivateKey):
        raise _no_key(str(path))
    return PrivateKey(handle)


def write_key_pair(
    private: PrivateKey, out: Path, name: str, passphrase: bytes | None
) -> tuple[Path, Path]:
    """Write ``NAME.key`` (mode 0600) and ``NAME.pub`` into the folder ``out``.

    Args:
        private: The key.
        out: An existing folder.
        name: File name without ending.
        passphrase: Encrypts the private key; None: it is stored in the clear.

    Returns:
        The paths of private and public key.

    Raises:
        KeyFileError: KEY-5, ``name`` is no file name, or the passphrase is empty.
        StoreError: OUT-1 or OUT-2; a file of either name is there already.
    """
    if not _NAME.match(name):
        raise KeyFileError(
            f"{name!r} is no name for a key",
            rule="KEY-5",
            where="name",
            hint="use letters, digits, underscore, dot and dash",
        )
    secret, public = out / f"{name}.key", out / f"{name}.pub"
    pem = _encode_private(private, passphrase)
    with atomic_output(secret, mode=_PRIVATE_MODE) as first, atomic_output(public) as second:
        first.write(pem)
        second.write(encode_public_key(private.public))
    return secret, public


def _encode_private(private: PrivateKey, passphrase: bytes | None) -> bytes:
    # imported here for the reason given in _decrypt
    from cryptography.hazmat.primitives import serialization as s  # noqa: PLC0415

    from seedpack.crypto.pkcs8 import encrypt_private_key  # noqa: PLC0415

    der = private.handle.private_bytes(s.Encoding.DER, s.PrivateFormat.PKCS8, s.NoEncryption())
    if passphrase is None:
        return encode_pem("PRIVATE KEY", der)
    if not passphrase:
        raise KeyFileError("the passphrase is empty", rule="KEY-5", where="passphrase")
    return encrypt_private_key(der, passphrase)


def _label(text: bytes, where: str) -> bytes:
    """Return what the only PEM block of a file says that it is."""
    match = _BLOCK.match(text)
    label = match[1] if match else b""
    if label == b"PUBLIC KEY" or text.startswith(b"ssh-"):
        raise KeyFileError(
            "a public key where a private one is asked for",
            rule="KEY-5",
            where=where,
            hint="pass the .key file",
        )
    if label != _SSH_LABEL and label not in _PKCS8_LABELS:
        raise _no_key(where)
    return label


def _check_mode(path: Path) -> None:
    # As ssh does: a key that others could read may have been read.
    mode = path.stat().st_mode
    if mode & _OTHERS_MODE:
        raise KeyFileError(
            f"private key is open to others (mode {mode & 0o777:04o})",
            rule="KEY-5",
            where=str(path),
            hint=f"chmod 600 {path}",
        )


def _decrypt(
    text: bytes, label: bytes, passphrase: Callable[[], bytes] | None, where: str
) -> object:
    # 6 ms of import, which loading a public key (verify --key) need not pay
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415

    load = (
        serialization.load_ssh_private_key
        if label == _SSH_LABEL
        else serialization.load_pem_private_key
    )
    try:
        try:
            return load(text, None)
        except TypeError:  # it is encrypted
            return load(text, _ask(passphrase, where))
    except InternalError as error:  # an Ed448 key of 32 bytes, for one; says it in five lines
        raise KeyFileError(
            "cannot decode: OpenSSL refuses the key",
            rule="KEY-5",
            where=where,
            hint="seedpack reads Ed25519 and ML-DSA-65 keys",
        ) from error
    except (TypeError, ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(
            f"cannot decode: {error}", rule="KEY-5", where=where, hint=_hint(error)
        ) from error


def _ask(passphrase: Callable[[], bytes] | None, where: str) -> bytes:
    if passphrase is None:
        raise KeyFileError(
            "encrypted, and there is nobody to ask for the passphrase",
            rule="KEY-5",
            where=where,
            hint="run on a terminal, or pass the passphrase in the way that the help describes",
        )
    return passphrase()


def _hint(error: Exception) -> str:
    if isinstance(error, UnsupportedAlgorithm):
        return "for an OpenSSH key with passphrase: pip install bcrypt"
    return "wrong passphrase, or a damaged file"


def _no_key(where: str) -> KeyFileError:
    return KeyFileError(
        "not exactly one Ed25519 or ML-DSA-65 private key",
        rule="KEY-6",
        where=where,
        hint="pass a PEM file (PKCS#8) or an OpenSSH Ed25519 key; seedpack keygen makes one",
    )
