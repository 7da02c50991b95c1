"""Finished results on disk, from which an interrupted run goes on (spec: AUD-8, AUD-9).

AuditResult ──written whole──> results/NAME-KEY.json ──bounded, checked against itself──> the same

The key is a digest of everything that a result depends on, contents and not paths. Nothing signs
what is kept: it is believed because nobody else can have written it.
"""

from __future__ import annotations

import os
import stat
from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.gates import is_consistent
from seedpack.audits.results import AuditResult
from seedpack.audits.stamps import stamp, stamp_factory
from seedpack.errors import AuditError, SeedError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MAX_REPORT_NBYTES

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.audits.base import Spec
    from seedpack.audits.profiles import Profile

_ROOT: Final = 0  # user id; who has it can change everything anyway
_PARTS: Final = ("", "arms", "results")


def prepare_folder(folder: Path) -> None:
    """Make ``folder`` if it is not there; refuse one into which others can put results.

    Raises:
        AuditError: AUD-9.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for part in _PARTS:
        path = folder / part
        if not os.path.lexists(path):
            continue
        found = path.stat()
        if found.st_uid in {os.geteuid(), _ROOT} and not found.st_mode & stat.S_IWOTH:
            continue
        raise AuditError(
            "others can write here, and what is kept here is believed",
            rule="AUD-9",
            where=str(path),
            hint="give --cache a folder of your own that nobody else can write",
        )


def result_path(folder: Path, spec: Spec, profile: Profile, name: str) -> Path:
    """Return where the result of one audit is kept."""
    from seedpack import __version__  # noqa: PLC0415 -- the facade; only its number

    # Paths by their contents: that of a model which was just assembled is another each time.
    names = ("model", "final", "base", "train", "evaluation", "original", "reference")
    what = msgspec.structs.replace(
        spec,
        seed="",
        factory=stamp_factory(spec.factory),
        shifts=tuple(stamp(path) for path in spec.shifts),
        **{name: stamp(getattr(spec, name)) for name in names},
    )
    key = msgspec.json.encode([__version__, what, profile, name])
    return folder / "results" / f"{name}-{sha256(key).hexdigest()[:32]}.json"


def check_writable(result: AuditResult) -> bytes:
    """Return ``result`` as JSON.

    Raises:
        AuditError: AUD-7, it holds what JSON cannot, such as NaN.
    """
    data = msgspec.json.encode(result)
    try:
        is_same = msgspec.json.decode(data, type=AuditResult) == result
    except msgspec.DecodeError:
        is_same = False
    if not is_same:
        raise AuditError(
            "a figure of it is no number, so that it decides nothing",
            rule="AUD-7",
            where=result.audit,
        )
    return data


def save_result(path: Path, result: AuditResult) -> None:
    """Keep ``result``, whole or not at all.

    Raises:
        AuditError: AUD-7.
        StoreError: OUT.
    """
    data = check_writable(result)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_output(path, overwrite=True) as file:
        file.write(data)


def load_result(path: Path, audit: str) -> AuditResult | None:
    """Return what is kept; None where that is nothing, or no result of ``audit`` (AUD-9)."""
    try:
        data = read_small_file(path, limit=MAX_REPORT_NBYTES, rule="AUD-9")
        result = msgspec.json.decode(data, type=AuditResult)
    except (SeedError, OSError, msgspec.DecodeError):
        return None  # not there, or not whole: done anew
    return result if result.audit == audit and is_consistent(result) else None
