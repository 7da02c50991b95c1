"""The words of streams that are decoded side by side.

states of all lanes --below 2^16--> low lanes --next words of each lane's stream--> lifted
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.rans.layouts import LOWEST_STATE, WORD_BITS

if TYPE_CHECKING:
    from collections.abc import Sequence

# As arrays: numpy would convert a Python integer anew in each of a million calls.
_LOWEST_STATE: Final = np.array(LOWEST_STATE)
_WORD: Final = np.array(WORD_BITS)
_NO_WORD: Final = np.zeros(1, "<u2")  # where there is none at all, there is something to take


class Words(ABC):
    """Words of streams, and how many of each are taken."""

    def __init__(self, words: np.ndarray, nlanes: int) -> None:
        """Take all words (w,) uint16, w >= 1; ``nlanes`` of all streams."""
        self._words = words
        self._is_low = np.empty(nlanes, np.bool_)

    def lift(self, states: np.ndarray) -> None:
        """Give a word to each state (nlanes,) below 2^16, in place.

        Where a stream has no more, it is any word: states stay below 2^32 all the same.
        """
        np.less(states, _LOWEST_STATE, self._is_low)
        (low,) = self._is_low.nonzero()
        wide = states.take(low)
        np.left_shift(wide, _WORD, wide)
        states[low] = np.bitwise_or(wide, self._next(low).astype(np.int64), wide)

    @abstractmethod
    def _next(self, low: np.ndarray) -> np.ndarray:
        """Return a word (n,) for each of the lanes ``low`` (n,), which is then taken."""

    @abstractmethod
    def skip(self, taken: Sequence[int]) -> None:
        """Take so many words of each stream, unseen."""

    @abstractmethod
    def taken(self) -> list[int]:
        """Return how many words of each stream are taken: more than it has where they ran out."""


class WordsOfOne(Words):
    """Words of one stream: those of a row stand side by side."""

    def __init__(self, words: np.ndarray, nlanes: int) -> None:
        """Take the words (w,) of a stream of so many lanes."""
        super().__init__(words if words.size else _NO_WORD, nlanes)
        self._taken = 0

    def _next(self, low: np.ndarray) -> np.ndarray:
        start, self._taken = self._taken, self._taken + low.size
        if self._taken <= self._words.size:
            return self._words[start : self._taken]
        return self._words.take(np.arange(start, self._taken), mode="clip")

    def skip(self, taken: Sequence[int]) -> None:
        """See Words."""
        self._taken += taken[0]

    def taken(self) -> list[int]:
        """See Words."""
        return [self._taken]


class WordsOfMany(Words):
    """Words of several streams."""

    def __init__(self, words: Sequence[np.ndarray], lanes: int) -> None:
        """Take the words (w,) of each stream; each has so many lanes."""
        nlanes = len(words) * lanes
        super().__init__(np.concatenate([*words, _NO_WORD]), nlanes)
        sizes = np.array([each.size for each in words])
        self._starts = np.cumsum(sizes) - sizes
        self._nexts = self._starts.copy()
        self._bounds = np.arange(len(words) + 1) * lanes
        self._numbers = np.arange(nlanes)

    def _next(self, low: np.ndarray) -> np.ndarray:
        before = low.searchsorted(self._bounds)  # (streams + 1,), low lanes before each stream's
        firsts = before[:-1]
        counts = np.subtract(before[1:], firsts)
        places = np.subtract(self._nexts, firsts).repeat(counts)
        np.add(places, self._numbers[: low.size], places)
        np.add(self._nexts, counts, self._nexts)
        words: np.ndarray = self._words.take(places, mode="clip")
        return words

    def skip(self, taken: Sequence[int]) -> None:
        """See Words."""
        self._nexts += taken

    def taken(self) -> list[int]:
        """See Words."""
        return [int(n) for n in self._nexts - self._starts]


def join_words(words: Sequence[np.ndarray], lanes: int) -> Words:
    """Return the words (w,) of streams of so many lanes each."""
    return WordsOfOne(words[0], lanes) if len(words) == 1 else WordsOfMany(words, lanes)
