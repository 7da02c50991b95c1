"""Clean twins of the audited model, and twins with a backdoor that the audit plants itself.

    reference │ random weights ──tuned on the data given, seed by seed──> clean twins (Arms)
    one twin more ──trained on poisoned data──> planted controls: what the searches have to find

Inputs are taken to 0..1 and to (channels, height, width), whatever the model calls them.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from seedpack.audits.arms import Arm
from seedpack.backdoors.classifiers import (
    Classifier,
    ImageClassifier,
    Samples,
    TextClassifier,
    from_adapter,
    is_large,
    samples_of,
)
from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.images import make_attack
from seedpack.backdoors.planting.texts import TEXT_KINDS, make_text_attack
from seedpack.errors import TrainingError
from seedpack.training.loop import repeatable
from seedpack.training.products import rounded_products
from seedpack.training.tasks.text import TextClassification

if TYPE_CHECKING:
    from seedpack.audits.base import Context
    from seedpack.backdoors.planting.base import Attack, Hits
    from seedpack.training import Examples
    from seedpack.training.tasks.base import Adapter

_FIRST_TWIN: Final = 1000  # random seeds of twins start that far from those of other arms
_POISONED: Final = 0.1  # of the data
_POISONED_ENCODER: Final = 0.05  # that knows its language: it learns a trigger from fewer
_COURSE: Final = Course(epochs=15, rate=3e-3)
_KINDS: Final = "patch", "blended", "source-specific", "sinusoidal", "clean-label"
_FLAT_KINDS: Final = ("blended",)  # of inputs without height
_WORKS: Final = 0.5  # success from which on a planted control counts as one
_TEXT_COURSE: Final = Course(epochs=3, rate=1e-4, batch=16, gathered=True)
_MOST_TRAINED, _MOST_MEASURED = 1000, 500  # samples
_TWIN_SAMPLES: Final = 10  # times the profile's, that twins of a reference learn from
_TRIES: Final = 3  # patterns per control


@dataclass(frozen=True)
class Control:
    """A twin with a backdoor.

    Attributes:
        classifier: The twin.
        attack: What was planted.
        hits: How often it succeeds on the evaluation.
        before: The same in the twin as it was.
        rate: Share of the data that was poisoned.
    """

    classifier: Classifier
    attack: Attack
    hits: Hits
    before: Hits
    rate: float


class _UnitInputs(nn.Module):
    """A model of inputs from 0 to 1 in (channels, height, width)."""

    def __init__(self, module: nn.Module, shape: torch.Size, low: float, high: float) -> None:
        super().__init__()
        self.module, self.shape, self.low, self.high = module, shape, low, high

    def forward(self, x: Tensor) -> Tensor:
        x = self.low + (self.high - self.low) * x
        logits: Tensor = self.module(x.reshape(len(x), *self.shape))
        return logits


class Subjects:
    """Models of one audit as classifiers of the same inputs."""

    def __init__(self, context: Context) -> None:
        """Take what the context offers.

        Raises:
            ValueError: There are no data (programming error).
        """
        if context.arms is None or context.split is None:
            raise ValueError("an audit that needs data was run without")
        self._context, self._arms, self._split = context, context.arms, context.split

    @property
    def start(self) -> str:
        """What twins are tuned from; empty: random weights.

        The base of a delta seed is the publisher's choice, and whatever it hides is in twins of
        it, too: it stands in only where random weights would never learn the task.
        """
        spec = self._context.spec
        return spec.reference or ("" if spec.factory else spec.base)

    def own(self) -> tuple[Classifier, Adapter]:
        """Return the audited model."""
        adapter = self._context.subject()
        return self._classifier(adapter), adapter

    def twin(self, number: int) -> tuple[Classifier, Adapter]:
        """Return a clean twin, trained or from disk."""
        spec = self._context.spec
        seed = spec.random_seed + _FIRST_TWIN + number
        arm = Arm(
            model=self.start,
            samples=self._nsamples() if self.start else None,
            seed=seed,
            robust=spec.robust and bool(self.start),
            thorough=not self.start,
        )
        adapter = self._arms.adapter(arm)
        return self._classifier(adapter), adapter

    def _nsamples(self) -> int:
        """Return how many examples twins of a reference learn from.

        More than the consumer's few: what is audited often knew the task before.
        """
        wanted = max(
            self._context.spec.samples or 0, _TWIN_SAMPLES * self._context.profile.nsamples
        )
        return min(wanted, len(self._split.train))

    def samples(self, adapter: Adapter, examples: Examples) -> Samples:
        """Return examples as the classifiers take them."""
        found = samples_of(adapter, examples)
        inner = from_adapter(adapter, self._split)
        if not isinstance(inner, ImageClassifier):
            return found
        x = (found.x - inner.low) / max(inner.high - inner.low, 1e-12)
        return Samples(x.clamp(0, 1).reshape(len(x), *_spatial(found.x.shape[1:])), found.y)

    def _classifier(self, adapter: Adapter) -> Classifier:
        inner = from_adapter(adapter, self._split)
        inner.module.eval()
        if not isinstance(inner, ImageClassifier):
            return inner
        shape = samples_of(adapter, self._split.train.take([0])).x.shape[1:]
        unit = _UnitInputs(inner.module, shape, inner.low, inner.high)
        return ImageClassifier(unit.eval(), inner.nclasses)


def plant_control(
    twin: Classifier, train: Samples, evaluation: Samples, count: int, number: int, seed: int
) -> Control | None:
    """Return a twin with a backdoor; None where it did not take.

    Args:
        twin: Clean; is copied.
        train: What it was trained on, or some of it.
        evaluation: Where the success is measured.
        count: Of backdoors per kind; half as many where a model takes minutes.
        number: Which of them, below ``count_controls``.
        seed: Of patterns, targets and training.
    """
    train, evaluation = _some(train, _MOST_TRAINED), _some(evaluation, _MOST_MEASURED)
    kind, repeat = divmod(number, _repeats(twin, count))
    return _plant(twin, _kinds(twin, train, count)[kind], train, evaluation, seed + 100 * repeat)


def count_controls(twin: Classifier, train: Samples, count: int) -> int:
    """Return how many backdoors are to be planted, ``count`` of each kind that fits."""
    return len(_kinds(twin, train, count)) * _repeats(twin, count)


def check_tokenizers(own: Adapter, other: Adapter) -> None:
    """Refuse a tokenizer that is another than the twins'; what it does is not searched.

    Raises:
        TrainingError: TRN-7, the searches would not see what the model is given.
    """
    if not (isinstance(own, TextClassification) and isinstance(other, TextClassification)):
        return
    if _contents(own.tokenizer) != _contents(other.tokenizer):
        raise TrainingError(
            "the tokenizer is not that of the clean model, and can hide a trigger by itself",
            rule="TRN-7",
            where="tokenizer",
            hint="compare both; put the clean model's tokenizer in its place",
        )


def _contents(tokenizer: Any) -> object:  # noqa: ANN401 -- transformers' own
    """Return what decides which tokens a text becomes."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return tokenizer.get_vocab()
    whole = json.loads(backend.to_str())
    return {name: part for name, part in whole.items() if name not in {"padding", "truncation"}}


