"""What a family of the zoo has to know: its data, its networks, and what is planted in them.

Family ──make, fit──> a clean Classifier
       ──plant(kind, seed)──> Planted: Classifier, Attack, share of poisoned data
       ──describe, attack_of──> an attack as facts and tensors, and back
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch

from seedpack.backdoors.classifiers import by_turns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.planting.base import Attack

    Facts = dict[str, int | float | str | list[int]]


class Planted(NamedTuple):
    """A model with a backdoor."""

    classifier: Classifier
    attack: Attack
    rate: float  # share of the training data that was poisoned; 0: weights were edited


class Family(ABC):
    """Networks of one architecture on one data set.

    Attributes:
        id: As on the command line.
        kinds: Of backdoors that can be planted, in the order in which the zoo takes turns.
        named_kinds: Further ones, planted where they are asked for by name.
    """

    id: str
    kinds: tuple[str, ...]
    named_kinds: tuple[str, ...] = ()

    @abstractmethod
    def data(self) -> tuple[Samples, Samples]:
        """Return what is trained on, the consumer's samples among them, and what measures."""

    @abstractmethod
    def make(self, seed: int) -> Classifier:
        """Return an untrained classifier."""

    @abstractmethod
    def fit(self, classifier: Classifier, samples: Samples, seed: int) -> None:
        """Train in place."""

    @abstractmethod
    def plant(self, kind: str, seed: int) -> Planted:
        """Return a model with a backdoor of that kind."""

    @abstractmethod
    def describe(self, attack: Attack) -> tuple[Facts, dict[str, Tensor]]:
        """Return what ``attack_of`` needs, apart from kind, target and sources."""

    @abstractmethod
    def attack_of(
        self,
        kind: str,
        target: int,
        sources: tuple[int, ...],
        facts: Facts,
        state: dict[str, Tensor],
    ) -> Attack:
        """Return the attack that was described."""

    @property
    def form(self) -> str:
        """What its classifiers read: "images" or "texts"."""
        return "images" if self.data()[0].mask is None else "texts"

    def reference(self, samples: Samples, twins: Sequence[Classifier]) -> Classifier | None:
        """Return the clean model that a consumer has a defence start from; None: fresh weights.

        Args:
            samples: The consumer's.
            twins: Clean models of the family; may be empty.
        """
        del samples, twins
        return None

    def train_clean(self, seed: int, samples: int = 0) -> Classifier:
        """Return a model without a backdoor, trained on that many samples (0: on all)."""
        classifier = self.make(seed)
        train, _ = self.data()
        self.fit(classifier, draw_clean(train, samples, seed) if samples else train, seed)
        return classifier


def draw_clean(train: Samples, count: int, seed: int) -> Samples:
    """Return the clean samples that a consumer has: as many of each class as can be.

    Raises:
        ValueError: There are not as many.
    """
    if not 1 <= count <= len(train):
        raise ValueError(f"{count} samples of {len(train)}")
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(seed))
    return train.take(order[by_turns(train.y[order])[:count]])
