"""The trainings behind a trained seed: what is checked first, and one model after another.

TrainingJob ──Prepared──> data, module, numbers of each tensor; or a refusal
Prepared    ──Runs──────> outcome of the seed, of the student of the same bytes
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.codecs.registry import TRAINED_IDS
from seedpack.errors import TrainingError
from seedpack.frameworks import open_model
from seedpack.training import check_split, get_task, read_examples
from seedpack.training.sampling import hold_out
from seedpack.training.statistics import Interval, mean_value, score_interval

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.codecs.base import Encoded
    from seedpack.frameworks.factories import Factory
    from seedpack.training import Split
    from seedpack.training.examples import Form
    from seedpack.training.numbers.budget import Budget
    from seedpack.training.numbers.checkpoints import Checkpoints
    from seedpack.training.numbers.distilling import Course
    from seedpack.training.numbers.trials import Module, Tensors
    from seedpack.training.numbers.virtual import VirtualModel
    from seedpack.training.scores import Score

ORIGINAL: Final = "original"  # name of an arm
_TASKS: Final = ("image-classification", "generic")


@dataclass(frozen=True)
class TrainingJob:
    """What is trained, on what.

    Attributes:
        data: Arrays ``x`` and ``y`` (npz), or a data set of them.
        task: ``image-classification`` or ``generic``; of a folder ``text-classification`` or
            ``image-classification``.
        ratio: Raw bytes of all tensors over stored bytes of all weights, chunks and params.
        factory: Builds the module of the tensors; with a parameter ``width`` from 0 to 1 it
            builds narrower ones, too, of which one is the same-bytes student. None: the model is a
            transformers folder, which says itself how it is built.
        evaluation: As ``data``, never trained on; without it a fifth of ``data`` is.
        course: Steps, batch, rate, seed.
        nseeds: How many trainings are measured; the first one is published.
        codec: How weights are made of numbers, one of ``TRAINED_IDS``.
        checkpoint: Written while training, gone on from if there.
    """

    data: Path
    task: str
    ratio: float
    course: Course
    factory: Factory | None = None
    evaluation: Path | None = None
    nseeds: int = 3
    checkpoint: Path | None = None
    codec: str = "hash"

    def __post_init__(self) -> None:
        """Refuse a wrong call before any work."""
        if self.nseeds < 1 or self.codec not in TRAINED_IDS:
            raise ValueError(f"{self.nseeds} trainings of codec {self.codec}")


def make_course(steps: int | None = None, *, seed: int = 0) -> Course:
    """Return the usual course, with another number of steps where one is given."""
    from seedpack.training.numbers.distilling import Course  # noqa: PLC0415 -- imports torch

    return Course(seed=seed) if steps is None else Course(steps=steps, seed=seed)


class Prepared:
    """Everything that was checked before the first step."""

    def __init__(self, model: Path, job: TrainingJob, factory: Factory) -> None:
        """Read and check.

        Raises:
            TrainingError: TRN, TRS-1.
            ExtractError: EXT, TRS-2.
            AssemblyError: ASM-1, ASM-5.
        """
        self.split = _read(job)
        from seedpack.frameworks.factories import build_module  # noqa: PLC0415 -- imports torch
        from seedpack.training.numbers import trials  # noqa: PLC0415 -- same
        from seedpack.training.numbers.budget import make_budget  # noqa: PLC0415 -- same

        self.source = open_model(model)
        self.module = build_module(factory, self.source)
        self.train: Tensors = trials.to_tensors(self.split.train, self.split)
        self.evaluation: Tensors = trials.to_tensors(self.split.evaluation, self.split)
        trials.check_untied(self.module)
        trials.check_answers(self.module, self.train)
        names = trials.trainable_names(self.module)
        self.budget: Budget = make_budget(self.source.infos(), names, job.ratio)


def _read(job: TrainingJob) -> Split:
    """Return the data.

    Raises:
        TrainingError: TRN-1 to TRN-9; TRS-1, a task that cannot be trained so.
    """
    if job.task not in _TASKS:
        get_task(job.task)  # refuses what is no task at all
        raise TrainingError(
            "no trained seeds for this task",
            rule="TRS-1",
            where=f"task {job.task}",
            hint=f"with --train: {' or '.join(_TASKS)}, from an .npz",
        )
    return read_split(job.task, job.data, job.evaluation, ("arrays",))


def read_split(
    task_name: str, data: Path, evaluation: Path | None, forms: tuple[Form, ...]
) -> Split:
    """Return the data of a task; without an evaluation, a fifth is held out.

    Raises:
        TrainingError: TRN-1 to TRN-9.
    """
    task = get_task(task_name)
    examples = read_examples(data, forms)
    if evaluation is not None:
        return check_split(task, examples, read_examples(evaluation, forms))
    fit, held = hold_out(examples, stratify=not examples.is_numeric, seed=0)
    return check_split(task, examples.take(fit), examples.take(held or fit[:0]))


@dataclass(frozen=True)
class Arm:
    """One model measured on the evaluation, over all training seeds."""

    name: str
    scores: tuple[Score, ...]
    nbytes: int  # of its weights

    @property
    def value(self) -> float:
        """The mean."""
        return mean_value(self.scores)

    @property
    def interval(self) -> Interval:
        """Of the mean, over examples and training seeds."""
        return score_interval(self.scores)


class Trained(NamedTuple):
    """All trainings of a job."""

    arms: tuple[Arm, ...]  # original, seed, same-bytes student if there is one, random
    encoded: dict[str, Encoded]  # of the first seed
    note: str  # why there is no student; empty where there is one


@dataclass(frozen=True)
class Outcome:
    """A trained model."""

    score: Score
    before: Score  # with untrained numbers
    encoded: dict[str, Encoded]
    nbytes: int  # of its weights, chunks and params


class Runs:
    """Trains one model after another, and counts the steps of all."""

    def __init__(
        self,
        prepared: Prepared,
        job: TrainingJob,
        factory: Factory,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Start with nothing trained."""
        from seedpack.training.numbers.trials import has_width  # noqa: PLC0415 -- imports torch

        self._prepared = prepared
        self._job, self._factory = job, factory
        self._progress = progress
        self._widths = has_width(factory)
        self.no_student = "the factory takes no width" if not self._widths else ""
        self._done = 0
        self._written: list[Path] = []
        self._total = job.course.steps * job.nseeds * (2 if self._widths else 1)

    def measure(self, module: Module) -> Score:
        """Return the score of ``module`` on the evaluation."""
        from seedpack.training.numbers import trials  # noqa: PLC0415 -- imports torch

        return trials.measure(module, self._prepared.evaluation, self._prepared.train)

    def train_all(self) -> Trained:
        """Train and measure every arm, seed after seed."""
        original = self.measure(self._prepared.module)
        seeds: list[Outcome] = []
        students: list[Outcome] = []
        for turn in range(self._job.nseeds):
            seeds.append(self.train_seed(turn))
            student = self.train_student(turn, seeds[0].nbytes)
            students += [student] if student is not None else []
        first = seeds[0]
        raw_nbytes = self._prepared.budget.raw_nbytes
        arms = [
            Arm(ORIGINAL, (original,) * len(seeds), raw_nbytes),
            Arm("seed", tuple(one.score for one in seeds), first.nbytes),
        ]
        if students:
            scores = tuple(one.score for one in students)
            arms.append(Arm("same-bytes student", scores, students[0].nbytes))
        arms.append(Arm("random", tuple(one.before for one in seeds), first.nbytes))
        return Trained(tuple(arms), first.encoded, "" if students else self.no_student)

    def train_seed(self, turn: int) -> Outcome:
        """Train numbers for the model's own tensors."""
        from seedpack.training.numbers.virtual import VirtualModel  # noqa: PLC0415 -- imports torch

        seed = self._job.course.seed + turn
        budget = self._prepared.budget
        virtual = VirtualModel(self._prepared.module, budget, seed=seed, codec=self._job.codec)
        return self._run(virtual, budget, seed, "seed")

    def train_student(self, turn: int, nbytes: int) -> Outcome | None:
        """Train a narrower model of the same family with at most as many bytes."""
        from seedpack.training.numbers.trials import make_student  # noqa: PLC0415 -- imports torch

        seed = self._job.course.seed + turn
        made = make_student(self._factory, nbytes, seed=seed) if self._widths else None
        if made is None:
            self.no_student = self.no_student or "no module of the family is that small"
            return None
        return self._run(*made, seed, "student")

    def _run(self, virtual: VirtualModel, budget: Budget, seed: int, what: str) -> Outcome:
        from seedpack.training.numbers.distilling import distil  # noqa: PLC0415 -- imports torch

        course = replace(self._job.course, seed=seed)
        train = self._prepared.train
        before = self.measure(virtual)
        distil(
            virtual,
            self._prepared.module,
            train.inputs,
            train.labels,
            course,
            checkpoints=self._checkpoints(course, what, virtual),
            progress=self._count,
        )
        encoded = virtual.export()
        nbytes = budget.fixed_nbytes + sum(one.stored_nbytes + 1 for one in encoded.values())
        return Outcome(self.measure(virtual), before, encoded, nbytes)

    def _count(self, step: int, steps: int) -> None:
        if self._progress is not None:
            self._progress(self._done + step, self._total)
        self._done += steps if step == steps else 0

    def _checkpoints(self, course: Course, what: str, virtual: VirtualModel) -> Checkpoints | None:
        """Return the file of one training, which names all that it depends on."""
        if self._job.checkpoint is None:
            return None
        from seedpack.training.numbers.checkpoints import Checkpoints  # noqa: PLC0415 -- torch

        hasher = hashlib.sha256(f"{course.describe()} {what} {virtual.describe()}".encode())
        train = self._prepared.train
        tensors = [train.inputs, train.labels, *self._prepared.module.state_dict().values()]
        for tensor in tensors:
            hasher.update(tensor.contiguous().reshape(-1).numpy().tobytes())
        path = self._job.checkpoint.with_name(f"{self._job.checkpoint.name}.{what}-{course.seed}")
        self._written.append(path)
        return Checkpoints(path, hasher.hexdigest())

    def remove_checkpoints(self) -> None:
        """Remove what is of no more use, once the seed is written."""
        for path in self._written:
            path.unlink(missing_ok=True)
