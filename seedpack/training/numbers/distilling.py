"""Trains numbers so that the model answers as the original does (spec: TRS-3, TRS-4).

    step t ──seed, t──> batch ──augmenting──> inputs ──original──> scores ─┐
                                                    ──numbers───> scores ──┴─> loss ──Adam──> step

    loss = T^2 KL(original at temperature T || trained) + weight * cross entropy of the labels

Everything random is drawn anew at each step from (seed, step), so that nothing but step,
numbers and Adam's moments has to be written down to go on as if nothing had happened.

Source: distillation, G. Hinton, O. Vinyals and J. Dean, arXiv:1503.02531.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

from seedpack.training.numbers.augmenting import augment_images, is_image_batch
from seedpack.training.numbers.virtual import answer_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from seedpack.training.numbers.checkpoints import Checkpoints

_TEMPERATURE: Final = 2.0
_LABEL_WEIGHT: Final = 0.3
_WARMUP_STEPS: Final = 50
_BETAS: Final = (0.9, 0.99)


@dataclass(frozen=True)
class Course:
    """How long and how fast numbers are trained.

    Attributes:
        steps: Of Adam.
        batch: Examples per step.
        rate: Highest learning rate, in standard deviations of the weights.
        seed: Of batches, augmentation and the random part.
        augment: Turn, shift and scale images a little.
    """

    steps: int = 1200
    batch: int = 48
    rate: float = 0.06
    seed: int = 0
    augment: bool = True

    def describe(self) -> str:
        """Return what a checkpoint must agree with."""
        fields = self.steps, self.batch, self.rate, self.seed, self.augment
        return " ".join(map(str, fields))


def distil(  # noqa: PLR0913 -- the last two are rarely given
    student: nn.Module,
    teacher: nn.Module | None,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    course: Course,
    *,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train the parameters of ``student``.

    Args:
        student: Anything that answers with scores (n, classes), or (n,) numbers.
        teacher: The original; None trains on the labels alone.
        inputs: (n, ...) of all training examples.
        labels: (n,) classes; floating-point for numbers.
        course: How.
        checkpoints: Where to go on from and to write to.
        progress: Called with steps done and steps in all.
    """
    optimizer = torch.optim.Adam(student.parameters(), lr=course.rate, betas=_BETAS)
    done = checkpoints.resume(student, optimizer) if checkpoints else 0
    for step in range(done, course.steps):
        for group in optimizer.param_groups:
            group["lr"] = course.rate * schedule(step, course.steps)
        batch, wanted = draw_batch(inputs, labels, course, step)
        with torch.no_grad():
            taught = None if teacher is None else answer_of(teacher(batch))
        loss = loss_of(answer_of(student(batch)), taught, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if checkpoints:
            checkpoints.after_step(step + 1, course.steps, student, optimizer)
        if progress is not None:
            progress(step + 1, course.steps)


def draw_batch(
    inputs: torch.Tensor, labels: torch.Tensor, course: Course, step: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the examples of a step: a function of seed and step alone."""
    random = np.random.Generator(np.random.PCG64([course.seed, step]))
    picked = torch.from_numpy(random.integers(len(inputs), size=course.batch))
    batch = inputs[picked]
    if course.augment and is_image_batch(batch):
        batch = augment_images(batch, random)
    return batch, labels[picked]


def schedule(step: int, steps: int) -> float:
    """Return the share of the highest rate: a short rise, then half a cosine."""
    warm = min(1.0, (step + 1) / min(_WARMUP_STEPS, steps))
    return warm * (1 + math.cos(math.pi * step / steps)) / 2


def loss_of(
    scores: torch.Tensor, taught: torch.Tensor | None, wanted: torch.Tensor
) -> torch.Tensor:
    """Return how far answers are from what was taught, and a little from the labels.

    Args:
        scores: (n, classes), or numbers.
        taught: The original's answers; None trains on the labels alone.
        wanted: (n,) classes; floating-point for numbers.
    """
    if wanted.is_floating_point():
        return _loss_of_numbers(scores.reshape(wanted.shape), taught, wanted)
    labelled = functional.cross_entropy(scores, wanted)
    if taught is None:
        return labelled
    target = functional.log_softmax(taught / _TEMPERATURE, dim=-1)
    given = functional.log_softmax(scores / _TEMPERATURE, dim=-1)
    gap = functional.kl_div(given, target, reduction="batchmean", log_target=True)
    return gap * _TEMPERATURE**2 + _LABEL_WEIGHT * labelled


def _loss_of_numbers(
    scores: torch.Tensor, taught: torch.Tensor | None, wanted: torch.Tensor
) -> torch.Tensor:
    labelled = functional.mse_loss(scores, wanted)
    if taught is None:
        return labelled
    return functional.mse_loss(scores, taught.reshape(wanted.shape)) + _LABEL_WEIGHT * labelled
