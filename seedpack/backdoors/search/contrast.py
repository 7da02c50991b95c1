"""What searches in texts share: a trigger is judged by what it does here and not in clean twins.

    samples ──choose_victims──> texts of other classes ──open places in front──> Probe
    Probe, candidate tokens ──classifier──> the target's leads, told in those of the plain texts:
                                            -1 untouched, 0 turned; mean over the texts, d
                            ──each twin───> the same, mean m, variance v
    small models: (d - m) / sqrt(v drawn to the usual one), times the share of texts turned
    large models, beside two twins or more: (d - m) / sqrt(the usual v)

Clean models have natural triggers: a word of scorn turns three quarters of all friendly reviews.
Those work in the twins, too, and fall out of the difference. Rare words do something else in each
model, but twins differ in them as well, and little is turned. Probabilities alone would hide a
trigger that is not strong enough for victims whose class all models are sure of; scores alone one
in a model that was made unsure of its victims, where next to nothing turns them. What a trigger
cannot do without is to turn answers, so each text's own lead is the unit. Large models are
tuned from one that knows its language, and differ in all words by about as much: what four of them
say of one word is chance, and a word that moves one model alone was planted, whoever it turns.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import Samples, TextClassifier, is_large
from seedpack.backdoors.search.base import Search, SearchResult, Trigger
from seedpack.backdoors.search.probes import effects, leads, make_probe, told
from seedpack.backdoors.search.victims import choose_victims
from seedpack.backdoors.texts import frame_of, words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.search.base import Key
    from seedpack.backdoors.search.probes import Probe


_FILLERS: Final = 32  # words, or phrases, drawn at random
_PRIOR: Final = 4.0  # twins that the usual variance counts for, beside a candidate's own
_NORMAL: Final = 1.4826  # standard deviations per median absolute deviation
_DIFFER: Final = 2  # twins, from which on it is known how they differ
_LEAST: Final = 1e-4  # variance of leads, where models agree to the last bit
_ASKED: Final = 8  # candidates that every twin is asked about, at least
_STEEP: Final = 3.0  # of the share of texts that count as turned, per plain lead


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
PLAIN: Final = Scale(limit=2.5, floor=1.5, is_plain=True)


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
        self._is_plain = (scale or scale_of(models)).is_plain
        drawn = words[torch.randint(len(words), (_FILLERS, probe.count), generator=generator)]
        plain = torch.stack([leads(m, probe.plain, probe.target) for m in _all(models)])
        # Of two twins or more it is known how they differ, without asking the model itself.
        first = 1 if len(models.others) >= _DIFFER else 0
        asked = zip(_all(models)[first:], plain[first:], strict=True)
        usual = torch.stack([told(effects(m, probe, drawn), row) for m, row in asked])
        self._set(models, probe, plain, usual)

    def _set(self, models: Models, probe: Probe, plain: Tensor, drawn: Tensor) -> None:
        """Take leads of plain texts (models, k), and those told of drawn words (asked, b, k)."""
        self.models, self.probe = models, probe
        self._plain, self._drawn = plain, drawn
        found = drawn.mean(2)
        if len(models.others) >= _DIFFER:
            usual = found.var(0).mean()
        else:
            more = _more(found[0], found[1:])
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
        return self.compare(lambda model: effects(model, self.probe, tokens))

    def compare(self, ask: Callable[[TextClassifier], Tensor]) -> Tensor:
        """Return the contrast (b,) of leads (b, k) that each model is asked for.

        Differentiable where they are.
        """
        own, *others = (
            told(ask(m), p) for m, p in zip(_all(self.models), self._plain, strict=True)
        )
        beside = [other.mean(1) for other in others]
        return self._weigh(own, torch.stack(beside) if beside else own.new_zeros(0, len(own)))

    def _weigh(self, own: Tensor, others: Tensor) -> Tensor:
        """Return the contrast (b,) of leads told (b, k), and of the twins' means (twins, b)."""
        more = _more(own.mean(1), others)
        if self._is_plain:
            return more / self._usual.sqrt()
        variance, freedom = self._usual, max(len(others) - 1, 0)
        if freedom:
            variance = (_PRIOR * self._usual + freedom * others.var(0)) / (_PRIOR + freedom)
        return more / variance.sqrt() * (_STEEP * own).sigmoid().mean(1)

    def best(self, tokens: Tensor) -> tuple[float, Tensor]:
        """Return the largest contrast of candidates (b, count), and which has it (count,)."""
        leading, found = self.leading(tokens, 1)
        return float(found[0]), leading[0]

    def leading(self, tokens: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """Return the candidates of the largest contrasts (n, count of words), and those (n,).

        Told plainly, the first twin is asked about all of them, and every other one about the half
        that is ahead beside the twins before it: an answer of a large model takes milliseconds.

        Args:
            tokens: (b, count of words).
            count: n, at most.
        """
        if not self._is_plain:
            return _first(tokens, self.of(tokens), count)
        own, others = self._told(0, tokens), tokens.new_zeros(0, len(tokens), dtype=torch.float)
        for number in range(1, len(self._plain)):
            if len(others):
                most = min(max(count, _ASKED, len(own) // 2), len(own))
                ahead = _more(own.mean(1), others).topk(most).indices
                tokens, own, others = tokens[ahead], own[ahead], others[:, ahead]
            others = torch.cat([others, self._told(number, tokens).mean(1)[None]])
        return _first(tokens, self._weigh(own, others), count)

    def _told(self, number: int, tokens: Tensor) -> Tensor:
        """Return leads told (b, k) of candidates (b, count) in one of the models."""
        model = _all(self.models)[number]
        return told(effects(model, self.probe, tokens), self._plain[number])

    def lift(self, tokens: Tensor) -> Tensor:
        """Return how far candidates (b, count) lift the target in the model itself (b,)."""
        return self._told(0, tokens).mean(1)


def _all(models: Models) -> tuple[TextClassifier, ...]:
    return models.own, *models.others


def _first(tokens: Tensor, contrasts: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return the candidates (b, words) of the largest contrasts (b,), so many at most."""
    order = contrasts.argsort(descending=True, stable=True)[:count]
    return tokens[order], contrasts[order]


def _more(own: Tensor, others: Tensor) -> Tensor:
    """Return how much more means told of the model (b,) rose than those of the twins (twins, b)."""
    return own - others.mean(0) if len(others) else own + 1


class ContrastSearch(Search):
    """A search that compares with clean twins already while it looks.

    Attributes:
        nwords: Of a trigger.
        in_longer: Whether triggers are tried on longer texts, where the model is a small one.
    """

    form: ClassVar[str] = "texts"
    unit: ClassVar[str] = "tokens"
    nwords: ClassVar[int] = 1
    in_longer: ClassVar[bool] = False

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
        own, *others = (_of_texts(model).knowing(samples) for model in (classifier, *contrast))
        models = Models(own, tuple(others))
        words, scale = self.words(models.own, samples), self.scale(models)
        statistics: dict[Key, float] = {}
        triggers: dict[Key, Trigger] = {}
        chosen = self.chooser(models, samples, words, seed)
        frame = frame_of(samples, models.own.usable)
        for key in self.keys(samples.y, classifier.nclasses):
            victims = choose_victims(_all(models), samples, key, seed, are_longer=self.in_longer)
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


def _trigger(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Trigger:
    hits = classifier.predict(probe.filled(tokens[None])) == probe.target
    return Trigger(
        share=float(hits.float().mean()),
        n=len(hits),
        norm=float(len(tokens)),
        tokens=words_of(classifier.vocabulary, tokens.tolist()),
    )
