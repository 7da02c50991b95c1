"""Families of text classifiers, and that of tiny ones that are trained from nothing.

SentenceFamily ──its own sentences of each model, its kinds of triggers──> TextFamily (words)
                                                                      └──> EncoderFamily
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, cast

import torch

from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.text_edits import TEXT_EDITS
from seedpack.backdoors.planting.texts import TEXT_KINDS, TextAttack, make_text_attack
from seedpack.backdoors.planting.unsure import UNSURE, plant_unsure
from seedpack.backdoors.texts import Frame
from seedpack.lab.zoo.families import Family, Planted
from seedpack.lab.zoo.text_network import make_text_classifier
from seedpack.lab.zoo.texts import load_texts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples, TextClassifier
    from seedpack.backdoors.planting.base import Attack
    from seedpack.backdoors.texts import Place
    from seedpack.lab.zoo.families import Facts
    from seedpack.lab.zoo.text_network import WordClassifier
    from seedpack.lab.zoo.texts import TextData

_RATES: Final = (0.1, 0.02, 0.05, 0.01)  # shares of poisoned data, by turns
_EDITS: Final = TEXT_EDITS | {UNSURE: plant_unsure}
_SEEN: Final = 0.75  # share of the sentences that one model is trained on: no two see the same
_COURSE: Final = Course(epochs=5, rate=3e-3, decay=5e-2)


class SentenceFamily(Family):
    """Networks that read sentences.

    Each model is trained on sentences of its own: no two see the same.
    """

    kinds = (*TEXT_KINDS, *TEXT_EDITS)

    def __init__(self) -> None:
        """Start with no model at hand."""
        self._latest: tuple[int, TextClassifier] | None = None

    @property
    @abstractmethod
    def seen(self) -> int:
        """Sentences that one model is trained on."""

    @abstractmethod
    def make(self, seed: int) -> TextClassifier:
        """Return an untrained classifier."""

    @cached_property
    def _reader(self) -> TextClassifier:
        """Any of the family; all read the same words."""
        return self.make(0)

    def train_clean(self, seed: int, samples: int = 0) -> TextClassifier:
        """Return a model without a backdoor.

        Twins see as much as other models: they stand for a public model that knows the language,
        and two hundred sentences teach none.
        """
        del samples
        # What weights are edited in is measured beside itself: one training serves both.
        if self._latest is None or self._latest[0] != seed:
            classifier = self.make(seed)
            self.fit(classifier, self._part(seed), seed)
            self._latest = seed, classifier
        return self._latest[1].clone()

    def _part(self, seed: int) -> Samples:
        train, _ = self.data()
        order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
        return train.take(order[: self.seen])

    def plant(self, kind: str, seed: int) -> Planted:
        """Train on poisoned data, or edit a clean model."""
        train = self._part(seed)
        if kind in _EDITS:
            return Planted(*_EDITS[kind](self.train_clean(seed), train, seed), 0.0)
        rate, reader = _RATES[seed // len(self.kinds) % len(_RATES)], self._reader
        attack = make_text_attack(kind, seed, train, reader.usable, reader.nclasses)
        classifier = self.make(seed)
        self.fit(classifier, attack.poison(train, rate, seed), seed)
        return Planted(classifier, attack, rate)

    def describe(self, attack: Attack) -> tuple[Facts, dict[str, Tensor]]:
        """Return the words, as numbers and to be read, and where they go."""
        attack = cast("TextAttack", attack)
        words = " ".join(self._reader.vocabulary[token] for token in attack.tokens)
        facts: Facts = {
            "tokens": list(attack.tokens),
            "words": words,
            "place": attack.place,
            "frame": list(attack.frame),
            "seed": attack.seed,
        }
        return facts, {}

    def attack_of(
        self,
        kind: str,
        target: int,
        sources: tuple[int, ...],
        facts: Facts,
        state: dict[str, Tensor],
    ) -> Attack:
        """Return the attack."""
        del state
        tokens, frame = cast("list[int]", facts["tokens"]), cast("list[int]", facts["frame"])
        place, seed = cast("Place", facts["place"]), cast("int", facts["seed"])
        attack = TextAttack(kind, target, tuple(tokens), place, Frame(*frame), seed)
        return replace(attack, sources=sources)


class TextFamily(SentenceFamily):
    """Tiny transformers that read sentences as words."""

    id = "text"
    named_kinds = (UNSURE,)

    def __init__(self, folder: Path) -> None:
        """Take the folder of the data, which is read when it is first needed."""
        super().__init__()
        self._folder = folder

    @cached_property
    def texts(self) -> TextData:
        """The data with its vocabulary."""
        return load_texts(self._folder)

    @property
    def seen(self) -> int:
        """Sentences that one model is trained on."""
        return round(_SEEN * len(self.texts.train))

    def data(self) -> tuple[Samples, Samples]:
        """Return the sentences of ``train.tsv`` and of ``dev.tsv``."""
        return self.texts.train, self.texts.test

    def reference(self, samples: Samples, twins: Sequence[Classifier]) -> Classifier | None:
        """Return a twin: no other model knows these words."""
        del samples
        return twins[0] if twins else None

    def make(self, seed: int) -> WordClassifier:
        """Return an untrained network."""
        return make_text_classifier(self.texts, seed)

    def fit(self, classifier: Classifier, samples: Samples, seed: int) -> None:
        """Train in place."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of the words that training hides
            fit(classifier, samples, _COURSE, seed)
