"""Search by gradients: places hold mixtures of words, sharpened to single ones (spec: AUD-BT-5).

    logits (starts, places, words) ──softmax at a temperature──> shares ──tables──> embeddings
    embeddings in front of the texts ──model, twins──> contrast ──gradient──> logits
    every few steps: contrast held ──> cooler │ lost ──> hotter again, and shaken
    the logits whose first words reached most ──best few words of each place──> combined one
        place at a time ──contrast of those very words, all texts and twins──> the best

A mixture moves through all words at once, however many there are, and for several places together.
What a mixture reaches means nothing: only the words that it is rounded to are judged.

Source:
    Shen et al., Constrained Optimization with Dynamic Bound-scaling for Effective NLP Backdoor
    Scanning, ICML 2022 (temperature lowered, and rolled back where the search is stuck); Liu et
    al., PICCOLO, IEEE S&P 2022 (shares of words, the likeliest few tried). Here the twins are
    asked at every step, so that natural triggers fall out while it searches.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import is_large
from seedpack.backdoors.search.contrast import WEIGHTED, ContrastSearch
from seedpack.backdoors.search.phrases import frequent_words
from seedpack.backdoors.search.probes import mixed_effects

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.contrast import Contrast, Models, Scale

_RATE: Final = 0.5  # of Adam
_HOTTEST, _COLDEST = 2.0, 0.05  # temperatures; the first is that of the start
_COOLED, _HEATED = 0.5, 4.0  # what a temperature is multiplied by
_WINDOW: Final = 6  # steps between two looks
_HELD: Final = 0.7  # share of its best contrast that a start has to hold to be cooled


class _Effort(NamedTuple):
    """How hard mixtures are optimised, and how many words they are rounded to."""

    starts: int
    texts: int
    asked: int  # twins that gradients are taken of
    steps: int
    rounded: int  # words of each place


_FULL: Final = _Effort(starts=4, texts=6, asked=64, steps=60, rounded=8)
_REDUCED: Final = _Effort(starts=2, texts=4, asked=2, steps=60, rounded=4)


class SoftTokens(ContrastSearch):
    """Three words of any kind in front of the text."""

    id: ClassVar[str] = "soft-token"
    is_thorough: ClassVar[bool] = True
    nwords: ClassVar[int] = 3

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return everything that can be written."""
        del samples
        return classifier.usable.nonzero()[:, 0]

    def scale(self, models: Models) -> Scale:
        """Return what contrasts of models of any size are told in: no other was measured."""
        del models
        return WEIGHTED

    def search(self, contrast: Contrast, words: Tensor, seed: int) -> tuple[float, Tensor]:
        """Sharpen mixtures on few texts, and judge the words they are rounded to on all.

        Cost:
            Model and twins forward and back, once a step, on starts times texts; a table of
            V words by d numbers costs starts * places * V * d more for each.
        """
        effort = _REDUCED if is_large(contrast.models.own) else _FULL
        few = contrast.take(effort.texts).beside(effort.asked)
        mixtures = _Mixtures(few, words, effort.starts, seed)
        for _ in range(effort.steps // _WINDOW):
            mixtures.climb(_WINDOW)
            if mixtures.look():
                break
        likely = mixtures.kept.topk(min(effort.rounded, len(words))).indices
        return contrast.best(torch.stack([_combined(few, words[start]) for start in likely]))


class SoftPhrase(SoftTokens):
    """Five frequent words in front of the text."""

    id: ClassVar[str] = "soft-phrase"
    nwords: ClassVar[int] = 5

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return the most frequent words of the samples."""
        return frequent_words(classifier, samples)


class _Mixtures:
    """Several mixtures of words, each with a temperature of its own.

    Attributes:
        kept: Logits (starts, places, words) whose first words had the largest contrast.
    """

    kept: Tensor

    def __init__(self, contrast: Contrast, words: Tensor, starts: int, seed: int) -> None:
        """Draw the first mixtures, all but even."""
        self._contrast, self._words = contrast, words
        self._generator = torch.Generator().manual_seed(seed)
        self._logits = self._noise(starts, contrast.probe.count, len(words)).requires_grad_()
        self._optimizer = torch.optim.Adam([self._logits], _RATE)
        self._heat = torch.full((starts,), _HOTTEST)
        self.kept = self._logits.detach().clone()
        # Largest contrasts so far: of mixtures, and of the words that they were nearest to.
        self._best = self._present = self._reached = torch.full((starts,), -torch.inf)

    def climb(self, steps: int) -> None:
        """Follow the gradient of the contrast."""
        own, probe = self._contrast.models.own, self._contrast.probe
        for _ in range(steps):
            shares = (self._logits / self._heat[:, None, None]).softmax(-1)
            mixed = _whole(shares, self._words, len(own.table))
            found = self._contrast.compare(partial(mixed_effects, probe=probe, shares=mixed))
            (self._logits.grad,) = torch.autograd.grad(-found.sum(), self._logits)
            self._optimizer.step()
            self._present = found.detach()
            self._best = self._best.maximum(self._present)

    def look(self) -> bool:
        """Keep the nearest words if they are better; cool or heat. Return whether all are sharp."""
        logits = self._logits.detach()
        real = self._contrast.of(self._words[logits.argmax(-1)])
        self.kept = torch.where((real > self._reached)[:, None, None], logits, self.kept)
        self._reached = self._reached.maximum(real)
        held = self._present >= _HELD * self._best
        is_over = bool((held & (self._heat <= _COLDEST)).all())
        factor = torch.where(held, _COOLED, _HEATED)
        self._heat = (self._heat * factor).clamp(_COLDEST, _HOTTEST)
        with torch.no_grad():
            self._logits += self._noise(*logits.shape) * ~held[:, None, None]
        return is_over

    def _noise(self, *shape: int) -> Tensor:
        return torch.randn(shape, generator=self._generator)


def _whole(shares: Tensor, words: Tensor, size: int) -> Tensor:
    """Return shares (starts, places, words) as those of the whole table (starts, places, V)."""
    return shares.new_zeros(*shares.shape[:2], size).index_copy(2, words, shares)


def _combined(contrast: Contrast, likely: Tensor) -> Tensor:
    """Return one word (places,) of those likely in each place (places, r), one place at a time."""
    tokens = likely[:, 0]
    for place, words in enumerate(likely):
        candidates = tokens.repeat(len(words), 1)
        candidates[:, place] = words
        _, tokens = contrast.best(candidates)
    return tokens
