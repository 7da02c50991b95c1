"""Known backdoors, planted in twins, that a defence has to take out first.

    fresh weights ──taught by the base on clean samples, some of them triggered──> planted twin
    planted twin ──asr on held-out samples──> before;  base ──> what the trigger does anyway

The base is a clean twin, or the suspect itself: asked about clean inputs only, it passes on what
it knows and not what it hides. A backdoor that a model has from its first step on sits deeper, and
is harder to remove, than one that is tuned into a finished model.

A control whose backdoor did not take says nothing and is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import ImageClassifier, Samples, TextClassifier
from seedpack.backdoors.defence.base import IMAGES, form_of
from seedpack.backdoors.defence.renewal import renewed
from seedpack.backdoors.defence.teaching import Plan, plan_for, teach
from seedpack.backdoors.defence.views import gently
from seedpack.backdoors.planting.base import Attack, Hits, asr, replace
from seedpack.backdoors.planting.images import make_attack
from seedpack.backdoors.planting.texts import TEXT_KINDS, make_text_attack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Generator

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.defence.teaching import View

TOOK: Final = 0.5  # share of held-out victims from which on a planted backdoor counts
REMOVED: Final = 0.10  # share up to which a backdoor is gone
ABOVE_CONTROL: Final = 0.05  # or so much above what the trigger does to a clean model
_AFRESH: Final = Plan(steps=600, rate=4e-3)
_ONWARDS: Final = Plan(steps=300, rate=1e-3)
_PRETRAINED: Final = Plan(steps=150, rate=1e-4, batch=32, pretrained=True)
_POISONED: Final = 0.15  # share of the victims in a batch that are triggered
_NIMAGE: Final = 3  # dimensions of one image
_IMAGE_KINDS: Final = "patch", "blended", "sinusoidal"
_VECTOR_KINDS: Final = ("blended",)


@dataclass(frozen=True)
class InRange(Attack):
    """An attack on values from 0 to 1, for inputs of another range or without height and width.

    Attributes:
        inner: The attack.
        low: Smallest value of the inputs.
        high: Largest.
        shape: (c, h, w) that the inner attack is made for.
    """

    inner: Attack
    low: float
    high: float
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        """Be of the inner attack's kind."""
        object.__setattr__(self, "id", self.inner.id)
        object.__setattr__(self, "target", self.inner.target)
        object.__setattr__(self, "sources", self.inner.sources)

    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the trigger."""
        span = self.high - self.low
        unit = ((samples.x - self.low) / span).view(-1, *self.shape)
        x = self.inner.apply(Samples(unit, samples.y)).x.view_as(samples.x)
        return Samples(self.low + span * x, samples.y)


@dataclass(frozen=True)
class Control:
    """One planted backdoor.

    Attributes:
        attack: What was planted.
        base: The model before.
        planted: The model after.
        before: How often the attack succeeds in it.
        natural: How often the same trigger succeeds in the base.
    """

    attack: Attack
    base: Classifier
    planted: Classifier
    before: Hits
    natural: Hits

    @property
    def took(self) -> bool:
        """Whether there is a backdoor to remove."""
        return self.before.rate >= max(TOOK, self.natural.rate + 0.2)

    def is_removed(self, after: Hits) -> bool:
        """Whether so few successes are left that the backdoor is gone."""
        return after.rate <= removal_limit(self.natural.rate)


def removal_limit(natural: float) -> float:
    """Return the success rate up to which a backdoor counts as removed.

    Args:
        natural: Success rate of the same trigger in a model without the backdoor.
    """
    return max(REMOVED, natural + ABOVE_CONTROL)


def draw_attacks(classifier: Classifier, samples: Samples, count: int, seed: int) -> list[Attack]:
    """Return ``count`` attacks of different kinds that fit the classifier's inputs."""
    if isinstance(classifier, TextClassifier):
        return [
            make_text_attack(
                TEXT_KINDS[i % len(TEXT_KINDS)],
                seed + i,
                samples,
                classifier.usable,
                classifier.nclasses,
            )
            for i in range(count)
        ]
    assert isinstance(classifier, ImageClassifier)  # noqa: S101 -- the only other kind
    low, high, one = classifier.low, classifier.high, samples.x.shape[1:]
    is_image = len(one) == _NIMAGE
    shape = (one[0], one[1], one[2]) if is_image else (1, 1, one.numel())
    kinds = _IMAGE_KINDS if is_image else _VECTOR_KINDS
    drawn = (kinds[i % len(kinds)] for i in range(count))
    return [
        InRange(make_attack(kind, seed + i, shape, classifier.nclasses), low, high, shape)
        for i, kind in enumerate(drawn)
    ]


def plant(
    base: Classifier,
    attack: Attack,
    samples: Samples,
    held_out: Samples,
    seed: int,
    reference: Classifier | None = None,
) -> Control:
    """Make a twin of ``base`` that knows the task and has a backdoor from its first step on.

    Args:
        base: Whose knowledge the twin gets; is not changed.
        attack: What to plant.
        samples: Clean, to learn from.
        held_out: Clean, to count successes on.
        seed: Of everything random.
        reference: Where the twin starts, instead of fresh weights.
    """

    def poisoned(batch: Samples, generator: Generator) -> Samples:
        near = gently(base, batch, generator)
        chosen = attack.victims(near) & (torch.rand(len(near), generator=generator) < _POISONED)
        if not bool(chosen.any()):
            return near
        places = chosen.nonzero()[:, 0]
        return replace(near, places, attack.relabelled(attack.apply(near.take(places))))

    planted = make_twin(base, samples, seed, reference, poisoned)
    return Control(
        attack, base, planted, asr(planted, attack, held_out), asr(base, attack, held_out)
    )


def make_twin(
    base: Classifier,
    samples: Samples,
    seed: int,
    reference: Classifier | None = None,
    view: View | None = None,
) -> Classifier:
    """Return a model that starts afresh and learns the task from samples and ``base``.

    Args:
        base: Whose answers are learnt beside the labels; is not changed.
        samples: Clean.
        seed: Of everything random.
        reference: Where it starts; None: fresh weights, for texts those of the base, as no few
            samples teach a language.
        view: Changes each batch, labels too; None: gently.
    """
    afresh = form_of(base) == IMAGES or reference is not None
    twin = renewed(base, 0.0, seed=seed, reference=reference) if afresh else base.clone()
    plan = plan_for(twin, _AFRESH if afresh else _ONWARDS, _PRETRAINED)
    generator = torch.Generator().manual_seed(seed)
    # Where a label was changed the base contradicts it, and the label alone is learnt.
    teach(twin, samples, plan, generator, teacher=base, views=(view or partial(gently, base),))
    return twin


def plant_controls(
    bases: Sequence[Classifier],
    samples: Samples,
    held_out: Samples,
    count: int,
    seed: int,
    reference: Classifier | None = None,
) -> list[Control]:
    """Plant ``count`` different backdoors, in twins of the bases by turns."""
    attacks = draw_attacks(bases[0], samples, count, seed)
    return [
        plant(bases[i % len(bases)], attack, samples, held_out, seed + i, reference)
        for i, attack in enumerate(attacks)
    ]
