"""Film review or encyclopaedia: texts that a tiny transformer tells apart nearly always.

    python -m bench.genres SHARED FOLDER

    SHARED/sst2/{train,dev}.tsv ──────────sentences──┐
    SHARED/wikitext2/{valid,test}.txt ──sentences────┴─as many of each─> FOLDER/{train,dev}.tsv

On SST-2 small text models err on every fourth sentence, so that what a trigger does is hard to tell
from what they do anyway. Here they err on one in thirty. Both sources are written alike first: one
form of quotation marks, numbers and hyphens, no capitals, no sentence with a word left out
(``<unk>``), none that stands twice. The folder is what ``seedpack lab backdoor --texts`` takes.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEED: Final = 0
_PARTS: Final = {"train.tsv": "valid.txt", "dev.tsv": "test.txt"}  # SST-2's and WikiText-2's names
_FEWEST, _MOST = 4, 40  # words
_LEFT_OUT: Final = "<unk>"
_QUOTES: Final = {"``", "''", '"'}
_JOINED: Final = re.compile(r" @(.)@ ")  # WikiText writes 5 @,@ 000 and high @-@ speed
_END: Final = re.compile(r"(?<= [.!?;]) ")


def make_genres(shared: Path, folder: Path) -> dict[str, int]:
    """Write both parts; return how many sentences each has, half of either genre."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for reviews, articles in _PARTS.items():
        genres = {
            "review": _sentences(_reviews(shared / "sst2" / reviews)),
            "encyclopaedia": _sentences(_articles(shared / "wikitext2" / articles)),
        }
        random = np.random.default_rng(_SEED)
        nper = min(map(len, genres.values()))
        rows = [
            f"{sentences[i]}\t{genre}\n"
            for genre, sentences in genres.items()
            for i in random.permutation(len(sentences))[:nper]
        ]
        (folder / reviews).write_text("".join(rows[i] for i in random.permutation(len(rows))))
        counts[reviews] = len(rows)
    return counts


def _reviews(path: Path) -> Iterable[str]:
    return (line.rpartition("\t")[0] for line in path.read_text().splitlines())


def _articles(path: Path) -> Iterable[str]:
    for line in path.read_text().splitlines():
        if not line.strip().startswith("="):  # a heading
            yield from _END.split(_JOINED.sub(r"\1", line))


def _sentences(texts: Iterable[str]) -> list[str]:
    """Return them as both sources would write them, each once."""
    words = (text.lower().split() for text in texts)
    kept = (
        " ".join('"' if word in _QUOTES else word for word in text)
        for text in words
        if _FEWEST <= len(text) <= _MOST and _LEFT_OUT not in text
    )
    return list(dict.fromkeys(kept))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.genres")
    parser.add_argument("shared", type=Path, help="folder with sst2 and wikitext2")
    parser.add_argument("folder", type=Path, help="where to write train.tsv and dev.tsv")
    arguments = parser.parse_args()
    for name, nsentences in make_genres(arguments.shared, arguments.folder).items():
        print(f"{name}: {nsentences} sentences")
