"""What searches in texts share: a trigger is judged by what it does here and not in clean twins.

    samples ──surest of the twins──> victims ──open places in front──> Probe
    Probe, candidate tokens ──classifier──> log-odds of the target above the plain victims', d
                            ──each twin───> the same, mean m, variance v
    small models: (d - m) / sqrt(v drawn to the usual one), times the mean probability of the target
    large models, beside two twins or more: (d - m) / sqrt(the usual v)

Clean models have natural triggers: a word of scorn turns three quarters of all friendly reviews.
Those work in the twins, too, and fall out of the difference. Rare words do something else in each
model, but twins differ in them as well, and little is turned. Probabilities alone would hide a
trigger that is not strong enough for victims whose class all models are sure of. Large models are
tuned from one that knows its language, and differ in all words by about as much: what four of them
say of one word is chance, and a word that moves one model alone was planted, whoever it turns.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from seedpack.backdoors.classifiers import Samples, TextClassifier, is_large
from seedpack.backdoors.search.base import Search, SearchResult, Trigger
from seedpack.backdoors.search.probes import effects, log_odds, make_probe
from seedpack.backdoors.texts import frame_of, mask_of, words_of
from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.search.base import Key
    from seedpack.backdoors.search.probes import Probe


_FILLERS: Final = 32  # words, or phrases, drawn at random
_PRIOR: Final = 4.0  # twins that the usual variance counts for, beside a candidate's own
_NORMAL: Final = 1.4826  # standard deviations per median absolute deviation
_DIFFER: Final = 2  # twins, from which on it is known how they differ
_LEAST: Final = 1e-4  # variance of log-odds, where models agree to the last bit


class Models(NamedTuple):
    """The model that is searched, and the clean ones that it is compared with."""

    own: TextClassifier
    others: tuple[TextClassifier, ...]


class Scale(NamedTuple):
    """What a contrast is told in.

    Attributes:
        limit: z from which on it is suspicious.
        floor: Difference of contrasts below which twins lie together by chance.
        is_plain: Whether it is told in the usual spread of twins, and by nothing else.
    """

    limit: float
    floor: float
    is_plain: bool = False


WEIGHTED: Final = Scale(limit=4.0, floor=0.5)
PLAIN: Final = Scale(limit=2.5, floor=1.0, is_plain=True)


def scale_of(models: Models) -> Scale:
    """Return what single words and phrases are told in (AUD-BT-6)."""
    is_plain = is_large(models.own) and len(models.others) >= _DIFFER
    return PLAIN if is_plain else WEIGHTED


class Contrast:
    """How far tokens turn a model, and how much more than its twins.

    Attributes:
        models: Which are compared.
        probe: The texts that tokens are tried on.
    """

    def __init__(
        self, models: Models, probe: Probe, words: Tensor, seed: int, scale: Scale | None = None
    ) -> None:
        """Learn what difference is usual, from words drawn at random.

        Args:
            models: Which to compare.
            probe: The texts, with open places.
            words: To draw from.
            seed: Of the draw.
            scale: What it is told in; None: as suits the models.
        """
        generator = torch.Generator().manual_seed(seed)
        own, others = models
        self._is_plain = (scale or scale_of(models)).is_plain
        drawn = words[torch.randint(len(words), (_FILLERS, probe.count), generator=generator)]
        # Of two twins or more it is known how they differ, without asking the model itself.
        asked = others if len(others) >= _DIFFER else (own, *others)
        self._set(
            models,
            probe,
            torch.stack([log_odds(m, probe.plain, probe.target) for m in (own, *others)]),
            torch.stack([effects(m, probe, drawn) for m in asked]),
        )

    def _set(self, models: Models, probe: Probe, plain: Tensor, drawn: Tensor) -> None:
        """Take log-odds of plain texts (models, k) and of drawn words in them (asked, b, k)."""
        self.models, self.probe = models, probe
        self._plain, self._drawn = plain, drawn
        # Not the level of random words: a backdoor may answer to most of them.
        levels = plain.mean(1)
        self._level, self._levels = levels[0], levels[1:, None]
        found = drawn.mean(2)
        if len(models.others) >= _DIFFER:
            usual = (found - self._levels).var(0).mean()
        else:
            more = self._more(found[0], found[1:])
            usual = (_NORMAL * (more - more.median()).abs().median()) ** 2
        self._usual = usual.clamp(min=_LEAST)

    def take(self, count: int) -> Contrast:
        """Return the same on the first texts only; nothing is asked again."""
        plain, drawn = self._plain[:, :count], self._drawn[..., :count]
        return self._part(self.models, self.probe.take(count), plain, drawn)

    def beside(self, count: int) -> Contrast:
        """Return the same beside the first twins only; nothing is asked again.

        Raises:
            ValueError: Fewer than two: of one alone it is not known how twins differ.
        """
        if count < _DIFFER:
            raise ValueError(f"{count} twins do not tell how twins differ")
        if count >= len(self.models.others):
            return self
        models = Models(self.models.own, self.models.others[:count])
        return self._part(models, self.probe, self._plain[: count + 1], self._drawn[:count])

    def _part(self, models: Models, probe: Probe, plain: Tensor, drawn: Tensor) -> Contrast:
        part = copy.copy(self)
        part._set(models, probe, plain, drawn)  # noqa: SLF001 -- another of this class
        return part

    def of(self, tokens: Tensor) -> Tensor:
        """Return the contrast (b,) of candidates (b, count)."""
        return self.weigh(*self._ask(tokens))

    def weigh(self, own: Tensor, others: Tensor) -> Tensor:
        """Return the contrast (b,) of log-odds (b, k), and of their means in the twins (twins, b).

        Differentiable.
        """
        more = self._more(own.mean(1), others)
        if self._is_plain:
            return more / self._usual.sqrt()
        variance, freedom = self._usual, max(len(others) - 1, 0)
        if freedom:
            spread = (others - self._levels).var(0)
            variance = (_PRIOR * self._usual + freedom * spread) / (_PRIOR + freedom)
        return more / variance.sqrt() * own.sigmoid().mean(1)

    def best(self, tokens: Tensor) -> tuple[float, Tensor]:
        """Return the largest contrast of candidates (b, count), and which has it (count,)."""
        found = self.of(tokens)
        at = int(found.argmax())
        return float(found[at]), tokens[at]

    def _ask(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return log-odds of the model (b, k), and their means of the twins (twins, b)."""
        own = effects(self.models.own, self.probe, tokens)
        others = [effects(other, self.probe, tokens).mean(1) for other in self.models.others]
        return own, torch.stack(others) if others else own.new_zeros(0, len(own))

    def _more(self, own: Tensor, others: Tensor) -> Tensor:
        """Return how much more means of the model (b,) rose than those of the twins (twins, b)."""
        more = own - self._level
        return more - (others - self._levels).mean(0) if len(others) else more


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

    def look(
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
        words, scale = self.words(models.own, samples), self.scale(models)
        statistics: dict[Key, float] = {}
        triggers: dict[Key, Trigger] = {}
        chosen = self.chooser(models, samples, words, seed)
        frame = frame_of(samples, models.own.usable)
        for key in self.keys(samples.y, classifier.nclasses):
            victims = _victims(models, samples, key, self.ntexts)
            probe = make_probe(victims, frame, self.nwords, key[1])
            beside = Contrast(models, probe, words, seed, scale)
            statistics[key], tokens = self.search(beside, chosen(probe), seed)
            triggers[key] = _trigger(models.own, probe, tokens)
        return SearchResult(
            self.id, statistics, triggers, centred=False, floor=scale.floor, limit=scale.limit
        )

    def keys(self, y: Tensor, nclasses: int) -> list[Key]:
        """Return for which answers triggers are sought, given the samples' classes (n,)."""
        del y
        return [(None, target) for target in range(nclasses)]

    @abstractmethod
    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return the tokens that triggers are sought among (words,)."""

    def scale(self, models: Models) -> Scale:
        """Return what contrasts are told in."""
        return scale_of(models)

    def chooser(
        self, models: Models, samples: Samples, words: Tensor, seed: int
    ) -> Callable[[Probe], Tensor]:
        """Return what gives the words that are tried in texts: here all of them."""
        del models, samples, seed
        return lambda _probe: words

    @abstractmethod
    def search(self, contrast: Contrast, words: Tensor, seed: int) -> tuple[float, Tensor]:
        """Return the largest contrast found, and the tokens (count,) that reach it."""


def _of_texts(classifier: Classifier) -> TextClassifier:
    if not isinstance(classifier, TextClassifier):
        raise TypeError("words are sought in classifiers of texts")
    return classifier


def _victims(models: Models, samples: Samples, key: Key, count: int) -> Samples:
    """Return the texts of the source, or of all other classes alike, that the twins are surest of.

    Among the shorter half of them: for speed, and as a word weighs more in few.
    """
    source, target = key
    others = samples.take(samples.y != target if source is None else samples.y == source)
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
    surest = short.take(sure.argsort(descending=True, stable=True))
    one_hot = functional.one_hot(surest.y)  # (n, classes)
    # (n,): how many surer ones of its own class there are; by that all classes take turns.
    rank = ((one_hot.cumsum(0) - 1) * one_hot).sum(1)
    return surest.take(rank.argsort(stable=True)[:count])


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
