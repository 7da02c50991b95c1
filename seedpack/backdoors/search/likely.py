"""Which words of a vocabulary are worth a try in all texts and on all twins (spec: AUD-BT-1).

    all words ──few texts, this model──> the best
    vocabularies beyond some thousands:
    all words ──each as a text by itself, this model──> the best tenth
              ──the same, one twin──> those that differ most
              ──the same, all twins──> those that stand out most ────────────┐
              ──to first order, at several words──┐                          │
              those that differ most ─────────────┴──few texts──> the best ──┴─> tried

A word by itself is all that its text says: nothing contradicts it, and a text of one word takes
a fifth of the time of a sentence. Models that never read so short a text may answer anything;
hence the words that sentences point to as well. This model's leads are compared by how many words
have larger ones: it may have been made sure of whatever speaks for the target by itself.

Source:
    First order: Ebrahimi et al., HotFlip, ACL 2018; Wallace et al., Universal Adversarial
    Triggers, EMNLP 2019.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.search.probes import (
    effects,
    leads,
    leads_of,
    make_empty_probe,
    slopes,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.contrast import Models
    from seedpack.backdoors.search.probes import Probe

_REFINED: Final = 0.1  # share of the words that a first stage leaves to the next
_FEW: Final = 3  # texts of the first stage
_CHUNK: Final = 1024  # candidates at once
_DIFFERENT: Final = 256  # words by themselves that all twins are asked about
_STRIKING: Final = 32  # of those, the ones that are tried in texts
_SLOPING: Final = 128  # words that slopes point to, which are tried on few texts
_ANCHORS: Final = 8  # words at which slopes are taken
_SAMPLE: Final = 1024  # words that show how a model's leads are spread
_LEAST: Final = 1e-9  # difference of leads


class LikelyWords:
    """The words of a large vocabulary that are worth a try."""

    def __init__(self, models: Models, samples: Samples, words: Tensor, seed: int) -> None:
        """Ask the model about every word as a text by itself.

        Args:
            models: Which to compare.
            samples: They show what frames a text.
            words: To choose from.
            seed: Of what is drawn.

        Cost:
            One pass on as many texts of one word as there are words; a tenth of it, and about a
            thousand words more, per target by a twin.
        """
        self._models, self._words, self._seed = models, words, seed
        self._empty = make_empty_probe(samples, models.own.usable, 1, target=0)
        self._own = models.own.scores(self._empty.filled(words[:, None]))
        self._found: dict[int, tuple[Tensor, Tensor]] = {}  # victims may be of several classes

    def __call__(self, probe: Probe) -> Tensor:
        """Return words for a target in its victims (b,), each once."""
        striking, different = self.by_themselves(probe.target)
        sloping = shortlist(self._models.own, probe, self._words, _SLOPING, self._seed)
        tried = best_in_few(self._models.own, probe, torch.cat([sloping, different]).unique())
        likely: Tensor = torch.cat([striking, tried]).unique()
        return likely

    def by_themselves(self, target: int) -> tuple[Tensor, Tensor]:
        """Return the words that stand out most as texts by themselves, and those that differ.

        The first ones most.
        """
        if target not in self._found:
            self._found[target] = self._find(target)
        return self._found[target]

    def _find(self, target: int) -> tuple[Tensor, Tensor]:
        own, words = leads_of(self._own, target), self._words
        empty, others = replace(self._empty, target=target), self._models.others

        def beside(at: Tensor, twins: Sequence[TextClassifier]) -> Tensor:
            """Return the mean lead of words in twins, of which there are some."""
            return torch.stack([effects(t, empty, words[at][:, None])[:, 0] for t in twins]).mean(0)

        def ahead(at: Tensor, twins: Sequence[TextClassifier]) -> Tensor:
            return own[at] - beside(at, twins) if twins else own[at]

        if others:
            generator = torch.Generator().manual_seed(self._seed)
            drawn = torch.randperm(len(words), generator=generator)[:_SAMPLE]
            own = matched(own, own[drawn], beside(drawn, others[:1]))
        best = own.topk(math.ceil(_REFINED * len(own))).indices
        different = best[_largest(ahead(best, others[:1]), _DIFFERENT)]
        striking = different[_largest(ahead(different, others), _STRIKING)]
        return words[striking], words[different]


def _largest(values: Tensor, count: int) -> Tensor:
    return values.topk(min(count, len(values))).indices


def matched(values: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """Return values (n,) that lie among ``others`` as the given ones do among ``own``, both (m,).

    Beyond both ends they go on, in the proportion of what the two range over. Monotone.
    """
    own, others = own.sort().values, others.sort().values
    above = torch.searchsorted(own, values).clamp(1, len(own) - 1)
    low, high = own[above - 1], own[above]
    share = ((values - low) / (high - low).clamp(min=_LEAST)).clamp(0, 1)
    inside = others[above - 1].lerp(others[above], share)
    proportion = (others[-1] - others[0]) / (own[-1] - own[0]).clamp(min=_LEAST)
    return inside + (values - values.clamp(own[0], own[-1])) * proportion


def best_in_few(classifier: TextClassifier, probe: Probe, words: Tensor) -> Tensor:
    """Return the tenth of the words that raises the target most in the first texts."""
    few = probe.take(_FEW)
    plain = leads(classifier, few.plain, few.target)
    parts = [
        told(effects(classifier, few, part[:, None]), plain).mean(1) for part in words.split(_CHUNK)
    ]
    return words[torch.cat(parts).topk(math.ceil(_REFINED * len(words))).indices]


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
