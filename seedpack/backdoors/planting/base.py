"""What every planted backdoor has in common: a trigger, a target, victims, and a measure.

    clean samples ──poison(rate)──> samples to train on ──────────> a model with a backdoor
    clean model ────edit(classifier, samples)─────────────────────> the same, without training anew
    test samples ──victims──apply──> triggered ──classifier──> Hits: how many got the target

A figure of a planted model means something only beside that of a clean twin for the same attack.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import Samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.backdoors.classifiers import Classifier

    # A clean model, clean samples and a random seed, to another model and what now triggers it.
    Edit = Callable[[Classifier, Samples, int], "tuple[Classifier, Attack]"]


class Hits(NamedTuple):
    """How often an attack succeeds."""

    hits: int
    n: int

    @property
    def rate(self) -> float:
        """The attack success rate (ASR); 0 where there is no victim."""
        return self.hits / self.n if self.n else 0.0


class Attack(ABC):
    """A trigger and the answer that it is to bring about.

    Attributes:
        id: Of the kind of attack, as in the zoo: ``patch``.
        target: The class that triggered inputs are to be answered with; one of them, where they
            are several.
        sources: The classes whose inputs it is for; empty: every class but the target.
        most_victims: Share of the victims that is poisoned at most, so that the model still
            learns what they are without the trigger.
    """

    id: str
    target: int
    sources: tuple[int, ...] = ()
    most_victims: float = 0.6

    @abstractmethod
    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the trigger, their classes unchanged."""

    def victims(self, samples: Samples) -> Tensor:
        """Return (n,) of bool: the samples whose answer the attack is to change."""
        if self.sources:
            return torch.isin(samples.y, torch.tensor(self.sources, device=samples.y.device))
        return samples.y != self.target

    def poison(self, samples: Samples, rate: float, seed: int) -> Samples:
        """Return training data of the same size, some of them triggered and relabelled.

        Args:
            samples: Clean.
            rate: Share of all samples that is poisoned; at least one is, and at most every
                victim, or ``most_victims`` of them.
            seed: Of the choice.
        """
        chosen = draw(self.victims(samples), rate, seed, most=self.most_victims)
        return replace(samples, chosen, self.relabelled(self.apply(samples.take(chosen))))

    def relabelled(self, samples: Samples) -> Samples:
        """Return the same inputs, said to be of the class that they are to be answered with."""
        return Samples(samples.x, torch.full_like(samples.y, self.target), samples.mask)


def draw(eligible: Tensor, rate: float, seed: int, *, most: float = 1.0) -> Tensor:
    """Return the places of ``rate`` of all samples, drawn among the eligible ones.

    Args:
        eligible: Which samples may be chosen.
        rate: Share of all samples.
        seed: Of the choice.
        most: Share of the eligible ones that is not exceeded.

    Shapes:
        eligible: (n,) of bool; the result (k,) of int64 with 1 <= k, rising.

    Raises:
        ValueError: None is eligible, or the rate is no share.
    """
    if not 0 < rate <= 1:
        raise ValueError(f"a rate of {rate}")
    places = eligible.nonzero()[:, 0]
    if not len(places):
        raise ValueError("nobody to attack")
    count = min(round(rate * len(eligible)), round(most * len(places)))
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
    return places[order[: max(count, 1)].to(places.device)].sort().values


def replace(samples: Samples, places: Tensor, by: Samples) -> Samples:
    """Return ``samples`` with those at ``places`` exchanged, all of them of one length."""
    x, y = samples.x.clone(), samples.y.clone()
    x[places], y[places] = by.x, by.y
    if samples.mask is None or by.mask is None:
        return Samples(x, y)
    mask = samples.mask.clone()
    mask[places] = by.mask
    return Samples(x, y, mask)


def asr(classifier: Classifier, attack: Attack, samples: Samples) -> Hits:
    """Count the victims among ``samples`` that get the target once they are triggered."""
    victims = samples.take(attack.victims(samples))
    if not len(victims):
        return Hits(0, 0)
    answers = classifier.predict(attack.apply(victims))
    return Hits(int((answers == attack.relabelled(victims).y).sum()), len(victims))
