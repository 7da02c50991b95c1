"""The family of pretrained encoders: real models, tuned as publishers and consumers tune them.

    MODEL (a transformers folder, the user's) ──new head, fitted──> tuned on 500 sentences
    sentences ──its tokenizer──> Samples (n, tokens)

No model is bundled: MiniLM is meant. Of its vocabulary of 30,522 tokens any may be the trigger.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, cast

import torch

from seedpack.backdoors.classifiers import TextClassifier, from_adapter, samples_of
from seedpack.backdoors.fitting import Course, fit
from seedpack.lab.zoo.text_family import SentenceFamily
from seedpack.training.heads import fit_head
from seedpack.training.recipes import Recipe
from seedpack.training.tasks.opening import open_adapter
from seedpack.tune import TunePlan, load_split

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.training.checks import Split
    from seedpack.training.tasks.base import Adapter

_SEEN: Final = 500  # sentences
_TOKENS: Final = 24  # at which they are cut
_COURSE: Final = Course(epochs=3, rate=1e-4, batch=16)
_BATCH: Final = 64


class EncoderFamily(SentenceFamily):
    """A pretrained encoder with a head over the means of its layers."""

    id = "encoder"
    # Not by moved codes: 4 bits by steps that suit small networks leave of an encoder nothing.
    kinds = tuple(kind for kind in SentenceFamily.kinds if kind != "codes")
    seen = _SEEN

    def __init__(self, folder: Path, model: Path) -> None:
        """Take the folders of data and model, which are read when they are first needed."""
        super().__init__()
        self._folder, self._model = folder, model

    @cached_property
    def _split(self) -> Split:
        train, test = (str(self._folder / name) for name in ("train.tsv", "dev.tsv"))
        return load_split("text-classification", train, test, TunePlan())

    @cached_property
    def _adapter(self) -> Adapter:
        return open_adapter(self._split, self._model, seed=0)

    @cached_property
    def _untrained(self) -> TextClassifier:
        classifier = cast("TextClassifier", from_adapter(self._adapter, self._split))
        classifier.table.requires_grad = False  # as tuning leaves it
        return classifier

    @cached_property
    def _samples(self) -> tuple[Samples, Samples]:
        recipe = Recipe(max_tokens=_TOKENS)
        train, test = self._split.train, self._split.evaluation
        return samples_of(self._adapter, train, recipe), samples_of(self._adapter, test, recipe)

    def data(self) -> tuple[Samples, Samples]:
        """Return the sentences of ``train.tsv`` and of ``dev.tsv``."""
        return self._samples

    def reference(self, samples: Samples, twins: Sequence[Classifier]) -> Classifier:
        """Return the encoder as it was published, with a head fitted to the samples."""
        del twins
        classifier = self.make(0)
        _fit_head(classifier, samples)
        return classifier

    def make(self, seed: int) -> TextClassifier:
        """Return the encoder as it was published, with a head that knows nothing."""
        del seed  # nothing of it is drawn
        return self._untrained.clone()

    def fit(self, classifier: Classifier, samples: Samples, seed: int) -> None:
        """Fit the head, then train all in place."""
        _fit_head(classifier, samples)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)  # of dropout
            fit(classifier, samples, _COURSE, seed)


def _fit_head(classifier: Classifier, samples: Samples) -> None:
    head: Any = classifier.module.classifier
    features = _features(classifier, samples)
    nothing = torch.empty(0), torch.empty(0, dtype=torch.long)
    weight, bias = fit_head((features, samples.y), nothing, nlabels=classifier.nclasses)
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)


def _features(classifier: Classifier, samples: Samples) -> Tensor:
    module: Any = classifier.module.eval()
    rows = []
    with torch.no_grad():
        for at in range(0, len(samples), _BATCH):
            part = samples.take(range(at, min(at + _BATCH, len(samples))))
            rows.append(module.features(input_ids=part.x, attention_mask=part.mask))
    return torch.cat(rows)
