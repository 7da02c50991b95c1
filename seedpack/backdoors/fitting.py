"""Trains a classifier from its random seed: zoo models, twins, and what an attacker changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from seedpack.backdoors.texts import gather_texts

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples


@dataclass(frozen=True)
class Course:
    """How long and how fast.

    Attributes:
        epochs: Passes over the data.
        rate: Highest learning rate; it rises for a tenth of the steps and falls to nothing.
        decay: Of the weights, by AdamW.
        batch: Samples per step.
        gathered: Of texts: similar lengths together, so that little is filled up.
    """

    epochs: int
    rate: float
    decay: float = 1e-2
    batch: int = 64
    gathered: bool = False


def fit(classifier: Classifier, samples: Samples, course: Course, seed: int) -> None:
    """Train ``classifier`` in place, and leave it in evaluation mode."""
    parameters = [p for p in classifier.module.parameters() if p.requires_grad]
    # Fused: one pass over the weights in the place of a dozen, which takes an encoder as long as
    # a third of its step.
    optimizer = torch.optim.AdamW(parameters, lr=course.rate, weight_decay=course.decay, fused=True)
    steps = course.epochs * -(-len(samples) // course.batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, course.rate, total_steps=steps, pct_start=0.1
    )
    order = torch.Generator().manual_seed(seed)
    classifier.module.train()
    for _ in range(course.epochs):
        for chosen in _batches(samples, course, order):
            batch = samples.take(chosen)
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(classifier.logits(batch.x, batch.mask), batch.y)
            loss.backward()
            optimizer.step()
            schedule.step()
    classifier.module.eval()


def _batches(samples: Samples, course: Course, order: torch.Generator) -> list[torch.Tensor]:
    shuffled = torch.randperm(len(samples), generator=order)
    if samples.mask is None or not course.gathered:
        return list(shuffled.split(course.batch))
    return [torch.tensor(b) for b in gather_texts(samples, shuffled, course.batch, order)]
