"""Search for a single word that turns the answers (spec: AUD-BT-1, AUD-BT-4).

    all words ──few texts, this model──> the best ──all texts, twins as well──> contrast
    vocabularies beyond some thousands: first to first order, at several words, then as above

Source:
    Exhaustive scan: Azizi et al., T-Miner, USENIX Security 2021 (words tried one by one).
    First order: Ebrahimi et al., HotFlip, ACL 2018; Wallace et al., Universal Adversarial
    Triggers, EMNLP 2019.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from seedpack.backdoors.search.contrast import ContrastSearch
from seedpack.backdoors.search.probes import effects, slopes

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.base import Key
    from seedpack.backdoors.search.contrast import Contrast
    from seedpack.backdoors.search.probes import Probe

_EXHAUSTIVE: Final = 4000  # words that are all tried
_SHORTLIST: Final = 256  # of more words, those that are tried
_REFINED: Final = 0.1  # share of the tried words that is tried on all texts and twins
_FEW: Final = 3  # texts of the first stage
_ANCHORS: Final = 8  # words at which slopes are taken
_CHUNK: Final = 1024  # candidates at once
_TWO: Final = 2  # classes, where a pair says nothing new
_MOST_PAIRED: Final = 6  # classes of which all pairs are searched


class TokenScan(ContrastSearch):
    """One word, in front of the text."""

    id: ClassVar[str] = "token-scan"
    limit: ClassVar[float] = 4.0

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return everything that can be written."""
        del samples
        return classifier.usable.nonzero()[:, 0]

    def keys(self, y: Tensor, nclasses: int) -> list[Key]:
        """Return every target, and every pair of classes where there are three to six.

        With two classes all others are one class.
        """
        shown = [source for source in range(nclasses) if bool((y == source).any())]
        pairs: list[Key] = [(s, t) for s in shown for t in range(nclasses) if s != t]
        is_paired = _TWO < nclasses <= _MOST_PAIRED
        return super().keys(y, nclasses) + (pairs if is_paired else [])

    def search(self, contrast: Contrast, words: Tensor, seed: int) -> tuple[float, Tensor]:
        """Try all words on few texts, and the best on all texts and on the twins."""
        own, probe = contrast.models.own, contrast.probe
        if len(words) > _EXHAUSTIVE:
            words = shortlist(own, probe, words, _SHORTLIST, seed)
        few = probe.take(_FEW)
        parts = [effects(own, few, part[:, None]).mean(1) for part in words.split(_CHUNK)]
        best = torch.cat(parts).topk(math.ceil(_REFINED * len(words))).indices
        return contrast.best(words[best][:, None])


def shortlist(
    classifier: TextClassifier, probe: Probe, words: Tensor, count: int, seed: int
) -> Tensor:
    """Return the words that raise the target most, to first order, at several other words.

    Args:
        classifier: Whose slopes are taken.
        probe: With one open place.
        words: To choose from.
        count: How many to return at most.
        seed: Of the words at which slopes are taken.

    Cost:
        One pass forward and back per text and anchor, whatever the size of the vocabulary.
    """
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randperm(len(words), generator=generator)[:_ANCHORS]
    anchors = words[drawn][:, None]
    found = slopes(classifier, probe, anchors)[:, 0]  # (anchors, V)
    gains = found - found.gather(1, anchors)
    return words[gains.mean(0)[words].topk(min(count, len(words))).indices]
