"""Regular files, opened once and read by position (spec: FIL; OUT-3 for signing in place)."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Self

from seedpack.errors import IntegrityError, StoreError
from seedpack.files.outputs import unwritable

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

# O_NOFOLLOW: FIL-1; O_NONBLOCK: opening a FIFO must not wait for a writer.
_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_WRITE_FLAGS = os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


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
            raise unwritable(self.path, error) from error
        if not same:
            raise self._contended()

    def overwrite(self, offset: int, data: bytes) -> None:
        """Write ``data`` over what stands at ``offset``, by one call; durable on return.

        Raises:
            StoreError: OUT-1, the disk refused, and the file is as before; OUT-3, the
                path leads to another file by now.
        """
        before = self.read(offset, len(data))
        try:
            fd = os.open(self.path, _WRITE_FLAGS)
            try:
                if not os.path.samestat(os.fstat(fd), os.fstat(self._fd)):
                    raise self._contended()
                written = os.pwrite(fd, data, offset)
                if written < len(data):
                    os.pwrite(fd, before[:written], offset)
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as error:
            raise unwritable(self.path, error) from error

    def _contended(self) -> StoreError:
        return StoreError(
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
