"""Rounds of building until the file has the size asked for (spec: EXT-16 to EXT-18)."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.errors import ExtractError
from seedpack.extract.allocation import OCTAVE, Allocation, survey_matrices
from seedpack.extract.coding import Choice, Coding
from seedpack.extract.feedback import prepare_feedback, round_with_feedback
from seedpack.extract.rows import find_shares, round_rows
from seedpack.extract.sensitivity import measure_sensitivity
from seedpack.extract.targets import TARGET_CODEC, Size, search_level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.extract.allocation import Matrix
    from seedpack.extract.building import Built, Plan
    from seedpack.extract.feedback import Feedback
    from seedpack.extract.publishing import Builder
    from seedpack.extract.rows import Shares
    from seedpack.extract.sensitivity import Sensitivity
    from seedpack.extract.targets import Target
    from seedpack.frameworks.observing import RunningModel


_MU: Final = 0.05  # of 0, 0.05, 0.13, the least harm at 14 to 18 times less than float32


class Needs(NamedTuple):
    """What running the model has shown; the same however rows are weighed."""

    sensitivity: Sensitivity
    feedback: dict[str, Feedback]
    inputs: str  # kind of what it was run on


def build_to_target(builder: Builder, target: Target, running: RunningModel | None) -> Built:
    """Give each matrix bits by need, so that the file hits ``target``; the seed is in the spill.

    Raises:
        ExtractError: EXT-18, out of reach; EXT-6, EXT-14.
    """
    shares = _find_shares(builder.plan, running)
    matrices = survey_matrices(builder.plan.source.tensors(), shares)
    needs = Needs(
        measure_sensitivity(running, matrices),
        _measure_feedback(running, matrices),
        running.inputs.kind if running else "none",
    )
    try:
        return _build_with(builder, target, matrices, needs, shares)
    except ExtractError as error:
        if error.rule != "EXT-18" or not shares:
            raise
    # Codes of rows that weigh differently are of several kinds, some percent apart in size: between
    # two of them lie sizes that no level hits. Rows that weigh the same have none such.
    alike = survey_matrices(builder.plan.source.tensors(), {})
    return _build_with(builder, target, alike, needs, {})


def _build_with(
    builder: Builder,
    target: Target,
    matrices: Sequence[Matrix],
    needs: Needs,
    shares: Mapping[str, Shares],
) -> Built:
    sensitivity, feedback = needs.sensitivity, needs.feedback
    allocation = Allocation(matrices, _shift_offsets(sensitivity.offsets, shares))
    last: dict[int, Built] = {}  # of one level: what stands in the spill

    def build(level: int) -> Built:
        recipe = {
            "allocation": f"step = 2^({level}/{OCTAVE}) / sqrt(sensitivity)",
            "feedback": needs.inputs if feedback else "none",
            "probe": sensitivity.probe,
            "rows": "weighted by the text" if shares else "weighted alike",
            "target": target.text,
        }
        choices = {
            name: _choose(step, feedback.get(name), shares.get(name))
            for name, step in allocation.steps(level).items()
        }
        built = builder.build(Coding(TARGET_CODEC, choices), recipe)
        last.clear()
        last[level] = built
        return built

    names = allocation.names
    level = search_level(
        target,
        allocation,
        lambda level: measure_size(build(level), names),
        other_nbytes=_guess_others(builder.plan, names),
    )
    built = last.get(level) or build(level)
    report = replace(built.report, target=target.text, sensitivity=sensitivity.how)
    return built._replace(report=report)


def _measure_feedback(
    running: RunningModel | None, matrices: Sequence[Matrix]
) -> dict[str, Feedback]:
    if running is None:
        return {}
    return prepare_feedback(running.moments([matrix.name for matrix in matrices]))


def _find_shares(plan: Plan, running: RunningModel | None) -> dict[str, Shares]:
    if running is None:
        return {}
    matrices = [info.name for info in plan.source.infos() if len(info.shape) == 2]  # noqa: PLR2004 -- of a matrix
    counts = running.row_counts(matrices)
    return {name: find_shares(found) for name, found in counts.items()}


def _shift_offsets(offsets: Mapping[str, int], shares: Mapping[str, Shares]) -> dict[str, int]:
    """Return the exponents of 1 / sqrt(h) with those of the grids that ``shares`` ask for."""
    shifts = {name: round(found.octaves * OCTAVE) for name, found in shares.items()}
    return {name: offset + shifts.get(name, 0) for name, offset in offsets.items()}


def _choose(step: float, feedback: Feedback | None, shares: Shares | None) -> Choice:
    if shares is not None:
        moved = partial(round_rows, step=step, shares=shares)
        return Choice(TARGET_CODEC, {"step": step, "mu": 0.0}, moved)
    if feedback is None:
        return Choice(TARGET_CODEC, {"step": step, "mu": _MU})
    adjust = partial(round_with_feedback, feedback=feedback, step=step, mu=_MU)
    return Choice(TARGET_CODEC, {"step": step, "mu": 0.0}, adjust)  # on the grid already


def measure_size(built: Built, names: frozenset[str]) -> Size:
    """Return what one round of building has shown of the layers ``names`` and of the rest."""
    report = built.report
    data_nbytes = sum(layer.stored_nbytes for layer in report.layers) + report.attachments_nbytes
    return Size(
        report.file_nbytes,
        sum(layer.stored_nbytes for layer in report.layers if layer.name in names),
        1 + report.parity_nbytes / data_nbytes if data_nbytes else 1.0,
    )


def _guess_others(plan: Plan, names: frozenset[str]) -> float:
    """Return about what is not governed by allocation; the first round shows it."""
    layers = sum(info.nbytes for info in plan.source.infos() if info.name not in names)
    return layers + sum(file.path.stat().st_size for file in plan.source.files) / 3
