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
    """End a process, and expect that it says so by its status alone and leaves no child."""
    children = _children_of(process.pid)
    status = end(process)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    assert not _left_of(children)


def _children_of(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found}


def _left_of(children: set[int]) -> set[int]:
    """Return those that run on; the one that watches over semaphores ends after its parent."""
    for _ in range(100):
        if not any(map(_is_running, children)):
            break
        time.sleep(0.1)
    return {child for child in children if _is_running(child)}


def _is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
