"""The exact bytes that are signed (spec: section 5, trust-store.md: Statements).

Every field in front of the manifest or body has a fixed size, and each kind of message
begins with its own name, so no message can be read as another (domain separation).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from seedpack.crypto.digests import DIGEST_NBYTES

if TYPE_CHECKING:
    from seedpack.crypto.keys import Algorithm

_SIGNATURE_DOMAIN: Final = b"seedpack-signature-v1\x00"
_STATEMENT_DOMAIN: Final = b"seedpack-statement-v1\x00"
_SIGNATURE_HEAD: Final = struct.Struct("<HHQ32sQ")  # version, algorithm, expires, key id, M
_STATEMENT_HEAD: Final = struct.Struct("<H32s")  # algorithm, key id


def signed_message(
    *, version: int, algorithm: Algorithm, expires: int, key_id: bytes, manifest: bytes
) -> bytes:
    """Return what a signature record of a seed signs."""
    _check_key_id(key_id)
    head = _SIGNATURE_HEAD.pack(version, algorithm, expires, key_id, len(manifest))
    return b"".join((_SIGNATURE_DOMAIN, head, manifest))


def statement_message(*, algorithm: Algorithm, key_id: bytes, body: bytes) -> bytes:
    """Return what a signature of a rotation or revocation signs."""
    _check_key_id(key_id)
    return b"".join((_STATEMENT_DOMAIN, _STATEMENT_HEAD.pack(algorithm, key_id), body))


def _check_key_id(key_id: bytes) -> None:
    # struct would pad or cut in silence, and two messages would become one
    if len(key_id) != DIGEST_NBYTES:
        raise ValueError(f"a key id of {len(key_id)} bytes")
