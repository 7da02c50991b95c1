"""Search for several words in a row that turn the answers: phrases, openings (spec: AUD-BT-2).

    the most frequent words ──beam: slopes here less slopes in the twins──> candidates
                            ──contrast──> the best few ──again, until nothing gets better

The words are the most frequent ones of the clean samples only. Whoever may choose among all words
finds three in a row that turn any clean model and no other (0.55 to 0.78 of contrast, measured);
frequent words have been read so often that all clean models agree on them.

Source:
    Wallace et al., Universal Adversarial Triggers, EMNLP 2019 (beam over first-order candidates).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import torch

from seedpack.backdoors.search.contrast import ContrastSearch, Models, Probe, shares, slopes
from seedpack.backdoors.texts import mask_of

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier

_FREQUENT: Final = 100  # words to choose from
_BEAM: Final = 4  # phrases kept from round to round
_TRIED: Final = 24  # words tried in each place of each of them
_KEPT: Final = 96  # candidates that the twins are asked about
_ROUNDS: Final = 10
_MIN_ROUNDS: Final = 3
_SEARCHED: Final = 8  # texts that the beam looks at
_GAIN: Final = 1e-3  # contrast by which a round has to improve


class PhraseSearch(ContrastSearch):
    """Five frequent words in front of the text."""

    id: ClassVar[str] = "phrase"
    limit: ClassVar[float] = 4.0
    nwords: ClassVar[int] = 5

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return the most frequent words of the samples."""
        written = samples.x[mask_of(samples).bool()]
        counts = torch.bincount(written, minlength=len(classifier.usable)) * classifier.usable
        order = counts.argsort(descending=True, stable=True)
        return order[: min(_FREQUENT, int((counts > 0).sum()))]

    def search(
        self, models: Models, probe: Probe, words: Tensor, seed: int
    ) -> tuple[float, Tensor]:
        """Improve several phrases at once, one word of each at a time."""
        few = probe.take(_SEARCHED)
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randint(len(words), (_BEAM, probe.count), generator=generator)
        beam = words[drawn]
        reached = -1.0
        for turn in range(_ROUNDS):
            candidates = torch.unique(_neighbours(models, few, beam, words), dim=0)
            likely = shares(models.own, few, candidates).mean(1)
            kept = candidates[likely.topk(min(_KEPT, len(candidates))).indices]
            found = models.contrast(few, kept).topk(min(_BEAM, len(kept)))
            beam = kept[found.indices]
            best = float(found.values[0])
            if best <= reached + _GAIN and turn >= _MIN_ROUNDS:
                break
            reached = best
        return models.best(probe, beam)


def _neighbours(models: Models, probe: Probe, beam: Tensor, words: Tensor) -> Tensor:
    """Return the phrases and those that differ in the word of one place (b, count)."""
    slope = slopes(models.own, probe, beam)
    for other in models.others:
        slope = slope - slopes(other, probe, beam) / len(models.others)
    tried = words[slope[..., words].topk(min(_TRIED, len(words))).indices]  # (beam, count, tried)
    found = [beam]
    for place in range(probe.count):
        changed = beam[:, None].repeat(1, tried.shape[-1], 1)
        changed[:, :, place] = tried[:, place]
        found.append(changed.flatten(0, 1))
    return torch.cat(found)
