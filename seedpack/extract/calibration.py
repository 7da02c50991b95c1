"""Text that a model is run on while its seed is made (spec: EXT-61).

FILE.txt   a text per line        FILE.tsv   the first column; a second one is not looked at
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.errors import ExtractError
from seedpack.files import read_small_file

if TYPE_CHECKING:
    from pathlib import Path

MIN_TEXTS: Final = 20  # different ones; below, nothing is left to hold out
_MAX_NBYTES: Final = 64 * limits.MIB


def read_texts(path: Path) -> list[str]:
    """Return the texts of a calibration file, without empty ones.

    Raises:
        ExtractError: EXT-61, no UTF-8 text, or too few.
        StoreError: FIL-1, it cannot be read; EXT-61, it is too large.
    """
    content = read_small_file(path, limit=_MAX_NBYTES, rule="EXT-61")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ExtractError("is not UTF-8 text", rule="EXT-61", where=str(path)) from error
    if path.suffix == ".tsv":
        lines = [line.split("\t")[0] for line in lines]
    texts = [text for line in lines if (text := line.strip())]
    if len(set(texts)) < MIN_TEXTS:
        raise ExtractError(
            f"{len(set(texts))} different texts, at least {MIN_TEXTS} are needed",
            rule="EXT-61",
            where=str(path),
            hint="one text per line; some hundred of the kind that the model will read",
        )
    return texts
