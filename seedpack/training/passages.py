"""Texts that a teacher reads aloud: one sentence or line each, the same for all students.

.txt              paragraphs --sentences--> texts
.tsv .csv .jsonl  the column of texts, as they are; labels are not looked at
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.errors import ExtractError
from seedpack.training.data import read_examples

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MIN_TEXTS: Final = 16  # EXT-42
_MAX_HELD_OUT: Final = 500
_HELD_OUT: Final = 0.05  # share of the texts that only measures
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+")


class Passages(NamedTuple):
    """Texts to learn from, and others that only measure."""

    train: list[str]
    held_out: list[str]
    names: str  # of the files, for recipe and claim


def read_passages(paths: Sequence[Path | str], *, seed: int) -> Passages:
    """Read all ``paths`` and set a part aside.

    Raises:
        ExtractError: EXT-42, fewer than 16 different texts.
        TrainingError: TRN-1 to TRN-4, TRN-7, no data or no texts.
    """
    texts: dict[str, None] = {}  # each once, in order: what is held out occurs in no other place
    for path in paths:
        for block in read_examples(path, ("lines",)).inputs:
            texts.update(dict.fromkeys(_divide(block)))
    everything = list(texts)
    names = ", ".join(str(path).rpartition("/")[2] for path in paths)
    if len(everything) < MIN_TEXTS:
        raise ExtractError(
            f"{len(everything)} texts to learn from, at least {MIN_TEXTS} are needed",
            rule="EXT-42",
            where=names or "training text",
            hint="give text of the kind that the model will read: thousands of sentences",
        )
    order = np.random.Generator(np.random.PCG64(seed)).permutation(len(everything)).tolist()
    nheld = min(max(round(_HELD_OUT * len(order)), 2), _MAX_HELD_OUT)
    held = set(order[:nheld])
    return Passages(
        [text for i, text in enumerate(everything) if i not in held],
        [everything[i] for i in sorted(held)],
        names,
    )


def _divide(block: str) -> list[str]:
    pieces = [part for line in block.split("\n") for part in _SENTENCE_END.split(line)]
    return [piece.strip() for piece in pieces if piece.strip()]
