"""The trainings behind the trained seed of a transformers folder.

TrainingJob, FOLDER ──PreparedFolder──> data, original, numbers of each tensor; or a refusal
                    ──FolderRuns──────> arms: original, seed, student of the same bytes, random
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from seedpack.errors import TrainingError
from seedpack.extract.trials import ORIGINAL, Arm, Outcome, Trained, read_split
from seedpack.frameworks import open_model
from seedpack.training import get_task

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.extract.trials import TrainingJob
    from seedpack.training.numbers.budget import Budget
    from seedpack.training.numbers.checkpoints import Checkpoints
    from seedpack.training.numbers.distilling import Course
    from seedpack.training.numbers.virtual import VirtualModel
    from seedpack.training.tasks.base import Adapter

FOLDER_TASKS: Final = ("text-classification", "image-classification")


class PreparedFolder:
    """Everything that was checked before the first step."""

    def __init__(self, model: Path, job: TrainingJob) -> None:
        """Read and check.

        Raises:
            TrainingError: TRN, TRS-1.
            ExtractError: EXT, TRS-2.
        """
        task = get_task(job.task)
        if task.name not in FOLDER_TASKS:
            tasks = " or ".join(FOLDER_TASKS)
            raise _unfit(f"no trained seeds of folders for task {task.name}", hint=tasks)
        self.model = model
        self.split = read_split(job.task, job.data, job.evaluation, task.forms)
        self.source = open_model(model)
        from seedpack.training.numbers.budget import make_budget  # noqa: PLC0415 -- imports torch
        from seedpack.training.teaching import Teaching  # noqa: PLC0415 -- same

        teacher = self.open()
        if not teacher.has_trained_head:
            raise _unfit(
                "the model was not tuned for these labels",
                hint="give a folder that answers the task: what is trained imitates its answers",
            )
        infos = self.source.infos()
        self.names = teacher.parameter_names([info.name for info in infos])
        known = dict(teacher.model.named_parameters(remove_duplicate=False))
        trainable = {stored for stored, name in self.names.items() if name in known}
        if len({id(known[self.names[stored]]) for stored in trainable}) < len(trainable):
            raise _unfit("tensors that are stored twice and tied", hint="save the model anew")
        self.budget: Budget = make_budget(infos, frozenset(trainable), job.ratio)
        self.teaching = Teaching(teacher, self.split)

    def open(self) -> Adapter:
        """Return the model at its task."""
        from seedpack.training.tasks.opening import open_adapter  # noqa: PLC0415 -- torch

        return open_adapter(self.split, self.model, seed=0)


def _unfit(message: str, *, hint: str) -> TrainingError:
    return TrainingError(message, rule="TRS-1", where="model", hint=hint)


class FolderRuns:
    """Trains one model after another, and counts the steps of all."""

    def __init__(
        self,
        prepared: PreparedFolder,
        job: TrainingJob,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        """Start with nothing trained."""
        self._prepared, self._job, self._progress = prepared, job, progress
        self._done = 0
        self._written: list[Path] = []

    def train_all(self) -> Trained:
        """Train and measure every arm, seed after seed."""
        job, teaching = self._job, self._prepared.teaching
        courses = [replace(job.course, seed=job.course.seed + i) for i in range(job.nseeds)]
        original = teaching.judge(teaching.teacher)
        teaching.ask(courses)
        seeds: list[Outcome] = []
        students: list[Outcome] = []
        for course in courses:
            seeds.append(self._train_seed(course))
            student = self._train_student(course, seeds[0].nbytes)
            students += [] if student is None else [student]
        first = seeds[0]
        arms = [
            Arm(ORIGINAL, (original,) * len(seeds), self._prepared.budget.raw_nbytes),
            Arm("seed", tuple(one.score for one in seeds), first.nbytes),
        ]
        if students:
            scores = tuple(one.score for one in students)
            arms.append(Arm("same-bytes student", scores, students[0].nbytes))
        arms.append(Arm("random", tuple(one.before for one in seeds), first.nbytes))
        note = "" if students else "no narrower model of this family is that small"
        return Trained(tuple(arms), first.encoded, note)

    def _train_seed(self, course: Course) -> Outcome:
        from seedpack.training.numbers.virtual import VirtualModel  # noqa: PLC0415 -- imports torch

        prepared, adapter = self._prepared, self._prepared.open()
        virtual = VirtualModel(
            adapter.model,
            prepared.budget,
            seed=course.seed,
            codec=self._job.codec,
            names=prepared.names,
        )
        adapter.model = virtual
        return self._run(adapter, virtual, prepared.budget, course, "seed")

    def _train_student(self, course: Course, nbytes: int) -> Outcome | None:
        from seedpack.training.numbers.narrowing import open_student  # noqa: PLC0415 -- torch

        made = open_student(self._prepared.split, self._prepared.model, nbytes, seed=course.seed)
        return None if made is None else self._run(*made, course, "student")

    def _run(
        self, adapter: Adapter, virtual: VirtualModel, budget: Budget, course: Course, what: str
    ) -> Outcome:
        from seedpack.training.teaching import teach  # noqa: PLC0415 -- imports torch

        teaching = self._prepared.teaching
        before = teaching.judge(adapter)
        groups = [{"params": list(virtual.parameters()), "lr": course.rate}]
        checkpoints = self._checkpoints(course, what, virtual)
        teach(adapter, groups, teaching, course, checkpoints=checkpoints, progress=self._count)
        encoded = virtual.export()
        nbytes = budget.fixed_nbytes + sum(one.stored_nbytes + 1 for one in encoded.values())
        return Outcome(teaching.judge(adapter), before, encoded, nbytes)

    def _count(self, step: int, steps: int) -> None:
        if self._progress is not None:
            self._progress(self._done + step, steps * self._job.nseeds * 2)
        self._done += steps if step == steps else 0

    def _checkpoints(self, course: Course, what: str, virtual: VirtualModel) -> Checkpoints | None:
        """Return the file of one training, which names all that it depends on."""
        if self._job.checkpoint is None:
            return None
        from seedpack.training.numbers.checkpoints import Checkpoints  # noqa: PLC0415 -- torch

        identity = self._prepared.teaching.identify(course.describe(), what, virtual.describe())
        path = self._job.checkpoint.with_name(f"{self._job.checkpoint.name}.{what}-{course.seed}")
        self._written.append(path)
        return Checkpoints(path, identity)

    def remove_checkpoints(self) -> None:
        """Remove what is of no more use, once the seed is written."""
        for path in self._written:
            path.unlink(missing_ok=True)
