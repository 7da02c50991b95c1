"""A seed that was trained: few numbers that make the model answer as it did (spec: trained.md).

    DATA, TASK ──checks──> Split        all of it before the first step:
    MODEL, factory ──────> module       data, labels, factory, ratio
    FOLDER ──────────────> adapter      or the labels of a transformers folder
    ratio ──budget──> numbers of each tensor
    for each training seed:  numbers ──distilling──> trained ──evaluation──> Score
    the first one's chunks ──publish──> S.seed

Every figure stands beside its control arms on the same evaluation: the original, a small model
of the same family trained directly at 4 bits with the same bytes, untrained numbers, chance.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from seedpack.extract.coding import Coding
from seedpack.extract.folder_trials import FolderRuns, PreparedFolder
from seedpack.extract.publishing import publish_as
from seedpack.extract.trials import Arm, Prepared, Runs, Trained, TrainingJob
from seedpack.seed.opening import open_unverified
from seedpack.training.statistics import (
    Comparison,
    Retention,
    compare,
    retention,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.extract.building import Built
    from seedpack.extract.publication import Publication
    from seedpack.extract.publishing import Builder
    from seedpack.extract.report import ExtractReport


@dataclass(frozen=True)
class TrainedReport:
    """What came out, beside its control arms (TRS-5).

    Attributes:
        written: Of the file.
        weights_nbytes: Stored bytes of all weights: chunks and params.
        arms: ``original``, ``seed``, ``same-bytes student`` if there is one, ``random``.
        retention: Of the seed, chance-corrected.
        against_student: The seed minus the student; None without one.
        note: Why there is no student; empty where there is one.
    """

    written: ExtractReport
    weights_nbytes: int
    arms: tuple[Arm, ...]
    retention: Retention
    against_student: Comparison | None
    note: str

    @property
    def ratio(self) -> float:
        """Raw bytes over stored bytes of all weights."""
        return self.written.raw_nbytes / self.weights_nbytes

    @property
    def chance(self) -> float:
        """The metric of random answers."""
        return self.arms[0].scores[0].chance


def extract_trained(
    model: Path,
    output: Path,
    publication: Publication,
    job: TrainingJob,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedReport:
    """Train the seed of ``model`` and write it.

    Args:
        model: A state dict or ``.safetensors`` file; without a factory, a transformers folder.
        output: The container.
        publication: Name, term, key.
        job: What is trained, on what.
        progress: Called with steps done and steps in all, over all trainings.

    Raises:
        TrainingError: TRN, the data; TRS-1, the data does not fit the module; TRS-4, the
            checkpoint is of another training.
        ExtractError: EXT; TRS-2, the ratio cannot be reached.
        AssemblyError: ASM-1, ASM-5, the factory does not fit the tensors.
        StoreError: OUT, the output cannot be written; known before the first step.
    """
    prepared, runs = _prepare(model, job, progress)
    trained: list[Trained] = []

    def build(builder: Builder) -> Built:
        # Inside, because name and place of the output are by now known to be good.
        trained.append(runs.train_all())
        return builder.build(Coding("raw", trained[0].encoded), _recipe(job))

    written = publish_as(prepared.source, output, publication, build)
    runs.remove_checkpoints()
    arms = {arm.name: arm for arm in trained[0].arms}
    seed, student = arms["seed"], arms.get("same-bytes student")
    return TrainedReport(
        written,
        _weights_nbytes(output),
        trained[0].arms,
        retention(seed.scores, arms["original"].scores),
        compare(seed.scores, student.scores) if student else None,
        trained[0].note,
    )


def _prepare(
    model: Path, job: TrainingJob, progress: Callable[[int, int], None] | None
) -> tuple[Prepared, Runs] | tuple[PreparedFolder, FolderRuns]:
    if job.factory is None:
        folder = PreparedFolder(model, job)
        return folder, FolderRuns(folder, job, progress)
    prepared = Prepared(model, job, job.factory)
    return prepared, Runs(prepared, job, job.factory, progress)


def _recipe(job: TrainingJob) -> dict[str, int | str]:
    training = f"numbers of codec {job.codec}, distilled"
    return {"training": training, "training_steps": job.course.steps}


def _weights_nbytes(path: Path) -> int:
    """Return what chunks and params of all layers take in the file at ``path``."""
    with open_unverified(path) as contents:
        return sum(
            sum(chunk.stored_nbytes for chunk in layer.chunks)
            + len(msgspec.msgpack.encode(layer.params))
            for layer in contents.manifest.layers
        )
