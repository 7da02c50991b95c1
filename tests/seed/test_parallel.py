"""The same work on many items, stopping at the first failure."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.seed.parallel import MAX_THREADS, for_each, layer_thread_count, thread_count


class Failure(Exception):  # noqa: N818 -- stands for any exception of a worker
    """Carries the item that failed."""


def test_as_many_threads_as_cores_but_not_more_than_sixteen(monkeypatch):
    assert thread_count() == min(len(os.sched_getaffinity(0)), 16)
    for cores, threads in ((1, 1), (16, 16), (17, 16), (200, 16)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid, n=cores: set(range(n + pid)))
        assert thread_count() == threads
    assert MAX_THREADS == 16


@pytest.mark.parametrize("cores, busy, waiting", [(1, 1, 8), (2, 2, 16), (3, 3, 16), (40, 16, 16)])
def test_more_threads_than_cores_only_where_they_wait(monkeypatch, cores, busy, waiting):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores + pid)))
    assert layer_thread_count(waiting=False) == busy
    assert layer_thread_count(waiting=True) == waiting


@given(st.lists(st.integers(), max_size=30), st.integers(1, 5))
def test_every_item_is_taken_once(items, threads):
    seen = []
    for_each(items, lambda: seen.append, threads=threads)
    assert sorted(seen) == sorted(items)


def test_one_thread_takes_the_items_in_order_and_is_the_caller():
    seen = []

    def make_worker():
        return lambda item: seen.append((item, threading.get_ident()))

    for_each("abc", make_worker, threads=1)
    assert seen == [(item, threading.get_ident()) for item in "abc"]


@pytest.mark.parametrize(
    "threads, items, workers", [(1, 9, 1), (3, 9, 3), (5, 2, 2), (4, 1, 1), (3, 0, 1)]
)
def test_there_is_one_worker_per_thread(threads, items, workers):
    made = []
    everyone = threading.Barrier(workers, timeout=60)

    def make_worker():
        made.append(threading.get_ident())
        everyone.wait()  # nobody starts before all are there
        return [].append

    for_each(range(items), make_worker, threads=threads)
    assert len(set(made)) == len(made) == workers
    assert threading.get_ident() in made


def test_items_after_a_failure_are_left_out():
    seen = []

    def work(item):
        seen.append(item)
        if item == 3:
            raise Failure(item)

    with pytest.raises(Failure) as caught:
        for_each(range(10), lambda: work, threads=1)
    assert caught.value.args == (3,)
    assert seen == [0, 1, 2, 3]


def test_of_two_failures_the_one_with_the_lowest_place_counts():
    both = threading.Barrier(2, timeout=60)
    second_failed = threading.Event()

    def work(item):
        both.wait()
        if item == 0:
            assert second_failed.wait(60)
        else:
            second_failed.set()
        raise Failure(item)

    with pytest.raises(Failure) as caught:
        for_each([0, 1], lambda: work, threads=2)
    assert caught.value.args == (0,)


def test_a_worker_that_cannot_be_made_fails_the_work():
    def make_worker():
        raise Failure("no memory")

    with pytest.raises(Failure):
        for_each([1, 2, 3], make_worker, threads=2)


def test_a_stop_iteration_of_a_worker_is_no_end_of_the_work():
    seen = []

    def work(item):
        seen.append(item)
        next(iter(()))

    with pytest.raises(StopIteration):
        for_each([1, 2], lambda: work, threads=1)
    assert seen == [1]


def test_an_interruption_stops_the_work():
    def work(item):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        for_each([1, 2], lambda: work, threads=2)
