"""Rounds of building until the file has the size asked for (spec: EXT-16 to EXT-18)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seedpack.extract.allocation import OCTAVE, Allocation, survey_matrices
from seedpack.extract.coding import Choice, Coding
from seedpack.extract.sensitivity import measure_sensitivity
from seedpack.extract.targets import TARGET_CODEC, Size, search_level

if TYPE_CHECKING:
    from seedpack.extract.building import Built, Plan
    from seedpack.extract.publishing import Builder
    from seedpack.extract.targets import Target


def build_to_target(builder: Builder, target: Target) -> Built:
    """Give each matrix bits by need, so that the file hits ``target``; the seed is in the spill.

    Raises:
        ExtractError: EXT-18, out of reach; EXT-6, EXT-14.
    """
    source = builder.plan.source
    matrices = survey_matrices(source.tensors())
    sensitivity = measure_sensitivity(source, matrices)
    allocation = Allocation(matrices, sensitivity.offsets)
    last: dict[int, Built] = {}  # of one level: what stands in the spill

    def build(level: int) -> Built:
        recipe = {
            "allocation": f"step = 2^({level}/{OCTAVE}) / sqrt(sensitivity)",
            "probe": sensitivity.probe,
            "target": target.text,
        }
        choices = {
            name: Choice(TARGET_CODEC, {"step": step})
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
