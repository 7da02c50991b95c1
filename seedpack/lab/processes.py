"""Does the benchmark's work here or in several processes, and says how far it is."""

from __future__ import annotations

import concurrent.futures
import contextlib
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from seedpack.errors import StoreError
from seedpack.lab.work import perform
from seedpack.workers import open_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.lab.units import Unit
    from seedpack.lab.zoo.registry import Zoo


_AHEAD: Final = ("seedpack.lab.work", "torch._dynamo")  # the latter for torch's optimizers


class Work(NamedTuple):
    """How the work is done.

    Attributes:
        zoo: Where models and results are.
        jobs: Processes.
        progress: Called with what is done, pieces done and pieces in all.
    """

    zoo: Zoo
    jobs: int
    progress: Callable[[str, int, int], None] | None

    def do(self, what: str, units: Sequence[Unit]) -> None:
        """Perform all units; those whose results are there cost nothing.

        Raises:
            StoreError: ZOO-8, a process was ended from outside.
        """
        if self.jobs == 1:
            performed = _performed_here(units, self.zoo)
        else:
            performed = _performed_by_workers(units, self.zoo, self.jobs)
        for number, _ in enumerate(performed, 1):
            if self.progress is not None:
                self.progress(what, number, len(units))


def _performed_here(units: Sequence[Unit], zoo: Zoo) -> Iterator[None]:
    with _one_thread():
        for unit in units:
            perform(unit, zoo)
            yield


def _performed_by_workers(units: Sequence[Unit], zoo: Zoo, jobs: int) -> Iterator[None]:
    try:
        with open_workers(jobs, threads=1, ahead=_AHEAD) as workers:
            futures = [workers.submit(_perform_alone, unit, zoo) for unit in units]
            for future in concurrent.futures.as_completed(futures):
                future.result()
                yield
    except BrokenProcessPool as error:
        raise StoreError(
            "a process of the benchmark was ended from outside",
            rule="ZOO-8",
            where=str(zoo.folder),
            hint="often memory was short: try --jobs 1; what is finished is kept",
        ) from error


def _perform_alone(unit: Unit, zoo: Zoo) -> None:
    with _one_thread():
        perform(unit, zoo)


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Sums over several threads differ in their last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
