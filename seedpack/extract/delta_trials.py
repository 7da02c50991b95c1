"""The trainings behind a trained delta: what is checked first, and one model after another.

DeltaJob ──PreparedDelta──> data, original, anatomy, values of the base; or a refusal
         ──DeltaRuns──────> scores of seed, head alone and random base; what the first seed holds
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.delta.decoder import DTYPE_NAMES
from seedpack.codecs.values import all_finite
from seedpack.errors import TrainingError
from seedpack.extract.deltas import find_origin, leave_files
from seedpack.extract.trials import ORIGINAL, Arm, read_split
from seedpack.frameworks import open_model
from seedpack.training import get_task

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from seedpack.codecs.base import BaseTensors
    from seedpack.codecs.delta.encoding import Origin
    from seedpack.frameworks import NamedTensor
    from seedpack.seed.base import Base as BaseModel
    from seedpack.training import Split
    from seedpack.training.deltas import Finished
    from seedpack.training.numbers.checkpoints import Checkpoints
    from seedpack.training.numbers.distilling import Course
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Adapter

SEED: Final = "seed"
PLAIN: Final = "plain delta"
HEAD: Final = "head alone"
RANDOM: Final = "random base"
TASKS: Final = ("text-classification", "image-classification")
_STEPS, _BATCH, _RATE = 400, 16, 0.006  # of the usual course; the rate in root mean squares


@dataclass(frozen=True)
class DeltaJob:
    """What is trained, on what.

    Attributes:
        data: Examples with labels.
        task: One of ``TASKS``.
        course: Steps, batch, rate in root mean squares of each matrix, seed.
        ratio: Bytes of all tensors over bytes of the file, at least.
        max_nbytes: Size that the file never exceeds; one of the two.
        evaluation: As ``data``, never trained on; without it a fifth of ``data`` is.
        nseeds: How many trainings are measured; the first one is published.
        checkpoint: Written while training, gone on from if there.
    """

    data: Path
    task: str
    course: Course
    ratio: float | None = None
    max_nbytes: int | None = None
    evaluation: Path | None = None
    nseeds: int = 3
    checkpoint: Path | None = None

    def __post_init__(self) -> None:
        """Refuse a wrong call before any work."""
        if self.nseeds < 1 or (self.ratio is None) == (self.max_nbytes is None):
            raise ValueError("at least one training, and a ratio or a largest size")


def make_delta_course(steps: int | None = None, *, seed: int = 0) -> Course:
    """Return the usual course of a trained delta, with other steps where they are given."""
    from seedpack.training.numbers.distilling import Course  # noqa: PLC0415 -- imports torch

    return Course(steps=steps or _STEPS, batch=_BATCH, rate=_RATE, seed=seed)


class PreparedDelta:
    """Everything that was checked before the first step.

    Attributes:
        shared: What the base has, by the model's names: the bytes that a pupil starts with.
    """

    def __init__(self, model: Path, base: BaseModel, job: DeltaJob, algorithm: str) -> None:
        """Read and check.

        Raises:
            TrainingError: TRN; EXT-69, a task or model that cannot be trained so.
            ExtractError: EXT, EXT-40.
        """
        self.model, self.base = model, base
        self.split = _read(job)
        self.source, self.recipe = leave_files(open_model(model), base, algorithm)
        self.raw_nbytes = sum(info.nbytes for info in self.source.infos())
        self.dtypes = {info.name: info.dtype.name for info in self.source.infos()}
        origin = find_origin(self.source, base)
        from seedpack.training.deltas import dissect  # noqa: PLC0415 -- imports torch
        from seedpack.training.teaching import Teaching  # noqa: PLC0415 -- same

        teacher = self.open()
        if not teacher.has_trained_head:
            raise _unfit(
                "the model was not tuned for these labels",
                hint="give a folder that answers the task: what is trained imitates its answers",
            )
        found = (_shared(tensor, base, origin) for tensor in self.source.tensors())
        self.shared = dict(pair for pair in found if pair is not None)
        self.anatomy = dissect(teacher, origin, self.dtypes, frozenset(self.shared))
        self._check_names()
        self.teaching = Teaching(teacher, self.split)
        self.digest = base.digest(algorithm).hex()

    def open(self, *, random_init: bool = False, seed: int = 0) -> Adapter:
        """Return the model at its task, or its architecture at random."""
        from seedpack.training.tasks.opening import open_adapter  # noqa: PLC0415 -- torch

        return open_adapter(self.split, self.model, random_init=random_init, seed=seed)

    def _check_names(self) -> None:
        """Refuse a model of which the base's values could not be put in place."""
        known = {*self.anatomy.names, *self.source.unused}
        lost = [name for name in self.shared if name not in known]
        if lost or not self.anatomy.slots:
            what = f"{lost[0][:80]} is merged or split" if lost else "no linear layer of the base"
            raise _unfit(f"{what}: it cannot be trained", hint="leave out --train: cut the delta")


