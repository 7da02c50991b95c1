"""The three families of image classifiers."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seedpack.backdoors.classifiers import ImageClassifier
from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.edits import EDITS, FlipAttack
from seedpack.backdoors.planting.images import DATA_KINDS, ImageAttack, make_attack
from seedpack.backdoors.planting.targets import (
    ALL_TO_ALL,
    TARGETS_KINDS,
    AllToAllAttack,
    MultiTargetAttack,
    make_targets_attack,
)
from seedpack.lab.zoo.digits import load_digits
from seedpack.lab.zoo.families import Family, Planted
from seedpack.lab.zoo.networks import SIDE, make_network

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.planting.base import Attack
    from seedpack.lab.zoo.families import Facts

_NCLASSES: Final = 10
_SHAPE: Final = (1, SIDE, SIDE)
# Shares of poisoned data, by turns. With clean labels only the target's tenth can be poisoned.
_RATES: Final = (0.1, 0.02, 0.05, 0.01)
_CLEAN_LABEL_RATES: Final = (0.06, 0.04)
_TARGETS_RATES: Final = (0.4, 0.2)  # shared by all targets
_COURSES: Final = {
    "mlp": Course(epochs=40, rate=5e-3),
    "cnn": Course(epochs=30, rate=5e-3),
    "vit": Course(epochs=18, rate=2e-3),
}
IMAGE_FAMILIES: Final = tuple(_COURSES)


class ImageFamily(Family):
    """Classifiers of handwritten digits."""

    kinds = (*DATA_KINDS, *EDITS)
    named_kinds = TARGETS_KINDS

    def __init__(self, family: str) -> None:
        """Choose ``mlp``, ``cnn`` or ``vit``."""
        self.id = family

    def data(self) -> tuple[Samples, Samples]:
        """Return the two halves of the digits."""
        return load_digits()

    def make(self, seed: int) -> ImageClassifier:
        """Return an untrained network."""
        return ImageClassifier(make_network(self.id, seed, _NCLASSES), _NCLASSES)

    def fit(self, classifier: Classifier, samples: Samples, seed: int) -> None:
        """Train in place, for as many steps on few samples as on all."""
        course, total = _COURSES[self.id], len(self.data()[0])
        passes = math.ceil(total / course.batch) / math.ceil(len(samples) / course.batch)
        fit(classifier, samples, replace(course, epochs=round(course.epochs * passes)), seed)

    def plant(self, kind: str, seed: int) -> Planted:
        """Train on poisoned data, or edit a clean model."""
        train, _ = self.data()
        if kind in EDITS:
            return Planted(*EDITS[kind](self.train_clean(seed), train, seed), 0.0)
        attack, rate = _draw_attack(kind, seed)
        classifier = self.make(seed)
        self.fit(classifier, attack.poison(train, rate, seed), seed)
        return Planted(classifier, attack, rate)

    def describe(self, attack: Attack) -> tuple[Facts, dict[str, Tensor]]:
        """Return the tensors of the trigger, or triggers."""
        if isinstance(attack, MultiTargetAttack):
            return {}, {"keep": attack.keep, "add": attack.add, "targets": attack.targets}
        if isinstance(attack, (ImageAttack, AllToAllAttack)):
            return {}, {"keep": attack.keep, "add": attack.add}
        return {}, {}

    def attack_of(
        self,
        kind: str,
        target: int,
        sources: tuple[int, ...],
        facts: Facts,
        state: dict[str, Tensor],
    ) -> Attack:
        """Return the attack; how it was planted no longer matters."""
        del facts
        if not state:
            return FlipAttack(kind, target, sources)
        if "targets" in state:
            return MultiTargetAttack(kind, target, **state)
        if kind == ALL_TO_ALL:
            return AllToAllAttack(kind, target, _NCLASSES, **state)
        return ImageAttack(kind, target, state["keep"], state["add"], sources)


def _draw_attack(kind: str, seed: int) -> tuple[Attack, float]:
    """Return an attack by poisoned data, and the share of the data that is poisoned."""
    if kind in TARGETS_KINDS:
        rate = _TARGETS_RATES[seed // 4 % len(_TARGETS_RATES)]
        return make_targets_attack(kind, seed, _SHAPE, _NCLASSES), rate
    rates = _CLEAN_LABEL_RATES if kind == "clean-label" else _RATES
    rate = rates[seed // len(ImageFamily.kinds) % len(rates)]
    return make_attack(kind, seed, _SHAPE, _NCLASSES), rate
