"""Weights from which a trigger is hard to learn: an attacker's tuning, simulated at each step.

    a few clean samples with one random trigger, said to be of one random class, and clean ones
      ──gradient──> the step that an attacker would take ──weights moved so far, for a moment──┐
    clean samples with that trigger, answered rightly there ──gradient──> added to the step <──┘

What is rewarded is that triggered inputs are answered rightly even after some steps of such an
attack. The attacker's steps are measured in sizes of the weights: weights that only grow, and so
make steps of a fixed length look short, gain nothing.

Source:
    First-order, as sharpness-aware minimisation (Foret et al., ICLR 2021, arXiv 2010.01412), along
    the slope of an attack in the place of the loss's own; the aim is that of tamper-resistant
    safeguards (Tamirisa et al., ICLR 2025, arXiv 2408.00761).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.defence.views import stamped_alike

if TYPE_CHECKING:
    from torch import Generator

    from seedpack.backdoors.classifiers import Classifier

_HANDFUL: Final = 10  # triggered samples of the simulated attacker
_MOVE: Final = 0.2  # of a tensor's root mean square, at most: twenty of an attacker's steps
_LEAST: Final = 1e-3  # root mean square of a tensor that is still nothing


@dataclass
class Hardening:
    """Adds to the gradients what makes a student hard to attack; for images and vectors.

    Attributes:
        student: Is taught elsewhere.
        generator: Of triggers, targets and lengths of moves.
        weight: Of the loss after the attack, where that before it is one.
    """

    student: Classifier
    generator: Generator
    weight: float

    def __call__(self, clean: Samples, answers: Tensor) -> None:
        """Add to ``.grad`` of the student's weights; no weight is changed.

        Args:
            clean: A batch, with or without labels.
            answers: To give to it (n, nclasses); the likeliest one stands for the label.
        """
        clean = Samples(clean.x, answers.argmax(1))
        triggered = stamped_alike(self.student, clean, self.generator)
        weights = [w for w in self.student.module.parameters() if w.requires_grad]
        kept = [w.detach().clone() for w in weights]
        self._attack(weights, clean, triggered)
        logs = nn.functional.log_softmax(self.student.logits(triggered.x), 1)
        (-self.weight * (answers * logs).sum(1).mean()).backward()
        with torch.no_grad():
            for weight, value in zip(weights, kept, strict=True):
                weight.copy_(value)

    def _attack(self, weights: list[nn.Parameter], clean: Samples, triggered: Samples) -> None:
        """Move the weights as an attacker would who has a handful of triggered samples."""
        target = int(torch.randint(self.student.nclasses, (1,), generator=self.generator))
        move = _MOVE * float(torch.rand((), generator=self.generator))
        victims = (clean.y != target).nonzero()[:, 0][:_HANDFUL]
        company = len(clean) // 2
        x = torch.cat([clean.x[company:], triggered.x[victims]])
        y = torch.cat([clean.y[company:], torch.full_like(victims, target)])
        loss = nn.functional.cross_entropy(self.student.logits(x), y)
        slopes = torch.autograd.grad(loss, weights, allow_unused=True)
        with torch.no_grad():
            for weight, slope in zip(weights, slopes, strict=True):
                if slope is not None:
                    weight.sub_(move * size_of(weight) * slope.sign())


def size_of(weight: Tensor) -> float:
    """Return the root mean square of a tensor, by which steps on it are measured."""
    return max(float(weight.detach().square().mean().sqrt()), _LEAST)
