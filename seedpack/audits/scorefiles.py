"""Scores of arms on disk: arrays alone, in bounded size, never pickled (spec: AUD-3, AUD-9).

[Score] ──one array of rows and one of levels each──> KEY.npz ──> the same, or None
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.errors import SeedError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MIB
from seedpack.training.scores import Score

if TYPE_CHECKING:
    from pathlib import Path

_MAX_SCORES_NBYTES: Final = 256 * MIB  # of one arm: 32 bytes an example, in a few metrics


def save_scores(path: Path, scores: list[Score]) -> None:
    """Keep ``scores``, whole or not at all."""
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {}
    for number, score in enumerate(scores):
        arrays[f"{number}.{score.metric}"] = score.stats
        arrays[f"{number}.levels"] = np.array([score.chance, score.majority])
    np.savez(buffer, **arrays)
    with atomic_output(path, overwrite=True) as file:
        file.write(buffer.getvalue())


def load_scores(path: Path) -> list[Score] | None:
    """Return kept scores; None where there are none, or what is there is none (AUD-9)."""
    try:
        data = read_small_file(path, limit=_MAX_SCORES_NBYTES, rule="AUD-9")
        with zipfile.ZipFile(io.BytesIO(data)) as parts:
            if sum(part.file_size for part in parts.infolist()) > _MAX_SCORES_NBYTES:
                return None
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            scores = _scores_of(arrays)
        values = [score.value for score in scores]  # refuses what is no score of that metric
    except (SeedError, OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile):
        return None
    return scores if values else None


def _scores_of(arrays: Any) -> list[Score]:  # noqa: ANN401 -- numpy's own
    names = [name for name in arrays.files if not name.endswith(".levels")]
    return [
        Score(
            name.partition(".")[2],
            arrays[name],
            *(float(level) for level in arrays[f"{name.partition('.')[0]}.levels"]),
        )
        for name in names
    ]
