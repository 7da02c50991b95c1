"""What searches in texts share: a trigger is judged by what it does here and not in clean twins.

    samples ──surest of the twins──> victims ──slots in front──> Probe
    Probe, candidate tokens ──classifier──> share of the target, s
                            ──twins───────> r
    (s - r) s: high where a trigger works in this model, and works in no other

Clean models have natural triggers: a word of scorn turns three quarters of all friendly reviews.
Those work in the twins, too, and fall out of the difference. Victims are texts whose class all
twins are sure of, as few natural words turn those; a planted trigger does.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import Samples, TextClassifier
from seedpack.backdoors.search.base import Search, SearchResult, Trigger
from seedpack.backdoors.texts import frame_of, insert, mask_of, words_of
from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.search.base import Key
    from seedpack.backdoors.texts import Frame


@dataclass(frozen=True)
class Probe:
    """Texts of other classes with open places in front.

    Attributes:
        samples: What is in the open places means nothing.
        first: The first open place.
        count: How many there are.
        target: Class that a trigger in them shall lead to.
    """

    samples: Samples
    first: int
    count: int
    target: int

    def filled(self, tokens: Tensor) -> Samples:
        """Return every text with every candidate: (b * k, length) of tokens (b, count)."""
        k = len(self.samples)
        x = self.samples.x.repeat(len(tokens), 1)
        x[:, self.first : self.first + self.count] = tokens.repeat_interleave(k, 0)
        mask = mask_of(self.samples).repeat(len(tokens), 1)
        return Samples(x, self.samples.y.repeat(len(tokens)), mask)

    def take(self, count: int) -> Probe:
        """Return the probe with its first texts only."""
        return Probe(self.samples.take(range(count)), self.first, self.count, self.target)


def make_probe(victims: Samples, frame: Frame, count: int, target: int) -> Probe:
    """Return ``victims`` with ``count`` open places behind the head of their frame."""
    nothing = torch.zeros(count, dtype=torch.long)
    places = torch.full((len(victims),), frame.head)
    opened = insert(victims, nothing, places, frame)
    longest = int(mask_of(opened).sum(1).max())
    cut = Samples(opened.x[:, :longest], opened.y, mask_of(opened)[:, :longest])
    return Probe(cut, frame.head, count, target)


def shares(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Tensor:
    """Return the probability of the target (b, k) for candidates (b, count) in k texts."""
    scores = classifier.scores(probe.filled(tokens))
    return scores.softmax(-1)[:, probe.target].reshape(len(tokens), -1)


def slopes(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Tensor:
    """Return how the target's log-probability rises with each token instead: (b, count, V).

    To first order, as the embedding moves from the present token's to the other one's (HotFlip).
    """
    filled = probe.filled(tokens)
    embeddings = classifier.embed(filled.x).detach().requires_grad_()
    logits = classifier.logits_of_embeddings(embeddings, mask_of(filled))
    total = logits.log_softmax(-1)[:, probe.target].sum()
    (slope,) = torch.autograd.grad(total, embeddings)
    places = slice(probe.first, probe.first + probe.count)
    mean = slope[:, places].reshape(len(tokens), -1, probe.count, slope.shape[-1]).mean(1)
    return mean @ classifier.table.detach().T


class Models(NamedTuple):
    """The model that is searched, and the clean ones that it is compared with."""

    own: TextClassifier
    others: tuple[TextClassifier, ...]

    def contrast(self, probe: Probe, tokens: Tensor) -> Tensor:
        """Return (s - r) s of candidates (b, count), as (b,)."""
        s = shares(self.own, probe, tokens).mean(-1)
        natural = [shares(other, probe, tokens).mean(-1) for other in self.others]
        r = torch.stack(natural).mean(0) if natural else torch.zeros_like(s)
        return (s - r) * s

    def best(self, probe: Probe, tokens: Tensor) -> tuple[float, Tensor]:
        """Return the largest contrast of candidates (b, count), and which has it (count,)."""
        found = self.contrast(probe, tokens)
        at = int(found.argmax())
        return float(found[at]), tokens[at]


class ContrastSearch(Search):
    """A search that compares with clean twins already while it looks.

    Attributes:
        ntexts: Texts that a trigger is tried on.
        nwords: Of a trigger.
    """

    form: ClassVar[str] = "texts"
    unit: ClassVar[str] = "tokens"
    ntexts: ClassVar[int] = 10
    nwords: ClassVar[int] = 1
    floor: ClassVar[float] = 0.05  # of contrast; less is chance on ten texts

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Search one model for a trigger of each class.

        Raises:
            TrainingError: TRN-8, the samples show fewer than two classes.
            TypeError: A model reads no texts.
        """
        models = Models(_of_texts(classifier), tuple(_of_texts(twin) for twin in contrast))
        words = self.words(models.own, samples)
        statistics: dict[Key, float] = {}
        triggers: dict[Key, Trigger] = {}
        for target in range(classifier.nclasses):
            victims = _victims(models, samples, target, self.ntexts)
            probe = make_probe(victims, frame_of(samples, models.own.usable), self.nwords, target)
            statistics[None, target], tokens = self.search(models, probe, words, seed)
            triggers[None, target] = _trigger(models.own, probe, tokens)
        return SearchResult(self.id, statistics, triggers, centred=False, floor=self.floor)

    @abstractmethod
    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return the tokens that triggers are sought among (words,)."""

    @abstractmethod
    def search(
        self, models: Models, probe: Probe, words: Tensor, seed: int
    ) -> tuple[float, Tensor]:
        """Return the largest contrast found, and the tokens (count,) that reach it."""


def _of_texts(classifier: Classifier) -> TextClassifier:
    if not isinstance(classifier, TextClassifier):
        raise TypeError("words are sought in classifiers of texts")
    return classifier


def _victims(models: Models, samples: Samples, target: int, count: int) -> Samples:
    """Return the texts of other classes that the twins are surest of, among the shorter half."""
    others = samples.take(samples.y != target)
    if not 0 < len(others) < len(samples):
        raise TrainingError(
            "the samples show fewer than two classes",
            rule="TRN-8",
            where="samples",
            hint="a trigger turns samples of one class to another: give samples of both",
        )
    lengths = mask_of(others).sum(1)
    short = others.take(lengths <= lengths.median())
    sure = torch.stack([_surety(m, short) for m in models.others or (models.own,)]).mean(0)
    return short.take(sure.argsort(descending=True, stable=True)[:count])


def _surety(classifier: TextClassifier, samples: Samples) -> Tensor:
    probabilities = classifier.scores(samples).softmax(-1)
    return probabilities.gather(1, samples.y[:, None])[:, 0]


def _trigger(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Trigger:
    hits = classifier.predict(probe.filled(tokens[None])) == probe.target
    return Trigger(
        share=float(hits.float().mean()),
        n=len(hits),
        norm=float(len(tokens)),
        tokens=words_of(classifier.vocabulary, tokens.tolist()),
    )
