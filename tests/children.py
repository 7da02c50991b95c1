"""Processes that a process started: which they are, and how the first one is ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

NEEDS_PROC = pytest.mark.skipif(
    not Path("/proc/self").exists(), reason="looks for processes in /proc"
)


def to_all(process: subprocess.Popen[str]) -> int:
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    return 130


def to_the_first(process: subprocess.Popen[str]) -> int:
    process.kill()  # as where memory runs out
    return -signal.SIGKILL


ENDS = pytest.mark.parametrize("end", [to_all, to_the_first])


def check_end(process: subprocess.Popen[str], end: Callable[[subprocess.Popen[str]], int]) -> None:
    """End a process, and expect that it says so by its status alone and leaves none it started."""
    started = _started_by(process.pid)
    status = end(process)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    assert not _left_of(started)


def _started_by(pid: int) -> set[int]:
    """Return its children and theirs, whichever thread started them."""
    lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    children = {int(child) for text in lists for child in text.split()}
    return children.union(*map(_started_by, children))


def _left_of(started: set[int]) -> set[int]:
    """Return those that run on; the one that watches over semaphores ends after its parent."""
    for _ in range(100):
        if not any(map(_is_running, started)):
            break
        time.sleep(0.1)
    return {pid for pid in started if _is_running(pid)}


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
