"""The digest of a decoded tensor, the same whatever codec stored it (spec: section 7)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from seedpack.crypto.digests import new_hasher

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np

    from seedpack.dtypes import DType

_DOMAIN: Final = b"seedpack-tensor-v1\x00"
_BASE_DOMAIN: Final = b"seedpack-base-v1\x00"  # BAS-2


def tensor_digest(
    algorithm: str, dtype: DType, shape: Sequence[int], values: np.ndarray, *, threads: int = 1
) -> bytes:
    """Return H(domain || dtype || dimensions || elements).

    Args:
        algorithm: Digest algorithm of the manifest.
        dtype: What the stored bits mean.
        shape: The tensor's.
        values: Its elements in C order, contiguous, of numpy type ``dtype.storage``.
        threads: Cores that BLAKE3 may use.
    """
    hasher = new_hasher(algorithm, threads=threads)
    header = struct.pack(f"<B{len(shape)}Q", len(shape), *shape)
    hasher.update(_DOMAIN + dtype.name.encode() + b"\x00" + header)
    hasher.update(values.reshape(-1).view("u1").data)
    return hasher.digest()


def base_digest(algorithm: str, digests: Mapping[str, bytes]) -> bytes:
    """Return the digest of a model as a base: of the names and digests of all its tensors.

    Args:
        algorithm: Digest algorithm of the manifest; ``digests`` are by the same.
        digests: ``tensor_digest`` of each tensor by name.
    """
    hasher = new_hasher(algorithm)
    hasher.update(_BASE_DOMAIN + struct.pack("<Q", len(digests)))
    for name, digest in sorted((name.encode(), digest) for name, digest in digests.items()):
        hasher.update(struct.pack("<H", len(name)) + name + digest)
    return hasher.digest()
