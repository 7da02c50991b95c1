"""What kept arms and results are told apart by: digests of contents, never paths (spec: AUD-3).

file │ folder ──digest of the contents, taken once per version──> stamp
name of something else ──> itself
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import file_digest, sha256
from pathlib import Path

import msgspec


def stamp(name: str) -> str:
    """Return what changes when the contents of the file or folder of that name do.

    A name that is none (the id of a data set) stands for itself.
    """
    path = Path(name)
    if not name or not path.exists():
        return name
    if path.is_file():
        return _digest_of(path, *_version(path))
    files = sorted(p for p in path.rglob("*") if p.is_file())
    parts = [(str(p.relative_to(path)), _digest_of(p, *_version(p))) for p in files]
    return sha256(msgspec.json.encode(parts)).hexdigest()


def stamp_factory(name: str) -> str:
    """Return what changes when the file does in which the factory of that name stands.

    A module that is imported by its name stands for itself.
    """
    home, separator, function = name.rpartition(":")
    return f"{stamp(home)}{separator}{function}"


def _version(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns


@lru_cache(maxsize=4096)
def _digest_of(path: Path, nbytes: int, changed_ns: int) -> str:
    del nbytes, changed_ns  # of the key: another version of the file is read again
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
