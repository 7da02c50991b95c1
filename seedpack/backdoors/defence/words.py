"""Iterated inversion-unlearning for texts: found words are answered rightly (AUD-BT-3).

    student ──token scan, beside the reference──> one word per class ──┐ kept from round to round
    clean batch ──> right answers, taught for   plain texts │ found words put in anywhere
    the student of one round is searched in the next, so that what hid behind the first word is met

With a clean reference, natural trigger words fall out of the search and keep their meaning.

Source:
    Wang et al., Neural Cleanse, IEEE S&P 2019 (inversion and unlearning; here of words).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import torch

from seedpack.backdoors.classifiers import Samples, TextClassifier
from seedpack.backdoors.defence.base import TEXTS, Defence, require_enough
from seedpack.backdoors.defence.teaching import Plan, plain, plan_for, teach
from seedpack.backdoors.defence.text_views import put_in
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.backdoors.texts import mask_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from seedpack.backdoors.classifiers import Classifier

_ROUNDS: Final = 2
_PLAN: Final = Plan(steps=60, rate=1e-3, batch=32, trust=0.5)
_PRETRAINED: Final = Plan(steps=28, rate=5e-5, batch=12, trust=0.9, pretrained=True)
_SHORTER: Final = 0.75  # share of the texts that is taught, the shorter ones: for speed alone


class WordUnlearning(Defence):
    """Iterated inversion-unlearning of words."""

    id: ClassVar[str] = "word-unlearning"
    forms: ClassVar[frozenset[str]] = frozenset({TEXTS})

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a copy that answers texts with found words rightly.

        Raises:
            TrainingError: AUD-DEF-1, too few samples.
            TypeError: The classifier reads no texts.
        """
        require_enough(samples)
        student = classifier.clone()
        if not isinstance(student, TextClassifier):
            raise TypeError("words are unlearned by classifiers of texts")
        generator = torch.Generator().manual_seed(seed)
        contrast = () if reference is None else (reference,)
        plan = plan_for(student, _PLAN, _PRETRAINED)
        taught = _shorter(samples)
        found: list[int] = []
        for turn in range(_ROUNDS):
            result = TokenScan().run(student, samples, contrast=contrast, seed=seed + turn)
            words = [word for trigger in result.triggers.values() for word in trigger.tokens]
            found += [student.vocabulary.index(word) for word in words]
            view = _Words(student, torch.tensor(found))
            teach(student, taught, plan, generator, teacher=classifier, views=(plain, view))
        return student


class _Words:
    """The view of a batch with one of the found words in each text."""

    def __init__(self, student: TextClassifier, words: Tensor) -> None:
        self._student, self._words = student, words

    def __call__(self, samples: Samples, generator: Generator) -> Samples:
        drawn = torch.randint(len(self._words), (len(samples), 1), generator=generator)
        return put_in(self._student, samples, generator, self._words[drawn])


def _shorter(samples: Samples) -> Samples:
    """Return the shorter texts, in rows with room for one word more."""
    lengths = mask_of(samples).sum(1)
    longest = int(lengths.float().quantile(_SHORTER))
    kept = samples.take(lengths <= longest)
    width = min(longest + 1, samples.x.shape[1])
    return Samples(kept.x[:, :width], kept.y, mask_of(kept)[:, :width])
