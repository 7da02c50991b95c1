"""The training loop that all defences share: views of clean samples, and what to answer.

    clean samples ──drawn; of large models' texts similar lengths together──> clean batch
    clean batch ──views──> view 0, view 1, ...          the first is the plain one
    teacher's answer to view 0, mixed with the label ──> what every view is to be answered with
    no label: the teacher's alone, within the classes that can be right
    sum over views of the cross-entropy (+ penalty) ──AdamW or SAM──> student
    view 0 and its answers ──harden──> more gradients, added to those

The teacher is asked about gently changed clean inputs only, never about triggered ones. Steps of a
pretrained model round what they multiply, where the processor can (AUD-10); answers do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from seedpack.backdoors.classifiers import UNLABELLED, Samples, TextClassifier, is_large
from seedpack.backdoors.texts import gather_texts
from seedpack.training.products import rounded_products

if TYPE_CHECKING:
    from torch import Generator

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.defence.teachers import Teacher

View = Callable[[Samples, "Generator"], Samples]
_CLIP: Final = 5.0  # largest norm of a gradient that is followed
_DECAY: Final = 1e-3
_RAREST: Final = 1e-12  # probability that is divided by


@dataclass(frozen=True)
class Plan:
    """How to teach.

    Attributes:
        steps: Of the optimizer.
        rate: Highest learning rate; it rises for a seventh of the steps and falls to nothing.
        batch: Clean samples per step.
        trust: Weight of the label in the answer to give; the rest is the teacher's.
        sharpness: Radius in which weights have to be good, too (SAM); 0: only where they are.
        pretrained: Made for a large model of texts: similar lengths go together, and products are
            rounded where the processor can.
    """

    steps: int = 600
    rate: float = 4e-3
    batch: int = 64
    trust: float = 0.5
    sharpness: float = 0.0
    pretrained: bool = False


def plan_for(student: Classifier, small: Plan, pretrained: Plan) -> Plan:
    """Return the plan that suits a model: ``pretrained`` for a large one of texts.

    Such a one knows a language, which few samples teach nobody, and would lose it in steps that a
    small one learns from. A large one of images may have learnt its task from nothing.
    """
    is_pretrained = isinstance(student, TextClassifier) and is_large(student)
    return pretrained if is_pretrained else small


def plain(samples: Samples, generator: Generator) -> Samples:
    """Return the samples as they are."""
    del generator
    return samples


def teach(  # noqa: PLR0913 -- one loop for all methods, each with what it adds
    student: Classifier,
    samples: Samples,
    plan: Plan,
    generator: Generator,
    *,
    teacher: Teacher | None = None,
    views: Sequence[View] = (plain,),
    penalty: Callable[[], Tensor] | None = None,
    harden: Callable[[Samples, Tensor], None] | None = None,
) -> None:
    """Tune ``student`` in place, and leave it in evaluation mode.

    Args:
        student: Any weights.
        samples: Clean.
        plan: How long, how fast.
        generator: Of everything random but dropout.
        teacher: Whose answers to view 0 are learnt beside the labels, and alone where there is no
            label; None: labels alone.
        views: The first makes view 0 of the batch, the others make theirs from view 0.
        penalty: Added to the loss.
        harden: Called with view 0 and its answers once there are gradients; adds its own.

    Cost:
        ``plan.steps`` passes over ``len(views) * plan.batch`` inputs, forwards and backwards,
        and twice that with SAM.
    """
    weights = [p for p in student.module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, plan.rate, weight_decay=_DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, plan.rate, total_steps=plan.steps, pct_start=0.15
    )
    student.module.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(torch.randint(2**31, (1,), generator=generator)))  # dropout
        for batch in _batches(samples, plan, generator):
            first = views[0](batch, generator)
            answers = _answers(first, student.nclasses, plan, teacher)
            batches = [first, *(view(first, generator) for view in views[1:])]

            def descend(batches: list[Samples] = batches, answers: Tensor = answers) -> None:
                total = sum_losses(student, batches, answers)
                (total if penalty is None else total + penalty()).backward()
                if harden is not None:
                    harden(batches[0], answers)

            with rounded_products(wanted=plan.pretrained):
                _step(optimizer, weights, descend, plan.sharpness)
            schedule.step()
    student.module.eval()


def _batches(samples: Samples, plan: Plan, generator: Generator) -> Iterator[Samples]:
    """Yield one batch per step, drawn with replacement."""
    if not plan.pretrained or samples.mask is None:
        for _ in range(plan.steps):
            yield samples.take(torch.randint(len(samples), (plan.batch,), generator=generator))
        return
    drawn = torch.randint(len(samples), (plan.steps * plan.batch,), generator=generator)
    yield from map(samples.take, gather_texts(samples, drawn, plan.batch, generator))


def sum_losses(student: Classifier, batches: Sequence[Samples], answers: Tensor) -> Tensor:
    """Return the sum over views of the mean cross-entropy with ``answers`` (batch, nclasses)."""
    joined = join(batches)
    logits = student.logits(joined.x, joined.mask)
    logs = nn.functional.log_softmax(logits, 1).view(len(batches), *answers.shape)
    return -(answers * logs).sum(2).mean(1).sum()


def join(batches: Sequence[Samples]) -> Samples:
    """Return batches of one width as a single one."""
    masks = [batch.mask for batch in batches if batch.mask is not None]
    return Samples(
        torch.cat([batch.x for batch in batches]),
        torch.cat([batch.y for batch in batches]),
        torch.cat(masks) if masks else None,
    )


def _answers(first: Samples, nclasses: int, plan: Plan, teacher: Teacher | None) -> Tensor:
    right = nn.functional.one_hot(first.y.clamp(min=0), nclasses).float()
    if teacher is None:
        return right
    taught = teacher.scores(first).softmax(1)
    # A teacher that contradicts the label may be what was tampered with: class flips are.
    agrees = (taught.argmax(1) == first.y)[:, None]
    answers = torch.where(agrees, torch.lerp(taught, right, plan.trust), right)
    return torch.where((first.y == UNLABELLED)[:, None], _within(taught, first), answers)


def _within(taught: Tensor, samples: Samples) -> Tensor:
    """Return answers (n, nclasses), those to a class that cannot be right as if it were not there.

    Where a suspect says something else than a sample is made of, it may have seen a trigger.
    """
    if samples.candidates is None:
        return taught
    possible = taught * samples.candidates
    likeliest = possible.argmax(1) == taught.argmax(1)
    possible = possible / possible.sum(1, keepdim=True).clamp(min=_RAREST)
    return torch.where(likeliest[:, None], taught, possible)


def _step(
    optimizer: torch.optim.Optimizer,
    weights: list[nn.Parameter],
    descend: Callable[[], None],
    sharpness: float,
) -> None:
    """Go one step; with SAM along the gradient at the worst point within ``sharpness``.

    ``descend`` leaves the gradients of where the weights are.
    """
    optimizer.zero_grad()
    descend()
    norm = nn.utils.clip_grad_norm_(weights, _CLIP)
    if sharpness:
        moves = [_uphill(w, sharpness / float(norm.clamp(1e-12, _CLIP))) for w in weights]
        _shift(weights, moves, 1.0)
        optimizer.zero_grad()
        descend()
        _shift(weights, moves, -1.0)
        nn.utils.clip_grad_norm_(weights, _CLIP)
    optimizer.step()


def _uphill(weight: nn.Parameter, factor: float) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad * factor


@torch.no_grad()
def _shift(weights: list[nn.Parameter], moves: list[Tensor], sign: float) -> None:
    for weight, move in zip(weights, moves, strict=True):
        weight.add_(move, alpha=sign)
