"""Audits in processes of their own, which end with the one that started them (AUD-8).

names ──the longest first──> as many at once as there are processes ──> (name, result)
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, NoReturn

from seedpack.audits.registry import get_audit
from seedpack.audits.work import prepare_audit, run_audit
from seedpack.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from seedpack.audits.base import Spec
    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import AuditResult

    Watch = Callable[[str, int, int, str], None]  # audit, steps done, steps in all, what

_TERMINATED: Final = 128 + signal.SIGTERM  # exit status, as shells have it


class _Work(NamedTuple):
    """What a process is given at once.

    Attributes:
        audit: Its name.
        number: Of one of its preparations; None: the audit itself.
    """

    audit: str
    number: int | None = None


class _Done(NamedTuple):
    """What comes back: the time, and of an audit the result."""

    seconds: float
    result: AuditResult | None = None


def run_all(
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
            begin = partial(_begin, pool, spec, profile, folder)
            for done, (name, result) in enumerate(_in_turn(names, profile, count, begin), 1):
                yield name, result
                if progress is not None:
                    progress(name, done, len(names), "audits")
        except BaseException as error:
            pool.shutdown(wait=False, cancel_futures=True)
            for process in multiprocessing.active_children():
                process.terminate()
            if isinstance(error, BrokenProcessPool):
                raise _refuse_broken() from error
            raise


def _begin(
    pool: ProcessPoolExecutor, spec: Spec, profile: Profile, folder: Path, work: _Work, spent: float
) -> Future[_Done]:
    return pool.submit(_do_in_worker, spec, profile, folder, work, spent)


def _in_turn(
    names: Sequence[str],
    profile: Profile,
    count: int,
    begin: Callable[[_Work, float], Future[_Done]],
) -> Iterator[tuple[str, AuditResult]]:
    """Yield results of audits, each begun once its preparations are done, ``count`` at once."""
    waiting = [
        _Work(name, number)
        for name in names
        for number in (*range(get_audit(name).preparations(profile)), None)
    ]
    running: dict[Future[_Done], _Work] = {}
    spent: defaultdict[str, float] = defaultdict(float)
    while waiting or running:
        with _uninterrupted():
            while len(running) < count and (work := _next(waiting, running.values())):
                waiting.remove(work)
                running[begin(work, spent[work.audit])] = work
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name, done = running.pop(future).audit, future.result()
            spent[name] += done.seconds
            if done.result is not None:
                yield name, done.result


def _next(waiting: Sequence[_Work], running: Collection[_Work]) -> _Work | None:
    """Return the first that can be begun: an audit waits for its own preparations."""
    busy = {work.audit for work in running}
    return next((w for w in waiting if w.number is not None or w.audit not in busy), None)


def _do_in_worker(spec: Spec, profile: Profile, folder: Path, work: _Work, spent: float) -> _Done:
    """Do it; end the process where it is told to, and not only the audit."""
    try:
        if work.number is not None:
            return _Done(prepare_audit(spec, work.audit, work.number, profile, folder))
        return _Done(0.0, run_audit(spec, work.audit, profile, folder, spent=spent))
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
