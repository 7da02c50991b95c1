"""Runs audits: in processes of their own, resumable (AUD-8), each failure an ``undecided``.

    Spec, ids, Profile ──prepare: data checked once, before anything is trained──>
      each id ──result there from an earlier run?──> read
              ──else: process──open_context──Audit.run──conclude──> results/KEY.json, whole
    results in the order of the registry ──> AuditReport

What is interrupted loses only what was under way: tuned arms and finished results stay in the
folder and are taken from there by the next run with the same seed, data, options and profile.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING, Final

from seedpack.audits.gates import undecided
from seedpack.audits.kept import load_result, prepare_folder, result_path
from seedpack.audits.processes import run_all
from seedpack.audits.registry import get_audit
from seedpack.audits.results import AuditReport, Subject, worst
from seedpack.audits.work import open_split

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path

    from seedpack.audits.base import Audit, Spec
    from seedpack.audits.processes import Watch
    from seedpack.audits.profiles import Profile

_DATA_OPTIONS: Final = "--task TASK --train DATA --eval DATA"


def run_audits(  # noqa: PLR0913 -- what, how hard, where, and who watches
    spec: Spec,
    subject: Subject,
    names: Sequence[str],
    profile: Profile,
    folder: Path,
    *,
    tool: str,
    asked: Collection[str] = (),
    processes: int | None = None,
    progress: Watch | None = None,
) -> AuditReport:
    """Run the audits ``names``, and return what they found.

    Args:
        spec: What is audited.
        subject: The same as the report names it.
        names: From ``choose_audits``.
        profile: How hard.
        folder: Where arms and results are kept; made where it is not there.
        tool: Name and version of the caller, for the report.
        asked: Those of ``names`` that somebody asked for: one of them that lacks what it needs
            is undecided, where another is only listed as not run. If there is none, what the
            profile leaves out is listed as well.
        processes: How many audits at once; None: as many as there are cores, at most four.
        progress: Called with an audit's id, steps done, steps in all, and what is being done.

    Raises:
        AuditError: AUD-1, AUD-6, AUD-9; AUD-8, a process was ended from outside.
        TrainingError: The data cannot be used; nothing was trained.
        StoreError: OUT.
    """
    open_split(spec)
    lacks = {name: reason for name in names if (reason := _lacks(get_audit(name), spec))}
    left_out = () if asked else tuple(name for name in profile.leaves_out if name not in names)
    wanted = [name for name in names if name not in lacks]
    prepare_folder(folder)
    kept = {name: load_result(result_path(folder, spec, profile, name), name) for name in wanted}
    results = {name: result for name, result in kept.items() if result is not None}
    missing = [name for name in wanted if name not in results]
    results |= dict(run_all(spec, missing, profile, folder, processes, progress))
    for name in lacks.keys() & set(asked):
        results[name] = undecided(name, get_audit(name).title, f"not run: {lacks.pop(name)}")
    found = tuple(results[name] for name in names if name in results)
    return AuditReport(
        subject=subject,
        profile=profile.name,
        status=worst(tuple(result.status for result in found)),
        results=found,
        skipped=(*lacks.items(), *((name, _left_out(name, spec, profile)) for name in left_out)),
        created=int(time.time()),
        tool=tool,
        random_seed=spec.random_seed,
    )


def forget_arms(folder: Path) -> None:
    """Remove the tuned models of a run that is complete; its results stay."""
    shutil.rmtree(folder / "arms", ignore_errors=True)


def _left_out(name: str, spec: Spec, profile: Profile) -> str:
    """Return why an audit was not run that the profile leaves out (AUD-12)."""
    lack = _lacks(get_audit(name), spec)
    return lack or f"{profile.name} leaves it out; --audit {profile.name},all runs it, too"


def _lacks(audit: Audit, spec: Spec) -> str | None:
    """Return why ``audit`` cannot be done with what there is; None if it can."""
    given = {
        "seed": (bool(spec.seed), "it is about a seed, and this is none"),
        "data": (bool(spec.task), f"it needs data: {_DATA_OPTIONS}"),
        "original": (bool(spec.original), "it needs the original: --original MODEL"),
    }
    for need in sorted(audit.needs):
        there, reason = given[need]
        if not there:
            return reason
    if audit.tasks and spec.task not in audit.tasks:
        return f"it is for {', '.join(sorted(audit.tasks))}"
    return None
