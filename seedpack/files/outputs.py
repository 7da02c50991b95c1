"""Files and folders that take their name only when they are complete (spec: OUT-1, OUT-2)."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from seedpack.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS})  # what link() says there
_TAKEN = frozenset({errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR})  # what rename() says


@contextlib.contextmanager
def atomic_output(
    path: Path, *, mode: int | None = None, overwrite: bool = False
) -> Iterator[BinaryIO]:
    """Yield a seekable binary file that becomes ``path`` when the block ends without error.

    Args:
        path: Where it will stand.
        mode: Exact permissions; default: what the user's umask gives.
        overwrite: Replace a regular file that is there.

    Raises:
        StoreError: OUT-1, the disk refused; OUT-2, ``path`` may not be written.
    """
    _check_destination(path, overwrite=overwrite)
    temporary = _temporary(path)
    try:
        fd = os.open(temporary, _CREATE_FLAGS, 0o666 if mode is None else 0o600)
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        try:
            with os.fdopen(fd, "w+b") as file:
                yield file
                file.flush()
                if mode is not None:
                    os.fchmod(fd, mode)
                os.fsync(fd)
            _publish(temporary, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new folder that becomes ``path`` when the block ends without error.

    Raises:
        StoreError: OUT-1, the disk refused; OUT-2, ``path`` exists.
    """
    if os.path.lexists(path):
        raise _exists(path, hint="remove it or choose another name")
    temporary = _temporary(path)
    try:
        temporary.mkdir()
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        try:
            yield temporary
            _sync_tree(temporary)
            _publish_folder(temporary, path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _sync_tree(folder: Path) -> None:
    for root, _, names in os.walk(folder):
        for name in names:
            with Path(root, name).open("rb") as file:
                os.fsync(file.fileno())
        sync_folder(Path(root))


def _check_destination(path: Path, *, overwrite: bool) -> None:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise _exists(path, hint="seedpack writes regular files only, never through a link")
    if not overwrite:
        raise _exists(path, hint="remove it, choose another name, or pass --force")


def _publish(temporary: Path, path: Path, *, overwrite: bool) -> None:
    if overwrite:
        temporary.replace(path)
        return
    # link() refuses an existing name, which rename() would replace: of two writers one loses.
    try:
        os.link(temporary, path)
    except FileExistsError as error:
        raise _exists(path, hint="another program wrote it meanwhile") from error
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The best that FAT and its like offer: two writers at once are told apart by luck there.
        _check_destination(path, overwrite=False)
        temporary.rename(path)


def _publish_folder(temporary: Path, path: Path) -> None:
    # rename() replaces an empty folder only: of two writers one loses.
    try:
        temporary.rename(path)
    except OSError as error:
        if error.errno in _TAKEN:
            raise _exists(path, hint="another program wrote it meanwhile") from error
        raise


def _temporary(path: Path) -> Path:
    # 50 characters of at most 4 bytes: the name fits into 255 bytes wherever path's own does.
    # urandom itself, because importing `secrets` takes a fifteenth of the start-up of `verify`.
    return path.with_name(f".{path.name[:50]}.{os.urandom(6).hex()}.tmp")


def _exists(path: Path, *, hint: str) -> StoreError:
    return StoreError("already exists", rule="OUT-2", where=str(path), hint=hint)


def unwritable(path: Path, error: OSError) -> StoreError:
    """Return the refusal that stands for ``error``."""
    return StoreError(
        f"cannot write: {error.strerror}",
        rule="OUT-1",
        where=str(path),
        hint="check space and permissions of the folder; a file that stands there is whole",
    )