def _shared(tensor: NamedTensor, base: BaseTensors, origin: Origin) -> tuple[str, bytes] | None:
    """Return name and the base's bytes of a tensor, None where the base has no such."""
    name = origin.name(tensor.name)
    if base.describe(name) != (tensor.dtype, tensor.shape):
        return None
    values = base.read(name)
    data = values.tobytes()
    is_float = tensor.dtype.name in DTYPE_NAMES
    if bytes(tensor.data) == data or (is_float and all_finite(np.ravel(values), tensor.dtype)):
        return tensor.name, data
    return None


def _read(job: DeltaJob) -> Split:
    task = get_task(job.task)
    if task.name not in TASKS:
        raise _unfit(f"no trained deltas for task {task.name}", hint=f"one of {', '.join(TASKS)}")
    return read_split(job.task, job.data, job.evaluation, task.forms)


def _unfit(message: str, *, hint: str) -> TrainingError:
    return TrainingError(message, rule="EXT-69", where="model", hint=hint)


class DeltaTrained(NamedTuple):
    """All trainings of a job."""

    arms: tuple[Arm, ...]
    first: Finished


class DeltaRuns:
    """Trains one model after another, and counts the steps of all."""

    def __init__(
        self, prepared: PreparedDelta, job: DeltaJob, progress: Callable[[int, int], None] | None
    ) -> None:
        """Start with nothing trained."""
        self._prepared, self._job, self._progress = prepared, job, progress
        self.nseeds = job.nseeds
        self._written: list[Path] = []
        self._done = 0

    def train_all(self, ranks: Mapping[str, int]) -> DeltaTrained:
        """Train and measure every arm, seed after seed."""
        teaching = self._prepared.teaching
        courses = [
            replace(self._job.course, seed=self._job.course.seed + i) for i in range(self.nseeds)
        ]
        original = teaching.judge(teaching.teacher)
        teaching.ask(courses)
        scores: dict[str, list[Score]] = {SEED: [], HEAD: [], RANDOM: []}
        first: Finished | None = None
        for course in courses:
            for arm, found in scores.items():
                finished, score = self._train(arm, {} if arm == HEAD else ranks, course)
                first = first or finished
                found.append(score)
        arms = [Arm(ORIGINAL, (original,) * self.nseeds, 0)]
        arms += [Arm(name, tuple(found), 0) for name, found in scores.items()]
        if first is None:
            raise TypeError("no training at all, which the job has refused")
        return DeltaTrained(tuple(arms), first)

    def measure_values(self, values: Mapping[str, np.ndarray]) -> Score:
        """Return the score of the model with all tensors of ``values``, by stored name."""
        from seedpack.training.deltas import load_values  # noqa: PLC0415 -- imports torch

        prepared, adapter = self._prepared, self._prepared.open()
        load_values(adapter, prepared.anatomy.names, prepared.dtypes, values)
        return prepared.teaching.judge(adapter)

    def _train(self, arm: str, ranks: Mapping[str, int], course: Course) -> tuple[Finished, Score]:
        from seedpack.training.deltas import DeltaPupil, load_values  # noqa: PLC0415 -- torch
        from seedpack.training.teaching import teach  # noqa: PLC0415 -- torch

        prepared = self._prepared
        adapter = prepared.open(random_init=arm == RANDOM, seed=course.seed)
        if arm != RANDOM:
            load_values(adapter, prepared.anatomy.names, prepared.dtypes, prepared.shared)
        pupil = DeltaPupil(
            adapter, prepared.anatomy, ranks, dtypes=prepared.dtypes, seed=course.seed
        )
        groups = pupil.groups(course)
        if groups:  # none: nothing but a head, and the base has it
            checkpoints = self._checkpoints(arm, ranks, course)
            teach(
                adapter,
                groups,
                prepared.teaching,
                course,
                checkpoints=checkpoints,
                progress=self._count,
            )
        finished = pupil.finish()
        return finished, prepared.teaching.judge(adapter)

    def _count(self, step: int, steps: int) -> None:
        if self._progress is not None:
            self._progress(self._done + step, steps * self.nseeds * 3)
        self._done += steps if step == steps else 0

    def _checkpoints(
        self, arm: str, ranks: Mapping[str, int], course: Course
    ) -> Checkpoints | None:
        """Return the file of one training, which names all that it depends on."""
        if self._job.checkpoint is None:
            return None
        from seedpack.training.numbers.checkpoints import Checkpoints  # noqa: PLC0415 -- torch

        parts = (course.describe(), arm, repr(sorted(ranks.items())), self._prepared.digest)
        identity = self._prepared.teaching.identify(*parts)
        name = f"{self._job.checkpoint.name}.{arm.replace(' ', '-')}-{course.seed}"
        path = self._job.checkpoint.with_name(name)
        self._written.append(path)
        return Checkpoints(path, identity)

    def remove_checkpoints(self) -> None:
        """Remove what is of no more use, once the seed is written."""
        for path in self._written:
            path.unlink(missing_ok=True)