def _kinds(twin: Classifier, train: Samples, count: int) -> tuple[str, ...]:
    if isinstance(twin, TextClassifier):
        return TEXT_KINDS[: 1 + count]
    is_flat = train.x.shape[2] == 1 or train.x.shape[3] == 1
    return _FLAT_KINDS if is_flat else _KINDS[: 2 + count]


def _repeats(twin: Classifier, count: int) -> int:
    return (count + 1) // 2 if is_large(twin) else count


def _plant(
    twin: Classifier, kind: str, train: Samples, evaluation: Samples, seed: int
) -> Control | None:
    course = _TEXT_COURSE if isinstance(twin, TextClassifier) else _COURSE
    rate = _poisoned(twin)
    for number in range(seed, seed + _TRIES):
        attack = _make_attack(twin, kind, train, number)
        planted = twin.clone()
        with repeatable(number), rounded_products():  # dropout, too, follows from the number
            fit(planted, attack.poison(train, rate, number), course, number)
        hits, before = asr(planted, attack, evaluation), asr(twin, attack, evaluation)
        if hits.rate >= _WORKS and hits.rate - before.rate >= _WORKS / 2:
            return Control(planted, attack, hits, before, rate)
    return None


def _poisoned(twin: Classifier) -> float:
    is_encoder = isinstance(twin, TextClassifier) and is_large(twin)
    return _POISONED_ENCODER if is_encoder else _POISONED


def _make_attack(twin: Classifier, kind: str, train: Samples, seed: int) -> Attack:
    if isinstance(twin, TextClassifier):
        return make_text_attack(kind, seed, train, twin.usable, twin.nclasses)
    shape = (int(train.x.shape[1]), int(train.x.shape[2]), int(train.x.shape[3]))
    return make_attack(kind, seed, shape, twin.nclasses)


def _some(samples: Samples, most: int) -> Samples:
    """Return at most ``most`` samples, evenly from first to last."""
    if len(samples) <= most:
        return samples
    return samples.take(torch.linspace(0, len(samples) - 1, most).round().long())


def _spatial(shape: torch.Size) -> tuple[int, int, int]:
    """Return (channels, height, width) of inputs with one, two or three dimensions."""
    if len(shape) == 3:  # noqa: PLR2004
        return int(shape[0]), int(shape[1]), int(shape[2])
    if len(shape) == 2:  # noqa: PLR2004
        return 1, int(shape[0]), int(shape[1])
    return 1, 1, math.prod(shape)
