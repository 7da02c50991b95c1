"""Processes that work for this one, and end with it.

    open_workers ──Workers.submit(function, ...)──> Future, by a process of its own
    Ctrl-C, or a failure of what is done with the results ──SIGTERM──> every worker
    this process ends, however it does                    ──SIGTERM──> every worker

    usually:           this process ──starts──> every worker, which imports for itself
    on Linux, where    this process ──starts once──> a server, which imports ahead
    work is known:                                   ──forks, in tenths of a second──> every worker

The server has begun no thread, which a fork would lose.
None of them looks for modules in the current folder, which may be one of downloads (AUD-11).
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
from multiprocessing import forkserver, resource_tracker
from typing import TYPE_CHECKING, Final, NoReturn, ParamSpec, TypeVar

from seedpack.memory import keep_freed_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from multiprocessing.context import ForkServerContext, SpawnContext
    from multiprocessing.process import BaseProcess

_TERMINATED: Final = 128 + signal.SIGTERM  # exit status, as shells have it
_THREADS: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_SAFE: Final = {
    "PYTHONSAFEPATH": "1"
}  # Python looks in the folder of a program, not in the current
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
        with _uninterrupted(), _environment(_SAFE):
            return self._pool.submit(_call, partial(function, *args, **kwargs))


@contextlib.contextmanager
def open_workers(count: int, threads: int, ahead: Sequence[str] = ()) -> Iterator[Workers]:
    """Give so many processes; after the block they have ended.

    Args:
        count: Of processes.
        threads: Of each, for sums over arrays; more than cores would wait for each other.
        ahead: Names of modules that the work imports anyway and that start no thread: imported
            once for all. Later calls find what the first one that gave some had imported.
    """
    context = _open_context(threads, ahead)
    others = set(multiprocessing.active_children())
    with ProcessPoolExecutor(
        count,
        mp_context=context,
        initializer=_start_worker,
        initargs=(threads, dict(os.environ)),
    ) as pool:
        try:
            yield Workers(pool)
        except BaseException:
            # The pool takes ended workers for broken ones, gives up what waits, and waits for them.
            _end_all(set(multiprocessing.active_children()) - others)
            raise


class _Server:
    """The process that workers are forked from: one at most, which ends after this one."""

    threads: int | None = None  # of what it has imported; libraries read that when they are loaded


def _open_context(threads: int, ahead: Sequence[str]) -> ForkServerContext | SpawnContext:
    """Return how workers are started; never forked from here, where torch may have threads."""
    path = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with _uninterrupted(), _environment(_SAFE | path | dict.fromkeys(_THREADS, str(threads))):
        if os.name == "posix":
            resource_tracker.ensure_running()  # a process, too
        if not ahead or sys.platform != "linux" or _Server.threads not in {None, threads}:
            return multiprocessing.get_context("spawn")
        if _Server.threads is None:
            forkserver.set_forkserver_preload(list(ahead))
            _Server.threads = threads
        forkserver.ensure_running()
        return multiprocessing.get_context("forkserver")


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set what a process that is started in the block inherits."""
    usual = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        for name in variables:
            del os.environ[name]
            if name in usual:
                os.environ[name] = usual[name]


def _end_all(workers: Collection[BaseProcess]) -> None:
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.join(_PATIENCE)
        worker.kill()  # nothing, where it has ended


def _start_worker(threads: int, variables: Mapping[str, str]) -> None:
    """Make this process one that ends with its parent, leaving no folder.

    Args:
        threads: For sums over arrays.
        variables: The parent's environment: a server still has that of its own start.
    """
    os.environ.clear()
    os.environ.update(variables)
    os.environ.update(dict.fromkeys(_THREADS, str(threads)))
    keep_freed_memory()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
