"""Turns: whoever waits has its rows done, together with those of others, as if they were alone."""

from __future__ import annotations

import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs.rans import (
    CodeTable,
    Layout,
    OneTable,
    Stream,
    decode_streams,
    encode_streams,
    longest_tail,
)
from seedpack.codecs.rans import decoding as decoding_module
from seedpack.codecs.rans import encoding as encoding_module
from seedpack.codecs.rans.turns import Job, Turns


class AllTogether:
    """In place of Turns: all jobs of ``ncalls`` calls, which come at once, are one batch."""

    def __init__(self, ncalls):
        self.jobs = []
        self.barrier = threading.Barrier(ncalls)

    def run(self, job):
        self.jobs.append(job)
        if self.barrier.wait() == 0:
            assert len({each.kind for each in self.jobs}) == 1
            self.jobs[0].work(self.jobs)
        self.barrier.wait()


def at_once(calls):
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(call) for call in calls]]


@st.composite
def messages_alike(draw):
    """Draw calls, each a (table, streams, layout), of as many lanes and rows but own tables."""
    nvalues, lane_values = draw(st.integers(1, 900)), draw(st.integers(64, 300))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    calls = []
    for _ in range(draw(st.integers(2, 4))):
        weights = random.integers(1, 50, draw(st.integers(1, 30)))
        frequencies = 1 + weights * (4096 - weights.size) // weights.sum()
        frequencies[0] += 4096 - frequencies.sum()
        table = CodeTable(frequencies)
        nstreams = draw(st.integers(1, 3))
        streams = list(random.integers(0, weights.size, (nstreams, nvalues)))
        tail = draw(st.integers(0, longest_tail(streams, table, lane_values)))
        calls.append((table, streams, Layout(lane_values, tail)))
    return calls


def decode(table, stored, nvalues, layout):
    meanings = table.spread(np.arange(table.frequencies.size, dtype=np.uint16))
    streams = [Stream(memoryview(one), np.empty(nvalues, np.uint16), "w") for one in stored]
    used = decode_streams(streams, OneTable(table), layout, meanings=meanings)
    return [stream.out.tolist() for stream in streams], used


@pytest.mark.spec("COD-RANS-6")
@given(messages_alike())
def test_calls_worked_on_together_give_what_each_gives_alone(calls):
    alone = [encode_streams(streams, table, layout) for table, streams, layout in calls]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoding_module, "TURNS", AllTogether(len(calls)))
        patch.setattr(decoding_module, "TURNS", AllTogether(len(calls)))
        together = at_once(
            [lambda call=(s, t, layout): encode_streams(*call) for t, s, layout in calls]
        )
        decoded = at_once(
            [
                lambda call=(t, stored, s[0].size, layout): decode(*call)
                for (t, s, layout), stored in zip(calls, alone, strict=True)
            ]
        )
    assert together == alone
    for (_, streams, _), stored, (symbols, used) in zip(calls, alone, decoded, strict=True):
        assert symbols == [stream.tolist() for stream in streams]
        assert used == list(map(len, stored))


class Counted(Job):
    """A job that remembers with how many others it was done."""

    def __init__(self, kind="a", nlanes=1, failure=None):
        super().__init__(kind, nlanes)
        self.company = []
        self.raises = failure

    def work(self, jobs):
        for job in jobs:
            job.company.append(len(jobs))
        if self.raises is not None:
            raise self.raises


class Slow(Counted):
    """A job that goes on until it is let go."""

    def __init__(self):
        super().__init__()
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def work(self, jobs):
        self.has_begun.set()
        self.may_end.wait()
        super().work(jobs)


class Announced(Counted):
    """A job that tells when its thread waits."""

    def __init__(self, waiting, **options):
        super().__init__(**options)
        self.called.wait, real = lambda: (waiting.release(), real()), self.called.wait


def run_behind_another(jobs):
    """Run ``jobs`` in threads that all wait for the same one; return their failures."""
    turns, slow, waiting = Turns(), Slow(), threading.Semaphore(0)
    announced = [make(waiting) for make in jobs]
    with ThreadPoolExecutor(len(jobs) + 1) as pool:
        first = pool.submit(turns.run, slow)
        slow.has_begun.wait()
        futures = [pool.submit(turns.run, job) for job in announced]
        for _ in announced:
            waiting.acquire()
        slow.may_end.set()
        first.result()
        return announced, [future.exception() for future in futures]


def test_jobs_of_one_kind_that_wait_are_done_together_and_once():
    makers = [Announced] * 3 + [lambda w: Announced(w, kind="b")] * 2
    jobs, failures = run_behind_another(makers)
    assert [job.company for job in jobs] == [[3]] * 3 + [[2]] * 2
    assert failures == [None] * 5


def test_jobs_of_too_many_lanes_are_done_one_after_the_other():
    jobs, _ = run_behind_another([lambda w: Announced(w, nlanes=3000)] * 2)
    assert [job.company for job in jobs] == [[1], [1]]


def test_a_failure_is_raised_in_every_thread_whose_job_was_in_the_batch():
    failure = MemoryError()
    makers = [lambda w: Announced(w, failure=failure)] * 2 + [lambda w: Announced(w, kind="b")]
    _, failures = run_behind_another(makers)
    assert failures == [failure, failure, None]


class Interrupted(Counted):
    """A job whose thread is interrupted while it waits."""

    def __init__(self):
        super().__init__()
        self.called.wait = self.interrupt

    def interrupt(self):
        raise KeyboardInterrupt


def test_nobody_waits_for_a_thread_that_was_interrupted():
    turns = Turns()
    with pytest.raises(KeyboardInterrupt):
        turns.run(Interrupted())  # it had the turn
    slow, interrupted, last = Slow(), Interrupted(), Counted()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(turns.run, slow)
        slow.has_begun.wait()
        with pytest.raises(KeyboardInterrupt):
            turns.run(interrupted)  # it waited for one
        slow.may_end.set()
        first.result()
    turns.run(last)
    assert (interrupted.company, last.company) == ([], [1])


def test_a_job_that_is_done_is_forgotten_at_once():
    job = Counted()
    watched = weakref.ref(job)
    gc.disable()  # a tensor must not wait for the search for cycles
    try:
        Turns().run(job)
        del job
        assert watched() is None
    finally:
        gc.enable()
