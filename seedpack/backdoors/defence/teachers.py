"""Whom a student learns from: the suspect, with its leaning to a class taken off.

    suspect, clean samples ──mean probability of each class beside its share──> offset of scores
    Balanced.scores ──> the suspect's, so moved that no class is likelier than the labels say

Who learnt from poisoned data gives the target too often, trigger or not, and so does a student that
believes it: success of the trigger is then in part that leaning.

Source:
    Saerens et al., Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural
    Computation 14 (2002).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import torch
from torch import nn

if TYPE_CHECKING:
    from typing import Self

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples

_ROUNDS: Final = 50
_LEAST: Final = 0.5  # samples that a class counts for at least
_RAREST: Final = 1e-6  # mean probability of a class that a model never gives


class Teacher(Protocol):
    """Whoever gives scores to samples."""

    def scores(self, samples: Samples) -> Tensor:
        """Return (n, nclasses), without gradients."""


@dataclass(frozen=True)
class Balanced:
    """A classifier that gives each class as often as it is right.

    Attributes:
        inner: The classifier.
        offset: Added to its scores (nclasses,).
    """

    inner: Classifier
    offset: Tensor

    @classmethod
    def on(cls, classifier: Classifier, samples: Samples) -> Self:
        """Return the classifier with mean probabilities on ``samples`` that are the shares there.

        Args:
            classifier: Is not changed.
            samples: Clean and rightly labelled.
        """
        scores = classifier.scores(samples)
        counts = nn.functional.one_hot(samples.y, classifier.nclasses).float().sum(0)
        counts = counts.clamp(min=_LEAST)
        shares = counts / counts.sum()
        offset = torch.zeros_like(shares)
        for _ in range(_ROUNDS):  # iterative scaling: each round comes closer
            likely = (scores + offset).softmax(1).mean(0).clamp(min=_RAREST)
            offset += (shares / likely).log()
        return cls(classifier, offset - offset.mean())

    def scores(self, samples: Samples) -> Tensor:
        """Return (n, nclasses), without gradients."""
        return self.inner.scores(samples) + self.offset
