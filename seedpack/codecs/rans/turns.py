"""One thread at a time in loops of short calls, for all that wait.

    threads --jobs--> pending --the kind with the most lanes--> its jobs, together, by one of
                                                            <-- their threads, when that is done

Each numpy call on a row lets go of the interpreter lock and takes it back. Two threads that do so
ten times a microsecond spend more on handing it over than they gain: they are slower together than
one alone. Whoever waits here leaves its core to work of longer calls: digests, reading, rounding.

And most of a row of few lanes is calls: jobs whose rows go together cost little more than one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import defaultdict
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

_MOST_LANES: Final = 1 << 12  # states and code tables of more would not stay in a usual L2


class Job(ABC):
    """Rows to be worked on, by any thread."""

    def __init__(self, kind: Hashable, nlanes: int) -> None:
        """Take what jobs that go together have in common, and the lanes of this one."""
        self.kind = (type(self), kind)
        self.nlanes = nlanes
        self.called = threading.Event()  # it is done, or its thread is to do ``batch``
        self.batch: list[Self] = []
        self.failure: BaseException | None = None

    @abstractmethod
    def work(self, jobs: Sequence[Self]) -> None:
        """Do ``jobs`` of one kind, of which this is the first."""


class Turns:
    """Jobs that wait, and whether a thread is at work."""

    def __init__(self) -> None:
        """Start with nobody at work."""
        self._lock = threading.Lock()
        self._pending: list[Job] = []
        self._is_busy = False

    def run(self, job: Job) -> None:
        """Return when ``job`` is done, by this thread or by another."""
        with self._lock:
            self._pending.append(job)
            if not self._is_busy:
                self._call_next()
        try:
            job.called.wait()
        except BaseException:  # interrupted: others must not wait for this thread
            self._withdraw(job)
            raise
        if job.batch:
            self._work_on(job.batch)
            job.batch = []  # holds the job itself, which would hold a tensor until it is found
        if job.failure is not None:
            raise job.failure

    def _work_on(self, jobs: list[Job]) -> None:
        try:
            jobs[0].work(jobs)
        except BaseException as error:  # noqa: BLE001 -- each of the threads that wait raises it
            for job in jobs:
                job.failure = error
        with self._lock:
            self._call_next()
        for job in jobs:
            job.called.set()

    def _call_next(self) -> None:
        """Have a thread do the largest batch that is pending; the lock is held."""
        self._is_busy = bool(self._pending)
        if not self._is_busy:
            return
        batches: defaultdict[Hashable, list[Job]] = defaultdict(list)
        for job in self._pending:
            batch = batches[job.kind]
            if not batch or _count_lanes(batch) + job.nlanes <= _MOST_LANES:
                batch.append(job)
        largest = max(batches.values(), key=_count_lanes)
        self._pending = [job for job in self._pending if job not in largest]
        largest[0].batch = largest
        largest[0].called.set()

    def _withdraw(self, job: Job) -> None:
        with self._lock:
            if job in self._pending:
                self._pending.remove(job)
            elif job.batch:
                self._pending += job.batch[1:]
                self._call_next()


def _count_lanes(jobs: Sequence[Job]) -> int:
    return sum(job.nlanes for job in jobs)


TURNS: Final = Turns()
