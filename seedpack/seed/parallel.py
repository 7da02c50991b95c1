"""The same work on many items over all cores, stopping at the first failure.

Digests and decoders release the interpreter lock, so threads are enough; plain
``threading`` keeps the start-up of ``verify`` short.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import ThreadPoolExecutor

Item = TypeVar("Item")

MAX_THREADS: Final = 16  # memory of a verifier is bounded by one chunk per thread
_WAITING: Final = 8  # threads per core where most of them wait for each other


def thread_count() -> int:
    """Return how many threads may run at once here."""
    return min(len(os.sched_getaffinity(0)), MAX_THREADS)


def layer_thread_count(*, waiting: bool) -> int:
    """Return how many threads may encode or decode layers here.

    Args:
        waiting: Codecs take turns: rANS lets one thread in at a time, which does the work of all
            that wait, and of several small layers at little more than the cost of one. So there
            are more threads than cores. Others would only be in each other's way.
    """
    return min(_WAITING * thread_count(), MAX_THREADS) if waiting else thread_count()


@contextmanager
def layer_pool(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Hold threads for layers; what they have not begun when it ends is left out.

    A generator that nobody exhausts ends where the garbage collector meets it: perhaps in one of
    its own threads, or in one that they wait for. Then nobody waits for them here either.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 -- `verify` needs none

    pool = ThreadPoolExecutor(threads)
    is_abandoned = False
    try:
        yield pool
    except GeneratorExit:
        is_abandoned = True
        raise
    finally:
        pool.shutdown(wait=not is_abandoned, cancel_futures=True)


def for_each(
    items: Sequence[Item], make_worker: Callable[[], Callable[[Item], None]], *, threads: int
) -> None:
    """Call a worker on every item, with one worker per thread.

    Args:
        items: Taken in order, each exactly once.
        make_worker: Called once in each thread; its result keeps that thread's buffers.
        threads: 1 runs everything in the calling thread.

    Raises:
        Exception: The failure with the lowest place in ``items``; later items are left out.
    """
    run = _Run(items, make_worker)
    helpers = [threading.Thread(target=run.work) for _ in range(min(threads, len(items)) - 1)]
    for helper in helpers:
        helper.start()
    run.work()
    for helper in helpers:
        helper.join()
    if run.failures:
        raise min(run.failures, key=lambda failure: failure[0])[1]


class _Run:
    """Shared state of one ``for_each``."""

    def __init__(
        self, items: Sequence[Item], make_worker: Callable[[], Callable[[Item], None]]
    ) -> None:
        self.make_worker = make_worker
        self.places = iter(enumerate(items))
        self.lock = threading.Lock()
        self.failures: list[tuple[int, BaseException]] = []

    def work(self) -> None:
        place = -1
        try:
            worker = self.make_worker()
            while not self.failures:
                with self.lock:
                    taken = next(self.places, None)
                if taken is None:
                    return
                place, item = taken
                worker(item)
        except BaseException as error:  # noqa: BLE001 -- handed to the caller of for_each
            self.failures.append((place, error))
