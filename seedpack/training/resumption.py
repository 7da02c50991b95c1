"""What a long piece of work leaves behind, so that it can go on where it was stopped.

    FOLDER/progress.json                 what was read, and the SHA-256 of each of
    FOLDER/teacher.safetensors           what the teacher said to it
    FOLDER/student-<digest>.safetensors  a student of it, one among others

Work that goes on gives the same bits as work that was never stopped.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from safetensors import SafetensorError
from safetensors.numpy import load, save

from seedpack.errors import ExtractError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np

_INDEX: Final = "progress.json"


class Progress:
    """The stages that are done; without a folder, nothing is kept."""

    def __init__(self, folder: Path | None, reading: str, learning: str) -> None:
        """Look at what ``folder`` holds, which may not be there yet.

        Args:
            folder: Where stages are kept.
            reading: Digest of teacher and texts.
            learning: Digest of these, the student, its size and how it learns.

        Raises:
            ExtractError: EXT-47, it holds other work, or what is no checkpoint.
        """
        self._folder = folder
        self._reading = reading
        self.student = f"student-{learning[:16]}"  # the stage of this student
        self._stages: dict[str, str] = {}
        if folder is None:
            return
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / _INDEX).exists():
            self._stages = self._read_index(folder / _INDEX)

    def load(self, stage: str) -> dict[str, np.ndarray] | None:
        """Return the arrays of ``stage``, None where it is not done.

        Raises:
            ExtractError: EXT-47, the file is not the one that was written.
        """
        if self._folder is None or stage not in self._stages:
            return None
        path = self._folder / f"{stage}.safetensors"
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != self._stages[stage]:
                raise _unusable("damaged", path)
            return dict(load(data))
        except (OSError, SafetensorError) as error:
            raise _unusable(str(error)[:200], path) from error

    def save(self, stage: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep ``arrays``, in place of what ``stage`` had before."""
        if self._folder is None:
            return
        data = save(dict(arrays))
        self._stages[stage] = hashlib.sha256(data).hexdigest()
        index = {"reading": self._reading, "stages": self._stages}
        # A stop between the two leaves a file that the index does not vouch for: refused, not used.
        for name, content in (
            (f"{stage}.safetensors", data),
            (_INDEX, json.dumps(index, indent=2, sort_keys=True).encode()),
        ):
            with atomic_output(self._folder / name, overwrite=True) as file:
                file.write(content)

    def _read_index(self, path: Path) -> dict[str, str]:
        try:
            content = read_small_file(path, limit=MIB, rule="EXT-47")
            index: Any = json.loads(content)
            reading, stages = index["reading"], dict(index["stages"])
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise _unusable("not a checkpoint", path) from error
        if reading != self._reading:
            raise _unusable("of another teacher, or of other texts", path)
        return stages


def _unusable(message: str, path: Path) -> ExtractError:
    return ExtractError(
        f"checkpoint {message}",
        rule="EXT-47",
        where=str(path),
        hint="give an empty folder, or the one of the same work",
    )
