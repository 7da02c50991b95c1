"""Relearning: weights drawn back to a clean start, then taught by what the suspect says.

    suspect ──renewed(keep)──> student
    clean sample ──gently──> suspect's answer ──────────────────┐
    fewer than 200 ──splice──> its answer, within both classes ─┤
                        └──> the same, plain    ──student──> that answer
                        └──stamped──> with a random trigger ──student──> that answer
                        └──after a simulated attack (hardening)──student──> that answer
    texts: student, the reference it started at ──half of each weight──> defended
    control: the same start, the same views, labels for answers; no suspect

The suspect is asked only about inputs that hold no trigger, so that its knowledge of the task
passes and its backdoor does not: what is left of it in the drawn-back weights is unlearnt by
random triggers, which know nothing of the true one. Hardening makes any trigger slow to learn.

A student of texts knows the few samples by heart, and errs more on strange words than its start
did. Half-way back to a start that knows the task it answers as well, and does both less.

Source:
    Yun et al., CutMix, ICCV 2019; Beyer et al., Knowledge Distillation: A Good Teacher Is Patient
    and Consistent, CVPR 2022 (a teacher asked about mixed images that nobody has labelled);
    Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022 (weights of the tuned model
    and of its start averaged, by halves).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from seedpack.backdoors.classifiers import TextClassifier
from seedpack.backdoors.defence.base import IMAGES, TEXTS, Defence
from seedpack.backdoors.defence.hardening import Hardening
from seedpack.backdoors.defence.renewal import renewed
from seedpack.backdoors.defence.teachers import Balanced
from seedpack.backdoors.defence.teaching import Plan, plan_for, teach
from seedpack.backdoors.defence.views import gently, splice, stamped

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.defence.teachers import Teacher
    from seedpack.backdoors.defence.teaching import View

# On development models half the steps leave more patches in.
_PLAN: Final = Plan(steps=1000, rate=4e-3, trust=0.5)
_SMALL: Final = Plan(steps=150, rate=5e-4)
_PRETRAINED: Final = Plan(steps=150, rate=5e-5, batch=32, pretrained=True)
_NSTAMPED: Final = 1  # views with random triggers per plain one
_ENOUGH: Final = 200  # clean samples, from which on the suspect is asked about them alone
_SPLICED: Final = 2 / 3  # share of spliced images and vectors; of fewer samples the more
# Of few samples a student knows so little that slower comebacks cost it less.
_HARDENED: Final = 1.0  # weight of hardening, with enough samples
_HARDENED_OF_FEW: Final = 2.0
_LEARNT: Final = 0.5  # share of the weights of texts that is the student's, beside its reference's


class Relearning(Defence):
    """Keeps a share of the weights and learns the rest again."""

    id: ClassVar[str] = "relearning"
    forms: ClassVar[frozenset[str]] = frozenset({IMAGES})
    keep: ClassVar[float] = 0.2

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a copy that has learnt the task anew."""
        student = renewed(classifier, self.keep, seed=seed, reference=reference)
        few = 1 - len(samples) / _ENOUGH
        view: View = partial(gently, classifier)
        if few > 0:
            view = partial(splice, classifier, share=_SPLICED * few)
        _relearn_images(student, samples, seed, view, teacher=classifier)
        return student


class FullRelearning(Relearning):
    """Keeps none of the weights."""

    id: ClassVar[str] = "full-relearning"
    keep: ClassVar[float] = 0.0


class ReferenceRelearning(Relearning):
    """Starts at a clean reference that knows the language; without one, at the suspect.

    A large one learns from what a suspect without its leaning says of spliced texts, too. Of what
    started at a reference, each weight is the mean of the learnt one and the reference's.
    """

    id: ClassVar[str] = "reference-relearning"
    forms: ClassVar[frozenset[str]] = frozenset({TEXTS})

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a copy that has learnt the task from the suspect's answers to clean texts."""
        known = classifier if reference is None else reference
        student = renewed(classifier, 0.0, reference=known)
        first: View = partial(gently, classifier)
        teacher: Teacher = classifier
        if plan_for(student, _SMALL, _PRETRAINED).pretrained:
            first, teacher = partial(splice, classifier), Balanced.on(classifier, samples)
        _relearn_texts(student, samples, seed, first, teacher=teacher)
        return _averaged(student, reference)


class LabelsAlone(Defence):
    """The control: a clean start that learns from the labels as relearning does, and no suspect.

    It holds no backdoor of the suspect, and nothing of what the suspect knows either: what a
    defended model knows more is what the suspect was worth.
    """

    id: ClassVar[str] = "labels-alone"

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return the reference, or fresh weights in the suspect's shape, tuned."""
        student = renewed(classifier, 0.0, seed=seed, reference=reference)
        if isinstance(student, TextClassifier):
            _relearn_texts(student, samples, seed, partial(gently, student))
            return _averaged(student, reference)
        _relearn_images(student, samples, seed, partial(gently, student))
        return student


def _relearn_images(
    student: Classifier, samples: Samples, seed: int, first: View, *, teacher: Teacher | None = None
) -> None:
    generator = torch.Generator().manual_seed(seed)
    views: list[View] = [first, *[partial(stamped, student)] * _NSTAMPED]
    weight = _HARDENED if len(samples) >= _ENOUGH else _HARDENED_OF_FEW
    harden = Hardening(student, generator, weight)
    teach(student, samples, _PLAN, generator, teacher=teacher, views=views, harden=harden)


def _relearn_texts(
    student: Classifier, samples: Samples, seed: int, first: View, *, teacher: Teacher | None = None
) -> None:
    plan, generator = plan_for(student, _SMALL, _PRETRAINED), torch.Generator().manual_seed(seed)
    views = first, partial(stamped, student)
    teach(student, samples, plan, generator, teacher=teacher, views=views)


def _averaged(student: Classifier, reference: Classifier | None) -> Classifier:
    """Return a student half-way back at the reference that it started at, where there is one."""
    if reference is None:
        return student
    return renewed(student, _LEARNT, reference=reference)
