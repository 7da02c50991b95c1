"""What was measured of models, kept beside the arms for the next time (spec: AUD-3, AUD-9).

    digest of all that it follows from ──> arms/NAME-KEY.json ──there, and such a result?──> it
                                                              ──else──> measured, written whole

One process at a time measures it; the others wait and read.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from seedpack.errors import SeedError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from torch import Tensor

_MAX_NBYTES: Final = 64 * MIB  # ten searches of a thousand classes by pairs would fill it
_T = TypeVar("_T")


def keep_measured(
    path: Path, kind: type[_T], fits: Callable[[_T], bool], measure: Callable[[], _T]
) -> _T:
    """Return what is kept at ``path``; measured and kept there where that is nothing.

    Args:
        path: Named by a digest of all that the result follows from.
        kind: Of the result, as JSON can hold it.
        fits: Whether what was kept can be such a result (AUD-9).
        measure: Makes it.
    """
    with alone(path):
        try:
            data = read_small_file(path, limit=_MAX_NBYTES, rule="AUD-9")
            kept = msgspec.json.decode(data, type=kind)
            if fits(kept):
                return kept
        except (SeedError, OSError, msgspec.DecodeError):
            pass
        found = measure()
        with atomic_output(path, overwrite=True) as file:
            file.write(msgspec.json.encode(found))
        return found


@contextlib.contextmanager
def alone(path: Path) -> Iterator[None]:
    """Let one process at a time make what is kept at ``path``; the others wait and read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(path.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def digest_tensors(tensors: Iterable[Tensor]) -> bytes:
    """Return a digest of kinds, shapes and values."""
    import torch  # noqa: PLC0415 -- loaded by whoever made the tensors

    digest = sha256()
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.digest()
