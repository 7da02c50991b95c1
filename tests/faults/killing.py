"""Kills an operation at each step that touches the disk, and looks at what is left.

    prepare --> fork --> operate ... SIGKILL before or after the n-th call --> check
       ^                                                                         |
       +------------------ n + 1, until the operation runs to its end -----------+

Run in a process of its own, which has no threads when it forks:

    python -m tests.faults.killing NAME FOLDER     -> prints how often it killed
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

_CALLS: Final = (
    *("fchmod", "fsync", "ftruncate", "link", "mkdir", "open", "pwrite", "rename", "replace"),
    *("rmdir", "unlink", "write"),
)


class Operation:
    """Something that writes, and what must hold whenever it is killed."""

    def __init__(self, folder: Path) -> None:
        """Work in ``folder``, which is empty."""
        self.folder = folder

    def prepare(self) -> None:
        """Bring everything into its first state."""
        raise NotImplementedError

    def operate(self) -> None:
        """Do the work."""
        raise NotImplementedError

    def check(self, *, done: bool) -> None:
        """Look at what is there, after a kill or after the end of the work."""
        raise NotImplementedError

    def leftovers(self) -> list[Path]:
        """Return temporary files and folders that a killed process could not remove."""
        hidden = (path for path in self.folder.iterdir() if path.name.startswith("."))
        return [path for path in hidden if path.name.endswith(".tmp")]


def kill_everywhere(operation: Operation) -> int:
    """Kill ``operation`` at each of its steps; return how many there are."""
    for step in itertools.count(1):
        operation.prepare()
        pid = os.fork()
        if not pid:
            _work_and_exit(operation, step)
        status = os.waitpid(pid, 0)[1]
        if os.WIFSIGNALED(status):
            assert os.WTERMSIG(status) == signal.SIGKILL
            operation.check(done=False)
            continue
        assert os.WEXITSTATUS(status) == 0
        operation.check(done=True)
        assert operation.leftovers() == []
        return step - 1
    raise AssertionError("unreachable")


def _work_and_exit(operation: Operation, step: int) -> None:
    status = 1
    try:
        _die_at(step)
        operation.operate()
        status = 0
    except BaseException:  # noqa: BLE001 -- this process ends here, whatever it was
        traceback.print_exc()
    finally:
        os._exit(status)


def _die_at(step: int) -> None:
    """Count every call that writes, before it and after it, and die at the ``step``-th."""
    counter = itertools.count(1)

    def tick() -> None:
        if next(counter) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in _CALLS:
        setattr(os, name, _ticking(getattr(os, name), tick))
    fdopen = os.fdopen
    os.fdopen = lambda *args, **options: _TickingFile(fdopen(*args, **options), tick)


def _ticking(call: Callable[..., object], tick: Callable[[], None]) -> Callable[..., object]:
    def ticked(*args: object, **options: object) -> object:
        is_read = call is _REAL_OPEN and not args[1] & (os.O_CREAT | os.O_WRONLY | os.O_RDWR)
        if is_read:
            return call(*args, **options)
        tick()
        result = call(*args, **options)
        tick()
        return result

    return ticked


_REAL_OPEN: Final = os.open


class _TickingFile:
    """A file whose every write can be cut in the middle."""

    def __init__(self, file: BinaryIO, tick: Callable[[], None]) -> None:
        self._file = file
        self._tick = tick

    def write(self, data: bytes) -> int:
        half = len(data) // 2
        self._tick()
        for piece in (data[:half], data[half:]):
            self._file.write(piece)
            self._file.flush()
            self._tick()
        return len(data)

    def __getattr__(self, name: str) -> object:
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def main() -> None:
    """Kill the operation that the command line names."""
    from tests.faults.operations import OPERATIONS

    name, folder = sys.argv[1:]
    sys.stdout.write(f"{kill_everywhere(OPERATIONS[name](Path(folder)))}\n")


if __name__ == "__main__":
    main()
