"""The two digests that a seed may use, both of 32 bytes (spec: MAN-13)."""

from __future__ import annotations

import hashlib
from typing import Final, Protocol

from blake3 import blake3

Buffer = bytes | bytearray | memoryview

DIGEST_NBYTES: Final = 32
ALGORITHMS: Final = frozenset({"blake3-256", "sha2-256"})


class Hasher(Protocol):
    """A running digest."""

    def update(self, data: Buffer, /) -> object:
        """Add bytes."""

    def digest(self) -> bytes:
        """Return the 32 bytes for all that was added."""


def new_hasher(algorithm: str, *, threads: int = 1) -> Hasher:
    """Start a digest.

    Args:
        algorithm: One of ``ALGORITHMS``.
        threads: Cores that one update may use; SHA-256 has no use for more than one.

    Raises:
        ValueError: another algorithm; manifests with one are refused earlier (MAN-13).
    """
    if algorithm == "blake3-256":
        return blake3(max_threads=threads)
    if algorithm == "sha2-256":
        return hashlib.sha256()
    raise ValueError(f"unknown digest algorithm {algorithm!r}")


def digest(algorithm: str, *parts: Buffer) -> bytes:
    """Return the digest of ``parts`` joined, without joining them.

    Raises:
        ValueError: another algorithm than those of ``ALGORITHMS``.
    """
    hasher = new_hasher(algorithm)
    for part in parts:
        hasher.update(part)
    return hasher.digest()
