"""Rounds of building until the file has the size asked for (spec: EXT-16 to EXT-18)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from seedpack.errors import ExtractError
from seedpack.extract.allocation import OCTAVE, Allocation, survey_matrices
from seedpack.extract.choices import Chooser, Known, lay_lanes
from seedpack.extract.coding import Coding
from seedpack.extract.feedback import prepare_feedback
from seedpack.extract.rows import find_shares
from seedpack.extract.sensitivity import measure_sensitivity
from seedpack.extract.targets import TARGET_CODEC, Size, search_level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.codecs.tcq.columns import Columns
    from seedpack.extract.allocation import Matrix
    from seedpack.extract.building import Built, Plan
    from seedpack.extract.feedback import Feedback
    from seedpack.extract.publishing import Builder
    from seedpack.extract.rows import Shares
    from seedpack.extract.sensitivity import Sensitivity
    from seedpack.extract.targets import Target
    from seedpack.frameworks.observing import RunningModel


class Needs(NamedTuple):
    """What running the model has shown; the same however rows are weighed."""

    sensitivity: Sensitivity
    feedback: dict[str, Feedback]
    inputs: str  # kind of what it was run on
    codec: str


def build_to_target(
    builder: Builder, target: Target, running: RunningModel | None, codec: str = TARGET_CODEC
) -> Built:
    """Give each matrix bits by need, so that the file hits ``target``; the seed is in the spill.

    Args:
        builder: Builds seeds of the model.
        target: Size to hit.
        running: The model, where it can be run.
        codec: One whose steps can be chosen.

    Raises:
        ExtractError: EXT-18, out of reach; EXT-6, EXT-14.
    """
    shares = _find_shares(builder.plan, running)
    matrices = survey_matrices(builder.plan.source.tensors(), shares)
    needs = Needs(
        measure_sensitivity(running, matrices),
        _measure_feedback(running, matrices, lay_lanes(builder, codec)),
        running.inputs.kind if running else "none",
        codec,
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
    chooser = Chooser(needs.codec, Known(feedback, shares))
    nvalues = {matrix.name: matrix.nvalues for matrix in matrices}
    last: dict[int, Built] = {}  # of one level: what stands in the spill

    def build(level: int) -> Built:
        recipe = {
            "allocation": f"step = 2^({level}/{OCTAVE}) / sqrt(sensitivity)",
            "feedback": needs.inputs if feedback else "none",
            "probe": sensitivity.probe,
            "rows": "weighted by the text" if shares else "weighted alike",
            "target": target.text,
        }
        rates = allocation.rates(level)
        choices = {
            name: chooser.choose(name, step, nvalues=nvalues[name], rate=rates[name])
            for name, step in allocation.steps(level).items()
        }
        built = builder.build(Coding(needs.codec, choices), recipe)
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
    running: RunningModel | None, matrices: Sequence[Matrix], lanes: Mapping[str, Columns]
) -> dict[str, Feedback]:
    if running is None:
        return {}
    return prepare_feedback(running.moments([matrix.name for matrix in matrices]), lanes)


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
