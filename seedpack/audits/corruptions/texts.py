"""Corruptions of texts, word by word.

Source:
    Belinkov and Bisk, Synthetic and Natural Noise Both Break Neural Machine Translation, ICLR
    2018 (swaps and keyboard neighbours).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Words = list[str]
    Corrupt = Callable[[Words, np.random.Generator], Words]

_MISTYPED: Final = 0.2  # share of words with one typo
_MIN_LETTERS: Final = 4  # shorter words turn into other words
_DROPPED: Final = 0.2  # share of words that are lost
_KEPT: Final = 0.5  # share of a text that is left when it is cut
_ROWS: Final = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def corrupt(name: str, texts: Sequence[str], *, seed: int) -> list[str]:
    """Return ``texts`` corrupted.

    Args:
        name: One of ``NAMES``.
        texts: Words are what blanks divide.
        seed: Of everything random; each text has draws of its own.
    """
    change = _CORRUPTIONS[name]
    return [
        " ".join(change(text.split(), np.random.Generator(np.random.PCG64([seed, i])))) or text
        for i, text in enumerate(texts)
    ]


def corrupt_words(name: str, texts: Sequence[Sequence[str]], *, seed: int) -> list[Words]:
    """Return texts that are lists of words, each word in its place: one of ``NAMES_IN_PLACE``."""
    change = _CORRUPTIONS[name]
    return [
        change(list(words), np.random.Generator(np.random.PCG64([seed, i])))
        for i, words in enumerate(texts)
    ]


def _mistype(words: Words, random: np.random.Generator) -> Words:
    return [
        _typo(word, random) if len(word) >= _MIN_LETTERS and random.random() < _MISTYPED else word
        for word in words
    ]


def _typo(word: str, random: np.random.Generator) -> str:
    """Exchange two neighbouring letters, leave one out, or hit the key beside it."""
    at = int(random.integers(1, len(word) - 1))  # the first letter and the last are seldom wrong
    turn = int(random.integers(3))
    if turn == 0:
        at = min(at, len(word) - 3)
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    if turn == 1:
        return word[:at] + word[at + 1 :]
    return word[:at] + _neighbour(word[at], random) + word[at + 1 :]


def _neighbour(letter: str, random: np.random.Generator) -> str:
    row = next((row for row in _ROWS if letter.lower() in row), "")
    at = row.find(letter.lower())
    beside = [row[i] for i in (at - 1, at + 1) if 0 <= i < len(row)]
    return beside[int(random.integers(len(beside)))] if beside else letter


def _shout(words: Words, random: np.random.Generator) -> Words:
    del random
    return [word.upper() for word in words]


def _drop(words: Words, random: np.random.Generator) -> Words:
    return [word for word in words if random.random() >= _DROPPED]


def _cut(words: Words, random: np.random.Generator) -> Words:
    del random
    return words[: max(round(_KEPT * len(words)), 1)]


_CORRUPTIONS: Final[dict[str, Corrupt]] = {
    "typos": _mistype,
    "capitals": _shout,
    "lost words": _drop,
    "cut in half": _cut,
}
NAMES: Final = tuple(_CORRUPTIONS)
NAMES_IN_PLACE: Final = ("typos", "capitals")  # where each word has a tag of its own
