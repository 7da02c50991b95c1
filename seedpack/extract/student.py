"""A seed of a smaller model that learned from the one asked for (spec: extract.md, Students).

    MODEL ──students──> design: a smaller architecture      refused here, before any training:
    TEXT ──passages──> texts │ held out                     no text, no text model, wrong
    target ──> bytes that its matrices may take             configuration, size out of reach
    teacher, texts ──lessons──> trained student, steps
    student ──rounds of building──> level ──decoded──> figures on what was held out ──> claim
                                          ──publish──> S.seed, which says that it is a student

What is judged is the student as it comes out of the seed, on texts that it has never seen, beside
the same architecture with random weights.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Unpack

import numpy as np

from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.container.planes import encode_plane
from seedpack.crypto.digests import new_hasher
from seedpack.errors import ExtractError
from seedpack.extract.allocation import Allocation, survey_matrices
from seedpack.extract.publication import Publication
from seedpack.extract.publishing import publish_as
from seedpack.extract.student_building import StudentPlan, build_student
from seedpack.extract.targets import GRID_CODEC, check_target, make_target
from seedpack.frameworks import ModelSource, open_model
from seedpack.frameworks.memory import MemoryWeights
from seedpack.training.distillation import EFFORT
from seedpack.training.lessons import make_lessons
from seedpack.training.passages import read_passages
from seedpack.training.readers import open_tokenizer, spare_files
from seedpack.training.resumption import Progress
from seedpack.training.students import AUTO, check_design, choose_design

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from seedpack.extract.building import Built
    from seedpack.extract.publication import PublicationOptions
    from seedpack.extract.publishing import Builder
    from seedpack.extract.report import StudentReport
    from seedpack.extract.targets import Target
    from seedpack.training.distillation import Effort

_LAYER_NBYTES: Final = 320  # of a layer's record: name, digests, a code table
_HEADER_NBYTES: Final = 3500  # preamble, signature area, manifest without layers
_MIN_DIMS: Final = 2
DIGEST: Final = "sha2-256"  # of teachers, in recipes


def extract_student(  # noqa: PLR0913 -- each is an option of the command
    model: Path,
    output: Path,
    *,
    name: str,
    train: Sequence[Path | str],
    student: str | Path = AUTO,
    ratio: float | None = None,
    max_nbytes: int | None = None,
    effort: Effort = EFFORT,
    checkpoint: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    **options: Unpack[PublicationOptions],
) -> StudentReport:
    """Write the seed of a student of ``model``.

    Args:
        model: The teacher: a transformers folder with a tokenizer.
        output: The container; it appears when it is complete.
        name: Seed name (MAN-11).
        train: Texts to learn from: .txt, or the column of texts of .tsv, .csv, .jsonl.
        student: ``auto``, or the path of a transformers configuration.
        ratio: Bytes of all of the teacher's tensors over bytes of the file, hit within 2 %.
        max_nbytes: Size that the file never exceeds; not with ``ratio``.
        effort: Epochs, texts in a batch, and the seed of their order.
        checkpoint: Folder to keep progress in, and to go on from.
        progress: Called with what is done and what there is; anew for each stage.
        options: How it is published: see ``Publication``.

    Raises:
        ExtractError: EXT, EXT-41 to EXT-48 among them.
        TrainingError: TRN, the texts.
        StoreError: OUT, the output cannot be written; FIL, an input cannot be read.
        ValueError: No target, or two (wrong call).
    """
    check_target(GRID_CODEC, ratio, max_nbytes)
    publication = Publication(name=name, **options)
    passages = read_passages(train, seed=effort.seed)
    teacher = open_model(model)
    target = make_target(ratio, max_nbytes, sum(info.nbytes for info in teacher.infos()))
    if target is None:
        raise ValueError("a student needs a ratio or a largest size")
    tokenizer = open_tokenizer(teacher, model)
    design = choose_design(student, teacher, target.aim, type(tokenizer).__name__)
    check_design(design, ())
    files, left_out = spare_files(teacher, design.architecture.config, passages.train)
    lessons = make_lessons(design, teacher, tokenizer, passages, model)
    source = ModelSource(
        kind="transformers",
        weights=MemoryWeights(lessons.fresh_arrays()),
        architecture=design.architecture,
        files=files,
        left_out=teacher.left_out + left_out,
    )
    check_design(design, source.infos())
    others = _guess_others(source)
    nbytes = _check_reach(source, target, others)
    task = StudentPlan(
        teacher, model.resolve().name, teacher_digest(teacher), design, passages, target, effort
    )
    trained = lessons.give(nbytes, effort, _open_checkpoint(checkpoint, task), progress)
    source = replace(source, weights=MemoryWeights(trained.arrays))
    found: list[StudentReport] = []

    def build(builder: Builder) -> Built:
        built, report = build_student(builder, task, trained.steps, lessons.judge, others)
        found.append(report)
        return built

    publish_as(source, output, publication, build)
    return found[0]


def teacher_digest(teacher: ModelSource) -> str:
    """Return the digest that names the teacher, the one that a delta seed has of its base.

    One pass over the model.
    """
    digests = {
        tensor.name: tensor_digest(
            DIGEST,
            tensor.dtype,
            tensor.shape,
            np.frombuffer(tensor.data, tensor.dtype.storage),
        )
        for tensor in teacher.tensors()
    }
    return f"{DIGEST}:{base_digest(DIGEST, digests).hex()}"


def _guess_others(source: ModelSource) -> float:
    """Return about what the file holds beside matrices that have a step."""
    files = sum(len(encode_plane(file.path.read_bytes(), level=19)) for file in source.files)
    infos = source.infos()
    vectors = sum(info.nbytes for info in infos if len(info.shape) < _MIN_DIMS)
    return files + vectors + _LAYER_NBYTES * len(infos) + _HEADER_NBYTES


def _check_reach(source: ModelSource, target: Target, others: float) -> float:
    """Return what the matrices may take, refusing what no step reaches (EXT-43)."""
    matrices = survey_matrices(source.tensors())
    allocation = Allocation(matrices, {matrix.name: matrix.scale for matrix in matrices})
    smallest = others + allocation.estimate_nbytes(allocation.coarsest)
    largest = others + allocation.estimate_nbytes(allocation.finest)
    if not smallest <= target.nbytes <= largest:
        raise ExtractError(
            f"{target.text} is a file of {target.nbytes:.0f} bytes, "
            f"this student's reach from about {smallest:.0f} to {largest:.0f}",
            rule="EXT-43",
            where="target",
            hint=f"{others:.0f} of them are tokenizer, vectors and records; "
            "ask for another size or give another configuration",
        )
    return target.aim - others


def _digest_of(*parts: str) -> str:
    """Return what tells one piece of work from any other (EXT-47)."""
    hasher = new_hasher(DIGEST)
    for part in parts:
        data = part.encode()
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.digest().hex()


def _open_checkpoint(folder: Path | None, task: StudentPlan) -> Progress:
    """Return the progress of this teacher with these texts, of this student among others."""
    reading = _digest_of(task.teacher_digest, *task.passages.train)
    design, target = task.design.architecture.config, task.target.text
    learning = _digest_of(reading, design, target, repr(task.effort))
    return Progress(folder, reading, learning)
