"""The trust store on disk: read whole, written whole, changed under a lock (spec: TRU-13).

    lock STORE.lock --> read --> judge again --> temporary, fsync, rename --> unlock

The lock is a file of its own, because the store itself is replaced by each change.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from seedpack.errors import StoreError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MAX_TRUST_STORE_NBYTES
from seedpack.trust.model import SeenVersion
from seedpack.trust.policy import check_clock, check_rollback
from seedpack.trust.store import encode_trust_store, parse_trust_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seedpack.trust.model import TrustStore
    from seedpack.trust.policy import SeedFacts

_STORE_MODE: Final = 0o644  # not secret
# O_NOFOLLOW and O_NONBLOCK: whatever stands at the lock's name must not redirect or hang us
_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def load_trust_store(path: Path) -> TrustStore:
    """Read a trust store.

    Raises:
        StoreError: FIL-1, it cannot be read; TRU-1, what is in it.
        KeyFileError: KEY-3, KEY-4 or KEY-6, a key in it must not be used.
    """
    return parse_trust_store(read_small_file(path, limit=MAX_TRUST_STORE_NBYTES, rule="TRU-1"))


def save_trust_store(path: Path, store: TrustStore, *, overwrite: bool = False) -> None:
    """Write a trust store; to change one that is there, use ``update_trust_store``.

    Raises:
        StoreError: OUT-1 or OUT-2, it cannot be written; TRU-1, it would be too large.
    """
    text = encode_trust_store(store)
    mode = stat.S_IMODE(path.stat().st_mode) if overwrite and path.exists() else _STORE_MODE
    with atomic_output(path, mode=mode, overwrite=overwrite) as file:
        file.write(text)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from changing the trust store at ``path``; waits for its turn.

    Raises:
        StoreError: OUT-1, the lock file beside it cannot be made; OUT-2, it is no file.
    """
    lock = path.with_name(f"{path.name}.lock")
    try:
        fd = os.open(lock, _LOCK_FLAGS, _STORE_MODE)
    except OSError as error:
        raise StoreError(
            f"cannot lock: {error.strerror}",
            rule="OUT-1",
            where=str(lock),
            hint="make the folder of the trust store writable, or record nothing",
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise StoreError("not a regular file", rule="OUT-2", where=str(lock))
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)  # which unlocks


def update_trust_store(path: Path, change: Callable[[TrustStore], TrustStore]) -> TrustStore:
    """Replace the store at ``path`` by what ``change`` makes of it, and return that.

    Args:
        path: The file.
        change: Given the store as it is once nobody else can change it; raises to refuse.

    Raises:
        StoreError: FIL-1, OUT-1, OUT-2 or TRU-1.
    """
    with locked(path):
        before = load_trust_store(path)
        after = change(before)
        if after != before:
            save_trust_store(path, after, overwrite=True)
    return after


def record_seen(path: Path, facts: SeedFacts, now: int) -> TrustStore:
    """Remember that a seed was accepted, before anybody is told so.

    The store may have changed since it was judged by: another verifier may have accepted
    a higher version. So versions and clock are judged again, under the lock.

    Raises:
        Rollback: TRU-9 or TRU-10.
        PolicyRefused: TRU-12.
        StoreError: FIL-1, OUT-1, OUT-2 or TRU-1.
    """

    def change(store: TrustStore) -> TrustStore:
        check_clock(store, now)
        check_rollback(store, facts)
        return store.with_seen(facts.name, SeenVersion(facts.version, facts.seed_id), now)

    return update_trust_store(path, change)
