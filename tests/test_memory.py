"""Freed memory stays at hand where the C library can be told so, and nowhere else."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

ON_GLIBC = sys.platform == "linux" and platform.libc_ver()[0] == "glibc"
PROGRAM = """
import resource, sys
from seedpack.memory import keep_freed_memory

if sys.argv[1] == "kept":
    print(keep_freed_memory())
def touch():
    return len(bytearray(b"x") * (16 * 2**20))

touch()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    touch()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _run(how: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


@pytest.mark.skipif(not ON_GLIBC, reason="another C library")
def test_arrays_made_again_and_again_touch_no_fresh_pages() -> None:
    said, faults = _run("kept")
    assert said == "True"
    # How many there are as usual depends on the size of pages; kept, none but by accident.
    assert int(faults) < int(*_run("usual")) / 10


@pytest.mark.skipif(ON_GLIBC, reason="the C library that can be told so")
def test_another_c_library_is_left_alone() -> None:
    assert _run("kept")[0] == "False"
