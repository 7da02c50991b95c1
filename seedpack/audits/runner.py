"""Runs audits: in processes of their own, resumable (AUD-8), each failure an ``undecided``.

    Spec, ids, Profile ──prepare: data checked once, before anything is trained──>
      each id ──result there from an earlier run?──> read
              ──else: process──open_context──Audit.run──conclude──> results/KEY.json, whole
    results in the order of the registry ──> AuditReport

What is interrupted loses only what was under way: tuned arms and finished results stay in the
folder and are taken from there by the next run with the same seed, data, options and profile.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from seedpack.audits.arms import Arms
from seedpack.audits.base import Context, Spec
from seedpack.audits.gates import conclude, undecided
from seedpack.audits.kept import (
    check_writable,
    load_result,
    prepare_folder,
    result_path,
    save_result,
)
from seedpack.audits.registry import get_audit
from seedpack.audits.results import AuditReport, AuditResult, Subject, worst
from seedpack.errors import AuditError, SeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    from seedpack.audits.base import Audit
    from seedpack.audits.profiles import Profile
    from seedpack.training import Split

    Watch = Callable[[str, int, int, str], None]  # audit, steps done, steps in all, what

_TERMINATED: Final = 128 + signal.SIGTERM  # exit status, as shells have it
MIN_EVALUATION: Final = 100  # fewer examples decide nothing: AUD-6
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
            is undecided, where another is only listed as not run.
        processes: How many audits at once; None: as many as there are cores, at most four.
        progress: Called with an audit's id, steps done, steps in all, and what is being done.

    Raises:
        AuditError: AUD-1, AUD-6, AUD-9; AUD-8, a process was ended from outside.
        TrainingError: The data cannot be used; nothing was trained.
        StoreError: OUT.
    """
    open_split(spec)
    lacks = {name: reason for name in names if (reason := _lacks(get_audit(name), spec))}
    wanted = [name for name in names if name not in lacks]
    prepare_folder(folder)
    kept = {name: load_result(result_path(folder, spec, profile, name), name) for name in wanted}
    results = {name: result for name, result in kept.items() if result is not None}
    missing = [name for name in wanted if name not in results]
    results |= dict(_run_all(spec, missing, profile, folder, processes, progress))
    for name in lacks.keys() & set(asked):
        results[name] = undecided(name, get_audit(name).title, f"not run: {lacks.pop(name)}")
    found = tuple(results[name] for name in names if name in results)
    return AuditReport(
        subject=subject,
        profile=profile.name,
        status=worst(tuple(result.status for result in found)),
        results=found,
        skipped=tuple(lacks.items()),
        created=int(time.time()),
        tool=tool,
        random_seed=spec.random_seed,
    )


def open_split(spec: Spec) -> Split | None:
    """Read and check the data of ``spec``; None where it has none.

    Raises:
        TrainingError: TRN-1 to TRN-9.
    """
    if not spec.task:
        return None
    from seedpack.training import Columns  # noqa: PLC0415 -- numpy
    from seedpack.tune import TunePlan, load_split  # noqa: PLC0415

    plan = TunePlan(samples=spec.samples, seed=spec.random_seed)
    return load_split(spec.task, spec.train, spec.evaluation, plan, columns=Columns(*spec.columns))


def run_audit(
    spec: Spec,
    name: str,
    profile: Profile,
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
) -> AuditResult:
    """Run one audit in this process; keep its result in ``folder``.

    Raises:
        AuditError: AUD-1.
        StoreError: OUT.
    """
    audit, start = get_audit(name), time.monotonic()
    with open_context(spec, profile, folder, progress) as context:
        try:
            result = conclude(_judge_size(audit.run(context), audit, context))
            check_writable(result)
        except SeedError as error:
            hint = f"; {error.hint}" if error.hint else ""
            result = undecided(name, audit.title, f"{error}{hint}")
    seconds = round(time.monotonic() - start, 1)
    result = msgspec.structs.replace(result, seconds=seconds)
    save_result(result_path(folder, spec, profile, name), result)
    return result


@contextlib.contextmanager
def open_context(
    spec: Spec,
    profile: Profile,
    folder: Path,
    progress: Callable[[int, int, str], None] | None = None,
) -> Iterator[Context]:
    """Yield what an audit is given; its scratch folder is removed afterwards."""
    split = open_split(spec)
    arms = None if split is None else Arms(spec, split, folder / "arms")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scratch-", dir=folder) as scratch:
        yield Context(spec, profile, Path(scratch), split=split, arms=arms, progress=progress)


def forget_arms(folder: Path) -> None:
    """Remove the tuned models of a run that is complete; its results stay."""
    shutil.rmtree(folder / "arms", ignore_errors=True)


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


def _judge_size(result: AuditResult, audit: Audit, context: Context) -> AuditResult:
    """Take the right to pass from an audit with hardly any evaluation (AUD-6)."""
    if "data" not in audit.needs or context.split is None or result.reason:
        return result
    n = len(context.split.evaluation)
    if n >= MIN_EVALUATION:
        return result
    return msgspec.structs.replace(
        result, reason=f"{n} evaluation examples; fewer than {MIN_EVALUATION} decide nothing"
    )


def _run_all(
    spec: Spec,
    names: Sequence[str],
    profile: Profile,
    folder: Path,
    processes: int | None,
    progress: Watch | None,
) -> Iterator[tuple[str, AuditResult]]:
    """Yield each audit's result; several processes at once, where there are several audits."""
    names = sorted(names, key=lambda name: -get_audit(name).effort)
    count = min(processes or min(os.cpu_count() or 1, 4), len(names))
    if count <= 1:
        for name in names:
            watch = None if progress is None else _watch_of(name, progress)
            yield name, run_audit(spec, name, profile, folder, watch)
        return
    # Spawned, not forked: torch's threads do not survive a fork.
    methods = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        count, mp_context=methods, initializer=_start_worker, initargs=(count,)
    ) as pool:
        try:
            with _uninterrupted():
                futures = {n: pool.submit(_run_in_worker, spec, n, profile, folder) for n in names}
            for done, (name, future) in enumerate(futures.items(), 1):
                yield name, future.result()
                if progress is not None:
                    progress(name, done, len(names), "audits")
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise _refuse_broken() from error
            raise


def _run_in_worker(spec: Spec, name: str, profile: Profile, folder: Path) -> AuditResult:
    """Run one audit; end the process where it is told to, and not only the audit."""
    try:
        return run_audit(spec, name, profile, folder)
    except SystemExit:
        # The pool would take this for the audit's result and begin with the next one.
        os._exit(_TERMINATED)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Start processes that do not hear Ctrl-C: this one tells them, once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    usual = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, usual)


def _refuse_broken() -> AuditError:
    return AuditError(
        "a process of the audit was ended from outside",
        rule="AUD-8",
        where="audits",
        hint="often memory was short: try --jobs 1; what is finished is kept",
    )


def _watch_of(name: str, progress: Watch) -> Callable[[int, int, str], None]:
    return lambda done, total, what: progress(name, done, total, what)


def _start_worker(processes: int) -> None:
    """Give this process its share of the cores, and let it end with its parent, leaving no folder.

    More threads than cores would wait for each other.
    """
    threads = str(max((os.cpu_count() or 1) // processes, 1))
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = threads
    signal.signal(signal.SIGTERM, _leave)
    threading.Thread(target=_leave_after_parent, daemon=True).start()


def _leave_after_parent() -> None:
    """Tell this process to end once nobody waits for its result, however the parent ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _leave(_number: int, _frame: object) -> NoReturn:
    """End as if by an exception, so that folders are removed; a second signal changes nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(_TERMINATED)
