"""Search for several words in a row that turn the answers: phrases, openings (spec: AUD-BT-2).

    the most frequent words ──beam: slopes here less slopes in the twins──> candidates
                            ──contrast──> the best few ──again, until nothing gets better

The words are the most frequent ones of the clean samples only. Whoever may choose among all words
finds three in a row that turn any clean model and none of its twins; frequent words have been read
so often that all clean models agree on them. Phrases of rare words show in their single words.

Source:
    Wallace et al., Universal Adversarial Triggers, EMNLP 2019 (beam over first-order candidates).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import torch

from seedpack.backdoors.classifiers import is_large
from seedpack.backdoors.search.contrast import ContrastSearch
from seedpack.backdoors.search.probes import slopes
from seedpack.backdoors.texts import mask_of

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.contrast import Contrast

_FREQUENT: Final = 100  # words to choose from
_MIN_ROUNDS: Final = 2
_GAIN: Final = 1.02  # times which a round has to improve
_BEAM: Final = 8  # phrases kept from round to round
_TRIED: Final = 16  # words tried in each place of each of them
_KEPT: Final = 64  # candidates that the twins are asked about
_ROUNDS: Final = 8


class _Texts(NamedTuple):
    """How many texts the beam looks at."""

    first: int  # that the model is asked about for every candidate
    all: int  # that slopes are taken of, and the twins are asked about


_SMALL: Final = _Texts(first=4, all=8)
_LARGE: Final = _Texts(first=1, all=1)  # breadth finds more than texts, in the same time


class PhraseSearch(ContrastSearch):
    """Five frequent words in front of the text."""

    id: ClassVar[str] = "phrase"
    nwords: ClassVar[int] = 5

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return the most frequent words of the samples."""
        return frequent_words(classifier, samples)

    def search(self, contrast: Contrast, words: Tensor, seed: int) -> tuple[float, Tensor]:
        """Improve several phrases at once, one word of each at a time."""
        texts = _LARGE if is_large(contrast.models.own) else _SMALL
        few, first = contrast.take(texts.all), contrast.take(texts.first)
        generator = torch.Generator().manual_seed(seed)
        shape = (_BEAM, few.probe.count)
        beam = words[torch.randint(len(words), shape, generator=generator)]
        reached = -math.inf
        for turn in range(_ROUNDS):
            beam, best = _improved(few, first, beam, words)
            if not best > reached * _GAIN and turn >= _MIN_ROUNDS:
                break
            reached = best
        return contrast.best(beam)


def frequent_words(classifier: TextClassifier, samples: Samples) -> Tensor:
    """Return the most frequent words of the samples, the most frequent first."""
    written = samples.x[mask_of(samples).bool()]
    counts = torch.bincount(written, minlength=len(classifier.usable)) * classifier.usable
    order = counts.argsort(descending=True, stable=True)
    return order[: min(_FREQUENT, int((counts > 0).sum()))]


def _improved(
    contrast: Contrast, first: Contrast, beam: Tensor, words: Tensor
) -> tuple[Tensor, float]:
    """Return the best phrases one word away, and the largest contrast among them."""
    slope = _slopes_beside(contrast, beam)[..., words]  # (beam, count, words)
    tried = words[slope.topk(min(_TRIED, len(words))).indices]
    candidates = torch.unique(_neighbours(beam, tried), dim=0)
    kept = candidates[first.lift(candidates).topk(min(_KEPT, len(candidates))).indices]
    best, found = contrast.leading(kept, _BEAM)
    return best, float(found[0])


def _neighbours(beam: Tensor, tried: Tensor) -> Tensor:
    """Return the phrases and those that differ in the word of one place (b, count)."""
    found = [beam]
    for place in range(beam.shape[1]):
        changed = beam[:, None].repeat(1, tried.shape[-1], 1)
        changed[:, :, place] = tried[:, place]
        found.append(changed.flatten(0, 1))
    return torch.cat(found)


def _slopes_beside(contrast: Contrast, beam: Tensor) -> Tensor:
    """Return the slopes of the model less the mean of the twins' (b, count, V)."""
    models = contrast.models
    slope = slopes(models.own, contrast.probe, beam)
    for other in models.others:
        slope = slope - slopes(other, contrast.probe, beam) / len(models.others)
    return slope
