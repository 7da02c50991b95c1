"""The benchmark of searches and defences on the zoo.

    Plan ──units──> train each model, search it, defend it       (processes, results kept as files)
    results ──calibrated on twins──> scores ──metrics──> DetectorRow: AUC, TPR, false alarms
            ──before, after──────────────────metrics──> DefenceRow: removed, accuracy cost

An interrupted run goes on where it stopped. Figures are of models that nothing was calibrated on.
"""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from typing import TYPE_CHECKING

import msgspec

from seedpack.backdoors.search.calibration import MIN_TWINS
from seedpack.lab.detection import detector_rows
from seedpack.lab.groups import ASR_COUNTS, mean
from seedpack.lab.methods import DEFENCES, SEARCHES, get_defence, get_search
from seedpack.lab.removal import defence_rows
from seedpack.lab.rows import FamilyReport
from seedpack.lab.units import Unit, defending, searching, training
from seedpack.lab.work import perform
from seedpack.lab.zoo.members import CLEAN, TWIN, Member, Part, members
from seedpack.lab.zoo.registry import FAMILIES, open_family
from seedpack.lab.zoo.store import Record, get_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Watch = Callable[[str, int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared, on which models.

    Attributes:
        part: Development or sealed.
        families: Of networks.
        clean, planted, twins: How many models of each family.
        twin_samples: Samples that each twin is trained on; 0: all of the training half.
        detectors, defences: By name.
        samples: Clean samples that a detector gets.
        defence_samples: Clean samples that a defence gets, one run for each.
        jobs: Processes.
    """

    part: Part = "development"
    families: tuple[str, ...] = FAMILIES
    clean: int = 40
    planted: int = 54
    twins: int = 10
    twin_samples: int = 0
    detectors: tuple[str, ...] = tuple(SEARCHES)
    defences: tuple[str, ...] = tuple(DEFENCES)
    samples: int = 200
    defence_samples: tuple[int, ...] = (200, 50)
    jobs: int = 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a run."""

    plan: Plan
    families: tuple[FamilyReport, ...]


def run(plan: Plan, folder: Path, progress: Watch | None = None) -> Report:
    """Run the benchmark, or what is missing of it.

    Args:
        plan: What to compare.
        folder: Cache of models and results.
        progress: Called with what is done, pieces done and pieces in all.

    Raises:
        ValueError: Names or numbers that do not exist.
        StoreError: OUT-1, OUT-2, ZOO-2, the folder cannot be used.
        TrainingError: TRN-12, a package is missing.
    """
    zoo = _zoo(plan)
    everyone = [member for group in zoo.values() for member in group]
    _perform(training(everyone), folder, plan.jobs, _told(progress, "training"))
    records = {member: get_record(folder, member) for member in everyone}
    searches = [
        unit for group in zoo.values() for unit in searching(group, plan.detectors, plan.samples)
    ]
    _perform(searches, folder, plan.jobs, _told(progress, "searching"))
    defences = [
        unit
        for samples in plan.defence_samples
        for unit in defending(records.items(), plan.defences, samples, ASR_COUNTS)
    ]
    _perform(defences, folder, plan.jobs, _told(progress, "defending"))
    reports = [
        _report(plan, folder, name, {member: records[member] for member in group})
        for name, group in zoo.items()
    ]
    return Report(plan=plan, families=tuple(reports))


def _zoo(plan: Plan) -> dict[str, list[Member]]:
    """Return the models of each family, once all that was asked for is known to exist."""
    for name in plan.detectors:
        get_search(name)
    for name in plan.defences:
        get_defence(name)
    if plan.detectors and plan.twins <= MIN_TWINS:
        raise ValueError(f"{plan.twins} twins; calibration takes more than {MIN_TWINS}")
    return {
        name: members(
            plan.part,
            open_family(name),
            clean=plan.clean,
            planted=plan.planted,
            twins=plan.twins,
            twin_samples=plan.twin_samples,
        )
        for name in plan.families
    }


def _perform(
    units: Sequence[Unit], folder: Path, jobs: int, tell: Callable[[int, int], None]
) -> None:
    if jobs == 1:
        for number, unit in enumerate(units, 1):
            perform(unit, folder)
            tell(number, len(units))
        return
    # Fresh processes: a fork of one that has run torch can hang in its thread pools.
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        futures = [pool.submit(perform, unit, folder) for unit in units]
        try:
            for number, future in enumerate(concurrent.futures.as_completed(futures), 1):
                future.result()
                tell(number, len(units))
        finally:
            pool.shutdown(cancel_futures=True)


def _told(progress: Watch | None, what: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if progress is not None:
            progress(what, done, total)

    return tell


def _report(plan: Plan, folder: Path, name: str, records: dict[Member, Record]) -> FamilyReport:
    clean = [r for m, r in records.items() if m.kind == CLEAN]
    planted = [r for m, r in records.items() if m.is_planted]
    return FamilyReport(
        family=name,
        nclean=len(clean),
        nplanted=len(planted),
        ntwins=sum(m.kind == TWIN for m in records),
        nbelow=sum(r.asr < ASR_COUNTS for r in planted),
        accuracy=mean(r.accuracy for r in clean),
        asr=mean(r.asr for r in planted),
        control_asr=mean(r.control_asr for r in planted),
        detectors=tuple(detector_rows(folder, records, plan.detectors, plan.samples)),
        defences=tuple(
            row
            for samples in plan.defence_samples
            for row in defence_rows(folder, records, plan.defences, samples)
        ),
    )
