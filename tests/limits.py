"""Real limits of the operating system, for the length of a block."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

NOBODY = 65_534
# For processes that are killed or run out of disk: coverage would leave half a file behind.
UNMEASURED = {key: value for key, value in os.environ.items() if not key.startswith("COVERAGE_")}


@contextlib.contextmanager
def file_size_limit(nbytes: int) -> Iterator[None]:
    """Let no file grow beyond ``nbytes``: writes are cut there, then refused (EFBIG).

    Python ignores SIGXFSZ, so that the limit shows as an error like a full disk's.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (nbytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def plain_user() -> Iterator[None]:
    """Run as somebody whom permissions bind; root is bound by none."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@contextlib.contextmanager
def open_folder() -> Iterator[Path]:
    """Yield a new folder that every user can reach and that ``plain_user`` owns."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        try:
            yield folder
        finally:
            folder.chmod(0o755)


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """Make ``folder`` a file system of 64 KiB, or skip the test where that is not allowed."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no right to mount a small disk here; RLIMIT_FSIZE stands in for it")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)
