"""Iterated inversion-unlearning: found triggers are stamped on and answered rightly.

    each step, for every class at once:  triggers ──inversion──> a little more convincing
    clean batch ──gently──> suspect's answer, taught for  plain | found trigger | random trigger
    every few steps half of the triggers start again elsewhere, so that all hiding places are tried

Two triggers per class: one added over the whole input within an L2 ball, one of a few values.

Source:
    Wang et al., Neural Cleanse, IEEE S&P 2019 (inversion and unlearning); Zeng et al., I-BAU,
    ICLR 2022 (arXiv 2110.03735; both in turns).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch import Tensor, nn

from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.defence.base import IMAGES, Defence
from seedpack.backdoors.defence.renewal import renew_head
from seedpack.backdoors.defence.teaching import Plan, teach
from seedpack.backdoors.defence.views import gently, stamped

if TYPE_CHECKING:
    from torch import Generator

    from seedpack.backdoors.classifiers import Classifier

_PLAN: Final = Plan(steps=300, rate=1e-3, trust=0.5)
_RADIUS: Final = 0.19  # of the ball: per square root of the values, in ranges of the inputs
_FEW: Final = 0.1  # share of the values that a small trigger changes
_STRIDE: Final = 0.5  # length of a step of the inversion, in ranges of the inputs
_SHOWN: Final = 12  # samples that a trigger is tried on at each step
_PERIOD: Final = 40  # steps between fresh starts
_AGAIN: Final = 0.5  # share of the triggers that start again
_SEARCHES: Final = 2, 6, 15  # steps of the inversion: each time, after fresh starts, at first
_SETTLED: Final = 0.75  # share of the steps after which no trigger starts again


class Triggers:
    """Universal triggers for every class, kept up with the student."""

    def __init__(self, student: ImageClassifier, samples: Samples, generator: Generator) -> None:
        """Start at random."""
        self.student, self.samples, self.generator = student, samples, generator
        self.target = torch.arange(student.nclasses).repeat(2)  # (k,)
        self.is_small = torch.arange(len(self.target)) >= student.nclasses
        self.delta = torch.zeros(len(self.target), *samples.x.shape[1:])
        self.span = student.high - student.low
        nvalues = self.delta[0].numel()
        self.radius = _RADIUS * nvalues**0.5 * self.span
        self.nfew = max(round(_FEW * nvalues), 1)
        self.steps = 0
        self.restart(torch.ones(len(self.target), dtype=torch.bool))

    def restart(self, chosen: Tensor) -> None:
        """Start those again."""
        noise = torch.randn(self.delta[chosen].shape, generator=self.generator)
        self.delta[chosen] = 0.05 * self.span * noise

    def apply(self, x: Tensor, which: Tensor, delta: Tensor | None = None) -> Tensor:
        """Return inputs (n, ...) with the triggers of those numbers (n,)."""
        changes = (self.delta if delta is None else delta)[which]
        return (x + changes).clamp(self.student.low, self.student.high)

    def search(self, nsteps: int) -> None:
        """Go ``nsteps`` towards answers with the targets, all triggers at once."""
        which = torch.arange(len(self.target)).repeat_interleave(_SHOWN)
        for _ in range(nsteps):
            drawn = torch.randint(len(self.samples), which.shape, generator=self.generator)
            shown = self.samples.take(drawn)
            delta = self.delta.clone().requires_grad_()
            logits = self.student.logits(self.apply(shown.x, which, delta))
            losses = nn.functional.cross_entropy(logits, self.target[which], reduction="none")
            total = (losses * (shown.y != self.target[which])).sum()
            slope = torch.autograd.grad(total, delta)[0].flatten(1)
            slope = slope / slope.norm(dim=1, keepdim=True).clamp(min=1e-12)
            stride = _STRIDE * self.span * slope.view_as(self.delta)
            self.delta = self._project(self.delta - stride)

    def _project(self, delta: Tensor) -> Tensor:
        flat = delta.flatten(1)
        norm = flat.norm(dim=1, keepdim=True).clamp(min=self.radius)
        inside = flat * (self.radius / norm)
        least = flat.abs().topk(self.nfew, 1).values[:, -1:]
        few = (flat * (flat.abs() >= least)).clamp(-self.span, self.span)
        return torch.where(self.is_small[:, None], few, inside).view_as(delta)

    def view(self, samples: Samples, generator: Generator) -> Samples:
        """Return the samples, each with one of the triggers as they are found now."""
        each, fresh, first = _SEARCHES
        if self.steps % _PERIOD == 0 and self.steps < _SETTLED * _PLAN.steps:
            chosen = torch.rand(len(self.target), generator=generator) < _AGAIN
            self.restart(chosen)
            self.search(fresh if self.steps else first)
        self.search(each)
        self.steps += 1
        which = torch.randint(len(self.target), (len(samples),), generator=generator)
        return Samples(self.apply(samples.x, which), samples.y)


class Unlearning(Defence):
    """Iterated inversion-unlearning."""

    id: ClassVar[str] = "unlearning"
    forms: ClassVar[frozenset[str]] = frozenset({IMAGES})
    fresh_head: ClassVar[bool] = False

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a copy that answers found triggers rightly."""
        del reference
        student = classifier.clone()
        assert isinstance(student, ImageClassifier)  # noqa: S101 -- by its forms
        if self.fresh_head:
            renew_head(student, seed)
        generator = torch.Generator().manual_seed(seed)
        triggers = Triggers(student, samples, generator)
        teach(
            student,
            samples,
            _PLAN,
            generator,
            teacher=classifier,
            views=(partial(gently, classifier), triggers.view, partial(stamped, classifier)),
        )
        return student


class HeadUnlearning(Unlearning):
    """The same with a fresh head, as in feature shift tuning."""

    id: ClassVar[str] = "head-unlearning"
    fresh_head: ClassVar[bool] = True
