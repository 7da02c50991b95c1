"""A trained student becomes a seed that says what it is, and how good (spec: EXT-44, EXT-45).

    steps of training ──one level for all, searched by building──> a seed of the size asked for
    what it decodes to ──judge──> figure, control arm, interval ──> claim in the manifest

The claim stands in the seed that it is about, so a claim of the same length holds its place while
the size is searched.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from seedpack.codecs import make_decoder
from seedpack.container.manifest import Claim
from seedpack.extract.allocation import OCTAVE, Allocation, survey_matrices
from seedpack.extract.coding import Choice, Coding, Storage
from seedpack.extract.layers import encode_layer
from seedpack.extract.report import StudentReport
from seedpack.extract.rounds import measure_size
from seedpack.extract.targets import GRID_CODEC, search_level
from seedpack.frameworks.memory import MemoryWeights
from seedpack.training.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.extract.building import Built
    from seedpack.extract.publishing import Builder
    from seedpack.extract.targets import Target
    from seedpack.frameworks import ModelSource, NamedTensor
    from seedpack.training.distillation import Effort
    from seedpack.training.lessons import Judge
    from seedpack.training.passages import Passages
    from seedpack.training.students import Design


class StudentPlan(NamedTuple):
    """All that was decided before training."""

    teacher: ModelSource
    teacher_name: str
    teacher_digest: str
    design: Design
    passages: Passages
    target: Target
    effort: Effort


def build_student(
    builder: Builder, task: StudentPlan, steps: Mapping[str, float], judge: Judge, others: float
) -> tuple[Built, StudentReport]:
    """Build the seed that hits the target, judge what it decodes to, and build it with that.

    Args:
        builder: Of the trained student.
        task: All that was decided before training.
        steps: Of its matrices, in training.
        judge: Of the texts held out.
        others: First guess of what is beside the matrices.

    Raises:
        ExtractError: EXT-18, no level hits the target.
    """
    source = builder.plan.source
    offsets = {name: round(OCTAVE * math.log2(step)) for name, step in steps.items()}
    matrices = [m for m in survey_matrices(source.tensors()) if m.name in offsets]
    allocation = Allocation(matrices, {m.name: offsets[m.name] for m in matrices})
    recipe = _describe(task)
    _claim(builder, _as_claim(task, judge, np.array([0.5, 0.25]), 0.5))  # as long as the real one

    def build(level: int) -> Built:
        allocated = {"allocation": f"step = 2^({level}/{OCTAVE}) x step in training"}
        return builder.build(_coding(allocation, level), {**recipe, **allocated})

    level = search_level(
        task.target,
        allocation,
        lambda level: measure_size(build(level), allocation.names),
        other_nbytes=others,
    )
    values = judge.measure(_decoded(source, _coding(allocation, level), builder.plan.storage))
    claim = _as_claim(task, judge, values, judge.control)
    _claim(builder, claim)
    built = build(level)
    seed = replace(built.report, target=task.target.text)
    report = StudentReport(
        seed=seed,
        kind=task.design.kind,
        why=task.design.why,
        teacher=task.teacher_name,
        teacher_digest=task.teacher_digest,
        teacher_nbytes=sum(info.nbytes for info in task.teacher.infos()),
        ntexts=len(task.passages.train),
        claim=claim,
    )
    return built._replace(report=seed), report


def _coding(allocation: Allocation, level: int) -> Coding:
    steps = allocation.steps(level)
    return Coding(
        GRID_CODEC, {name: Choice(GRID_CODEC, {"step": step}) for name, step in steps.items()}
    )


def _decoded(source: ModelSource, coding: Coding, storage: Storage) -> ModelSource:
    """Return ``source`` as its seed decodes to."""
    return replace(
        source,
        weights=MemoryWeights(
            {tensor.name: _round_trip(tensor, coding, storage) for tensor in source.tensors()}
        ),
    )


def _round_trip(tensor: NamedTensor, coding: Coding, storage: Storage) -> np.ndarray:
    encoded = encode_layer(tensor, coding, storage)
    decoder = make_decoder(encoded.layer, tensor.dtype, None)
    for index, data in enumerate(encoded.stored):
        decoder.decode_chunk(index, memoryview(data))
    return decoder.finish().reshape(tensor.shape)


def _describe(task: StudentPlan) -> dict[str, int | str]:
    """Return the entries of the recipe that say what this seed is (EXT-44)."""
    return {
        "student": f"{task.design.kind}, {task.design.why}",
        "teacher": task.teacher_name,
        "teacher_digest": task.teacher_digest,
        "target": task.target.text,
        "train": task.passages.names,
        "train_texts": len(task.passages.train),
        "train_epochs": task.effort.epochs,
        "train_batch": task.effort.batch,
        "train_seed": task.effort.seed,
    }


def _as_claim(task: StudentPlan, judge: Judge, values: np.ndarray, control: float) -> Claim:
    low, high = mean_interval(values.tolist())
    return Claim(
        chance=_decimal(judge.chance),
        control="the same architecture with random weights",
        control_value=_decimal(control),
        dataset=f"held-out part of {task.passages.names}",
        evaluated=len(task.passages.held_out),
        interval_high=_decimal(high),
        interval_low=_decimal(low),
        metric=judge.metric,
        original=_decimal(1.0),
        seeds=1,
        value=_decimal(float(values.mean())),
    )


def _decimal(value: float) -> str:
    return f"{value:.4f}"


def _claim(builder: Builder, claim: Claim) -> None:
    draft = builder.plan.draft
    others = [other for other in draft.claims if other.metric != claim.metric]
    builder.plan = builder.plan._replace(
        draft=msgspec.structs.replace(draft, claims=[*others, claim])
    )
