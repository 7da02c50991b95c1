"""A model at its task learns to answer as another does: one loop for all adapters.

    examples ──teacher's adapter──> items, labels, and once for all: the teacher's scores
    step t ──seed, t──> items ──collate──> batch ──pupil──> scores ─┐
                                           what the teacher says ───┴─> loss ──Adam──> step

Images are turned and shifted anew at each step, so that the teacher is asked each time. Everything
random is drawn from (seed, step): what goes on from a checkpoint gives the same bits.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from seedpack.training.batches import answer, evaluation_batches
from seedpack.training.numbers.augmenting import augment_images, is_image_batch
from seedpack.training.numbers.distilling import loss_of, schedule
from seedpack.training.recipes import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from seedpack.training.checks import Split
    from seedpack.training.numbers.checkpoints import Checkpoints
    from seedpack.training.numbers.distilling import Course
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Adapter, Batch

_BETAS: Final = (0.9, 0.99)
_RECIPE: Final = Recipe()  # of it, the length at which texts are cut
_IMAGES: Final = "x"  # of a batch


@dataclass(frozen=True)
class Batched:
    """What one step learns from."""

    batch: Batch
    wanted: torch.Tensor  # (n,) classes
    taught: torch.Tensor  # (n, classes)


class Teaching:
    """A teacher, what it teaches on, and what it says to that."""

    def __init__(self, teacher: Adapter, split: Split) -> None:
        """Encode the examples; nothing is answered yet."""
        self.teacher = teacher
        self.split = split
        self._items = teacher.encode(split.train, _RECIPE)
        self._judged = teacher.encode(split.evaluation, _RECIPE)
        places = {label: index for index, label in enumerate(split.labels)}
        self._labels = torch.tensor([places[label] for label in split.train.targets])
        self._taught: torch.Tensor | None = None  # (examples, classes)
        self._moves = is_image_batch(teacher.collate(self._items[:1]).get(_IMAGES, self._labels))

    def ask(self, courses: Iterable[Course]) -> None:
        """Let the teacher answer all that the trainings will draw, in one order for all of them.

        Cost:
            A pass of the teacher over these examples; none where images are moved.
        """
        if self._moves:
            return
        drawn = sorted({i for c in courses for step in range(c.steps) for i in self._draw(c, step)})
        items = [self._items[i] for i in drawn]
        taught = torch.zeros(len(self._items), len(self.split.labels))
        for batch, chosen in evaluation_batches(self.teacher, items):
            taught[[drawn[i] for i in chosen]] = self.teacher.logits(batch)
        self._taught = taught

    def draw(self, course: Course, step: int) -> Batched:
        """Return what a step of ``course`` learns from."""
        chosen = self._draw(course, step)
        batch = self.teacher.collate([self._items[i] for i in chosen])
        if self._taught is not None:
            return Batched(batch, self._labels[chosen], self._taught[chosen])
        if course.augment:
            random = np.random.Generator(np.random.PCG64([course.seed, step, 1]))
            batch = {**batch, _IMAGES: augment_images(batch[_IMAGES], random)}
        self.teacher.model.eval()
        with torch.no_grad():
            return Batched(batch, self._labels[chosen], self.teacher.logits(batch))

    def _draw(self, course: Course, step: int) -> list[int]:
        random = np.random.Generator(np.random.PCG64([course.seed, step]))
        drawn: list[int] = random.integers(len(self._items), size=course.batch).tolist()
        return drawn

    def judge(self, pupil: Adapter) -> Score:
        """Return the first metric of the task for what ``pupil`` answers to the evaluation."""
        return pupil.score(answer(pupil, self._judged), self.split.evaluation)[0]

    def identify(self, *parts: str) -> str:
        """Return what tells a training from any other: ``parts``, data and teacher."""
        hasher = hashlib.sha256()
        for part in parts:
            hasher.update(len(part.encode()).to_bytes(8, "little") + part.encode())
        batches = (self.teacher.collate([item]) for item in self._items)
        tensors = (value for batch in batches for value in batch.values())
        for value in (*tensors, *self.teacher.model.state_dict().values()):
            plain = value.detach().cpu().contiguous()
            hasher.update(f"{plain.dtype} {tuple(plain.shape)}".encode())
            hasher.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
        return hasher.hexdigest()


def teach(
    pupil: Adapter,
    groups: Sequence[dict[str, Any]],
    teaching: Teaching,
    course: Course,
    *,
    checkpoints: Checkpoints | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train what ``groups`` name of ``pupil``, as the teacher answers.

    Args:
        pupil: At the same task as the teacher.
        groups: ``params`` and ``lr``, the highest rate of these.
        teaching: Examples, and what the teacher says to them.
        course: Steps, batch, seed; its rate is a factor in ``groups`` already.
        checkpoints: Where to go on from and to write to.
        progress: Called with steps done and steps in all.

    Raises:
        TrainingError: TRS-4, a checkpoint of another training.
    """
    optimizer = torch.optim.Adam(groups, betas=_BETAS)
    rates = [group["lr"] for group in optimizer.param_groups]
    trained = torch.nn.ParameterList([p for group in groups for p in group["params"]])
    done = checkpoints.resume(trained, optimizer) if checkpoints else 0
    pupil.model.eval()  # no dropout: few numbers need no more noise than their rounding is
    for step in range(done, course.steps):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * schedule(step, course.steps)
        drawn = teaching.draw(course, step)
        loss = loss_of(pupil.logits(drawn.batch), drawn.taught, drawn.wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if checkpoints:
            checkpoints.after_step(step + 1, course.steps, trained, optimizer)
        if progress is not None:
            progress(step + 1, course.steps)
