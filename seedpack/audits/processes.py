"""Audits in processes of their own, which end with the one that started them (AUD-8).

names ──the longest first──> as many at once as there are processes ──> (name, result)
"""

from __future__ import annotations

import os
from collections import defaultdict
from concurrent.futures import FIRST_COMPLETED, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.audits.registry import get_audit
from seedpack.audits.work import prepare_audit, run_audit
from seedpack.errors import AuditError
from seedpack.workers import open_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from seedpack.audits.base import Spec
    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import AuditResult
    from seedpack.workers import Workers

    Watch = Callable[[str, int, int, str], None]  # audit, steps done, steps in all, what


# What a tuning imports; torch's optimizers import the last, which is half of it all.
AHEAD: Final = ("seedpack.audits.work", "seedpack.training.loop", "accelerate", "torch._dynamo")


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
    try:
        threads = max((os.cpu_count() or 1) // count, 1)
        with open_workers(count, threads, AHEAD if spec.task else ()) as workers:
            begin = partial(_begin, workers, spec, profile, folder)
            for done, (name, result) in enumerate(_in_turn(names, profile, count, begin), 1):
                yield name, result
                if progress is not None:
                    progress(name, done, len(names), "audits")
    except BrokenProcessPool as error:
        raise AuditError(
            "a process of the audit was ended from outside",
            rule="AUD-8",
            where="audits",
            hint="often memory was short: try --jobs 1; what is finished is kept",
        ) from error


def _begin(
    workers: Workers, spec: Spec, profile: Profile, folder: Path, work: _Work, spent: float
) -> Future[_Done]:
    return workers.submit(_do, spec, profile, folder, work, spent)


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


def _do(spec: Spec, profile: Profile, folder: Path, work: _Work, spent: float) -> _Done:
    if work.number is not None:
        return _Done(prepare_audit(spec, work.audit, work.number, profile, folder))
    return _Done(0.0, run_audit(spec, work.audit, profile, folder, spent=spent))


def _watch_of(name: str, progress: Watch) -> Callable[[int, int, str], None]:
    return lambda done, total, what: progress(name, done, total, what)
