"""Processes that work for this one, and end with it.

    open_workers ──Workers.submit(function, ...)──> Future, by a process of its own
    Ctrl-C, or a failure of what is done with the results ──SIGTERM──> every worker
    this process ends, however it does                    ──SIGTERM──> every worker

Workers do not hear Ctrl-C, which a terminal sends to all: the first process ends them, once. They
end as if by an exception, so that what they put on the disk for a while is removed.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, TypeVar

from seedpack.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from concurrent.futures import Future
    from multiprocessing.process import BaseProcess

_TERMINATED: Final = 128 + signal.SIGTERM  # exit status, as shells have it
_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_PATIENCE: Final = 30.0  # seconds that a worker may take to end by itself
_AGAIN: Final = 5.0  # seconds after which it is told once more
_P = ParamSpec("_P")
_R = TypeVar("_R")


class Workers:
    """Processes that take what they are given one after the other."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        """Take a pool of fresh processes, each of which began with ``_start_worker``."""
        self._pool = pool

    def submit(
        self, function: Callable[_P, _R], /, *args: _P.args, **kwargs: _P.kwargs
    ) -> Future[_R]:
        """Have ``function`` called by the next process that is free.

        Raises:
            BrokenProcessPool: A process was ended from outside; so does the future.
        """
        with _uninterrupted():
            return self._pool.submit(_call, partial(function, *args, **kwargs))


@contextlib.contextmanager
def open_workers(count: int, threads: int) -> Iterator[Workers]:
    """Give so many processes; after the block they have ended.

    Args:
        count: Of processes.
        threads: Of each, for sums over arrays; more than cores would wait for each other.
    """
    # Spawned, not forked: torch's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        count, mp_context=context, initializer=_start_worker, initargs=(threads,)
    ) as pool:
        try:
            yield Workers(pool)
        except BaseException:
            # The pool takes ended workers for broken ones, gives up what waits, and waits for them.
            _end_all(set(multiprocessing.active_children()) - others)
            raise


def _end_all(workers: Collection[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_PATIENCE)
        worker.kill()  # nothing, where it has ended


def _start_worker(threads: int) -> None:
    """Make this process one that ends with its parent, leaving no folder."""
    for variable in _THREADS:
        os.environ[variable] = str(threads)
    keep_freed_memory()
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_leave_after_parent, daemon=True).start()


class _Turn:
    """Whether this process is at work, or the pool's own code is."""

    is_at_work = False


def leave(_number: int, _frame: object) -> NoReturn:
    """End as if by an exception, so that folders are removed; a second signal changes nothing.

    An exception may be lost on its way: code that catches all of them, or that was called back
    from C, goes on as if there had been none. So the process is told again until it has ended.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "setitimer"):  # everywhere but on Windows
        signal.signal(signal.SIGALRM, _tell_again)
        signal.setitimer(signal.ITIMER_REAL, _AGAIN)
    sys.exit(_TERMINATED)


def _tell_again(_number: int, _frame: object) -> None:
    # Another handler than that of ``leave`` holds signals back while a folder is removed.
    if signal.getsignal(signal.SIGTERM) is signal.SIG_IGN:
        signal.signal(signal.SIGTERM, leave)
    os.kill(os.getpid(), signal.SIGTERM)


def _end(number: int, frame: object) -> NoReturn:
    """End at once where nothing is to be removed: the pool would take an exception for a result."""
    if not _Turn.is_at_work:
        os._exit(_TERMINATED)
    leave(number, frame)


def _call(work: Callable[[], _R]) -> _R:
    """Do it; end the process where it is told to, and not only what it does."""
    try:
        try:
            _Turn.is_at_work = True
            return work()
        finally:
            _Turn.is_at_work = False
    except SystemExit:
        # The pool would take this for a result and begin with the next one.
        os._exit(_TERMINATED)


def _leave_after_parent() -> None:
    """Tell this process to end once nobody waits for its result, however the parent ended."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


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
