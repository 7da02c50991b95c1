"""Input that cannot surprise, and output that appears whole or not at all (spec: FIL, OUT).

path --open once, regular file only--> InputFile --pread--> bytes, again and again
bytes --> temporary file in the same folder --fsync--> rename --> fsync of the folder
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Self

from seedpack.errors import IntegrityError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import BinaryIO

# O_NOFOLLOW: FIL-1; O_NONBLOCK: opening a FIFO must not wait for a writer.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class InputFile:
    """One open descriptor of a regular file, read by position from any thread.

    Attributes:
        path: As given, for messages only.
        nbytes: Size when it was opened.
    """

    def __init__(self, path: Path) -> None:
        """Open ``path``.

        Raises:
            StoreError: FIL-1, absent, unreadable, a symbolic link, or not a regular file.
        """
        self.path = path
        try:
            self._fd = os.open(path, _READ_FLAGS)
        except OSError as error:
            raise _unreadable(path, error) from error
        status = os.fstat(self._fd)
        if not stat.S_ISREG(status.st_mode):
            os.close(self._fd)
            raise StoreError(
                "not a regular file",
                rule="FIL-1",
                where=str(path),
                hint="copy the content into a file and pass that",
            )
        self.nbytes = status.st_size
        self._stamp = (status.st_size, status.st_mtime_ns)

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return exactly ``nbytes`` bytes from ``offset``; the caller has bounded the size.

        Raises:
            IntegrityError: FIL-2, the file ends before that.
        """
        buffer = bytearray(nbytes)
        self.read_into(offset, memoryview(buffer))
        return bytes(buffer)

    def read_into(self, offset: int, buffer: memoryview) -> None:
        """Fill ``buffer`` from ``offset``, through short reads.

        Raises:
            IntegrityError: FIL-2, the file ends before that.
            StoreError: FIL-2, the device fails.
        """
        done = 0
        while done < len(buffer):
            try:
                count = os.preadv(self._fd, [buffer[done:]], offset + done)
            except OSError as error:
                raise StoreError(
                    f"read failed: {error.strerror}", rule="FIL-2", where=str(self.path)
                ) from error
            if not count:
                raise IntegrityError(
                    "file ends too early",
                    rule="FIL-2",
                    where=f"byte {offset + done}",
                    hint="the file was cut or changed while it was read; fetch it again",
                )
            done += count

    def lock(self) -> None:
        """Keep other writers of seedpack away until the file is closed.

        Raises:
            StoreError: OUT-3, another program holds the lock or replaced the file.
        """
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            same = os.path.samestat(os.fstat(self._fd), self.path.lstat())
        except BlockingIOError:
            same = False
        except OSError as error:
            raise _unwritable(self.path, error) from error
        if not same:
            raise StoreError(
                "another program is writing this file",
                rule="OUT-3",
                where=str(self.path),
                hint="try again when it has finished",
            )

    def check_unchanged(self) -> None:
        """Refuse a file that was changed since it was opened.

        Raises:
            IntegrityError: FIL-2.
        """
        status = os.fstat(self._fd)
        if (status.st_size, status.st_mtime_ns) != self._stamp:
            raise IntegrityError(
                "file changed while it was read",
                rule="FIL-2",
                where=str(self.path),
                hint="make sure that nothing writes to it, then try again",
            )

    def close(self) -> None:
        """Close the descriptor; a second time does nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the descriptor."""
        self.close()


def _unreadable(path: Path, error: OSError) -> StoreError:
    if path.is_symlink():
        hint = f"pass the file that it points to: {os.path.realpath(path)}"
        return StoreError("is a symbolic link", rule="FIL-1", where=str(path), hint=hint)
    return StoreError(f"cannot open: {error.strerror}", rule="FIL-1", where=str(path))


def read_small_file(path: Path, *, limit: int, rule: str) -> bytes:
    """Return the whole of a regular file of at most ``limit`` bytes.

    Raises:
        StoreError: FIL-1 as for any input; ``rule`` where the file is larger.
    """
    with InputFile(path) as file:
        if file.nbytes > limit:
            raise StoreError(
                f"{file.nbytes} bytes, at most {limit} are allowed", rule=rule, where=str(path)
            )
        return file.read(0, file.nbytes)


@contextlib.contextmanager
def atomic_output(path: Path, *, mode: int = 0o644, overwrite: bool = False) -> Iterator[BinaryIO]:
    """Yield a seekable binary file that becomes ``path`` when the block ends without error.

    Raises:
        StoreError: OUT-1, the disk refused; OUT-2, ``path`` may not be written.
    """
    _check_destination(path, overwrite=overwrite)
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
    try:
        fd = os.open(temporary, _CREATE_FLAGS, 0o600)
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        try:
            with os.fdopen(fd, "w+b") as file:
                yield file
                file.flush()
                os.fchmod(fd, mode)
                os.fsync(fd)
            _publish(temporary, path, overwrite=overwrite)
        finally:
            temporary.unlink(missing_ok=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


@contextlib.contextmanager
def atomic_directory(path: Path) -> Iterator[Path]:
    """Yield a new folder that becomes ``path`` when the block ends without error.

    Raises:
        StoreError: OUT-1, the disk refused; OUT-2, ``path`` exists.
    """
    if os.path.lexists(path):
        raise _exists(path, hint="remove it or choose another name")
    temporary = path.with_name(f".{path.name[:200]}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir()
    except OSError as error:
        raise _unwritable(path, error) from error
    try:
        try:
            yield temporary
            _sync_tree(temporary)
            temporary.rename(path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        sync_folder(path.parent)
    except OSError as error:
        raise _unwritable(path, error) from error


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
        raise _unwritable(path, error) from error
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


def _exists(path: Path, *, hint: str) -> StoreError:
    return StoreError("already exists", rule="OUT-2", where=str(path), hint=hint)


def _unwritable(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write: {error.strerror}",
        rule="OUT-1",
        where=str(path),
        hint="nothing was written; check space and permissions of the folder",
    )
