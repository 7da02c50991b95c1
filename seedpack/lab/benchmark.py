"""The benchmark of searches and defences on the zoo.

    Plan ──units──> train each model, search it, defend it       (processes, results kept as files)
    results ──calibrated on twins──> scores ──metrics──> DetectorRow: AUC, TPR, false alarms
            ──before, after──────────────────metrics──> DefenceRow: removed, accuracy cost

An interrupted run goes on where it stopped. Figures are of models that nothing was calibrated on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from seedpack.backdoors.search.calibration import MIN_TWINS
from seedpack.lab.detection import detector_rows
from seedpack.lab.groups import ASR_COUNTS, mean
from seedpack.lab.methods import defences_for, get_defence, get_search, searches_for, usual_searches
from seedpack.lab.processes import Work
from seedpack.lab.removal import defence_rows
from seedpack.lab.rows import FamilyReport
from seedpack.lab.units import defending, searching, training
from seedpack.lab.zoo.images import IMAGE_FAMILIES
from seedpack.lab.zoo.members import CLEAN, TWIN, Member, Part, members
from seedpack.lab.zoo.store import Record, get_record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from seedpack.lab.zoo.registry import Zoo

    Watch = Callable[[str, int, int], None]


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is compared, on which models.

    Attributes:
        part: Development or sealed.
        families: Of networks.
        clean, planted, twins: How many models of each family.
        kinds: Of the planted ones; None: all of a family that take turns.
        twin_samples: Samples that each twin is trained on; 0: all of the training half.
        detectors, defences: By name; None: all that suit a family, but for thorough searches.
        samples: Clean samples that a detector gets.
        defence_samples: Clean samples that a defence gets, one run for each.
        jobs: Processes.
    """

    part: Part = "development"
    families: tuple[str, ...] = IMAGE_FAMILIES
    clean: int = 40
    planted: int = 54
    twins: int = 10
    twin_samples: int = 0
    kinds: tuple[str, ...] | None = None
    detectors: tuple[str, ...] | None = None
    defences: tuple[str, ...] | None = None
    samples: int = 200
    defence_samples: tuple[int, ...] = (200, 50)
    jobs: int = 1


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of a run."""

    plan: Plan
    families: tuple[FamilyReport, ...]


def run(plan: Plan, zoo: Zoo, progress: Watch | None = None) -> Report:
    """Run the benchmark, or what is missing of it.

    Args:
        plan: What to compare.
        zoo: Where models and results are kept.
        progress: Called with what is done, pieces done and pieces in all.

    Raises:
        ValueError: Names or numbers that do not exist.
        StoreError: OUT-1, OUT-2, ZOO-2, the folder cannot be used.
        TrainingError: TRN-1 to TRN-12, texts cannot be read, or a package is missing.
    """
    _check_names(plan, zoo)
    groups = {name: _members(plan, zoo, name) for name in plan.families}
    everyone = [member for group in groups.values() for member in group]
    work = Work(zoo, plan.jobs, progress)
    work.do("training", training(everyone))
    records = {member: get_record(zoo.folder, member) for member in everyone}
    chosen = {name: _choose(plan, zoo, name) for name in groups}
    searches = [
        unit
        for name, group in groups.items()
        for unit in searching(group, chosen[name].detectors, plan.samples)
    ]
    work.do("searching", searches)
    defences = [
        unit
        for samples in plan.defence_samples
        for name, group in groups.items()
        for unit in defending(_known(records, group), chosen[name].defences, samples, ASR_COUNTS)
    ]
    work.do("defending", defences)
    return Report(
        plan=plan,
        families=tuple(
            _report(plan, zoo.folder, chosen[name], _known(records, group))
            for name, group in groups.items()
        ),
    )


def _known(records: dict[Member, Record], group: Sequence[Member]) -> dict[Member, Record]:
    return {member: records[member] for member in group}


def _check_names(plan: Plan, zoo: Zoo) -> None:
    families = [zoo.family(name) for name in plan.families]
    known = dict.fromkeys(kind for one in families for kind in (*one.kinds, *one.named_kinds))
    for kind in plan.kinds or ():
        if kind not in known:
            raise ValueError(f"no kind {kind[:40]!a}; one of {', '.join(known)}")
    for name in plan.detectors or ():
        get_search(name)
    for name in plan.defences or ():
        get_defence(name)
    if plan.detectors != () and plan.twins <= MIN_TWINS:
        raise ValueError(f"{plan.twins} twins; calibration takes more than {MIN_TWINS}")


def _members(plan: Plan, zoo: Zoo, name: str) -> list[Member]:
    return members(
        plan.part,
        zoo.family(name),
        clean=plan.clean,
        planted=plan.planted,
        twins=plan.twins,
        twin_samples=plan.twin_samples,
        kinds=plan.kinds,
    )


class _Chosen(NamedTuple):
    """The methods that suit a family."""

    family: str
    detectors: tuple[str, ...]
    defences: tuple[str, ...]


def _choose(plan: Plan, zoo: Zoo, name: str) -> _Chosen:
    form = zoo.family(name).form
    searches, defences = searches_for(form), defences_for(form)
    wanted = usual_searches() if plan.detectors is None else plan.detectors
    return _Chosen(
        name,
        tuple(s for s in searches if s in wanted),
        tuple(d for d in defences if plan.defences is None or d in plan.defences),
    )


def _report(
    plan: Plan, folder: Path, chosen: _Chosen, records: dict[Member, Record]
) -> FamilyReport:
    clean = [r for m, r in records.items() if m.kind == CLEAN]
    planted = [r for m, r in records.items() if m.is_planted]
    return FamilyReport(
        family=chosen.family,
        nclean=len(clean),
        nplanted=len(planted),
        ntwins=sum(m.kind == TWIN for m in records),
        nbelow=sum(r.asr < ASR_COUNTS for r in planted),
        accuracy=mean(r.accuracy for r in clean),
        asr=mean(r.asr for r in planted),
        control_asr=mean(r.control_asr for r in planted),
        detectors=tuple(detector_rows(folder, records, chosen.detectors, plan.samples)),
        defences=tuple(
            row
            for samples in plan.defence_samples
            for row in defence_rows(folder, records, chosen.defences, samples)
        ),
    )
