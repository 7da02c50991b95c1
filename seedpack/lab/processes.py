"""Does the benchmark's work here or in several processes, and says how far it is."""

from __future__ import annotations

import concurrent.futures
import multiprocessing
from typing import TYPE_CHECKING, NamedTuple

import torch

from seedpack.lab.work import perform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.lab.units import Unit
    from seedpack.lab.zoo.registry import Zoo


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
        """Perform all units; those whose results are there cost nothing."""
        for number, _ in enumerate(self._performed(units), 1):
            if self.progress is not None:
                self.progress(what, number, len(units))

    def _performed(self, units: Sequence[Unit]) -> Iterator[None]:
        if self.jobs == 1:
            # One thread, as in a process of a pool: sums over threads differ in their last bits.
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                for unit in units:
                    perform(unit, self.zoo)
                    yield
            finally:
                torch.set_num_threads(threads)
            return
        # Fresh processes: a fork of one that has run torch can hang in its thread pools.
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(
            self.jobs, context, torch.set_num_threads, (1,)
        ) as pool:
            futures = [pool.submit(perform, unit, self.zoo) for unit in units]
            try:
                for future in concurrent.futures.as_completed(futures):
                    future.result()
                    yield
            finally:
                pool.shutdown(cancel_futures=True)
