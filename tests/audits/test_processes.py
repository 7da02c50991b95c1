"""Audits and what they prepare are shared out among processes, each when its turn has come."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.audits import PROFILES, AuditResult, Status, Subject, processes
from seedpack.audits.registry import get_audit
from seedpack.audits.runner import run_audits
from seedpack.audits.work import open_context
from seedpack.backdoors.defence import relearning
from seedpack.backdoors.defence.teaching import Plan
from tests.audits.worlds import beside, build_world

QUICK = PROFILES["quick"]


class Parted:
    """An audit of so many parts."""

    def __init__(self, nparts):
        self.nparts = nparts

    def preparations(self, profile):
        del profile
        return self.nparts


class Log:
    """Does nothing for a while, and writes down when."""

    def __init__(self, naps):
        self.naps, self.begun, self.ended, self.told = iter(naps), [], [], {}
        self.most, self.now, self.lock = 0, 0, threading.Lock()

    def begin(self, pool, work, spent):
        with self.lock:
            self.begun.append((work, frozenset(self.ended)))
            self.now += 1
            self.most = max(self.most, self.now)
        if work.number is None:
            self.told[work.audit] = spent
        return pool.submit(self.do, work, next(self.naps, 0))

    def do(self, work, nap):
        time.sleep(nap / 1000)
        with self.lock:
            self.ended.append(work)
            self.now -= 1
        if work.number is None:
            result = AuditResult(audit=work.audit, title="t", status=Status.UNDECIDED)
            return processes._Done(0.0, result)
        return processes._Done(float(work.number + 1))


@given(
    parts=st.lists(st.integers(0, 4), min_size=1, max_size=4),
    count=st.integers(1, 4),
    naps=st.lists(st.integers(0, 3), max_size=20),
)
def test_an_audit_begins_when_its_parts_are_done_and_no_more_at_once_than_may(parts, count, naps):
    names = [f"a{i}" for i in range(len(parts))]
    log = Log(naps)
    with (
        pytest.MonkeyPatch.context() as patch,
        ThreadPoolExecutor(count) as pool,
    ):
        patch.setattr(processes, "get_audit", lambda name: Parted(parts[names.index(name)]))
        done = dict(processes._in_turn(names, QUICK, count, partial(log.begin, pool)))
    assert sorted(done) == names
    assert all(done[name].audit == name for name in names)
    wanted = {(name, n) for name, k in zip(names, parts, strict=True) for n in (*range(k), None)}
    assert sorted(log.ended, key=str) == sorted((processes._Work(*w) for w in wanted), key=str)
    for work, ended in log.begun:
        if work.number is None:
            own = {processes._Work(work.audit, n) for n in range(parts[names.index(work.audit)])}
            assert own <= ended
    assert log.most <= count
    for name, k in zip(names, parts, strict=True):
        assert log.told[name] == sum(range(1, k + 1))


def test_while_one_audit_waits_for_its_last_part_another_begins(monkeypatch):
    monkeypatch.setattr(processes, "get_audit", {"long": Parted(1), "short": Parted(0)}.__getitem__)
    futures, order = {}, []

    def begin(work, spent):
        del spent
        order.append(work)
        futures[work] = Future()
        if len(order) == 2:  # both processes are busy: now the part ends
            futures["long", 0].set_result(processes._Done(1.0))
        elif len(order) == 3:
            for name in ("long", "short"):
                result = AuditResult(audit=name, title="t", status=Status.UNDECIDED)
                futures[name, None].set_result(processes._Done(0.0, result))
        return futures[work]

    found = dict(processes._in_turn(["long", "short"], QUICK, 2, begin))
    assert sorted(found) == ["long", "short"]
    assert order == [("long", 0), ("short", None), ("long", None)]


def test_an_audit_without_parts_has_none_to_do():
    audit = get_audit("retention")
    assert audit.preparations(QUICK) == 0
    with pytest.raises(ValueError, match="retention"):
        audit.prepare(None, 0)


# Nothing planted, but where that is what is tested.
SHORT = msgspec.structs.replace(QUICK, ntwins=4, search_sizes=(50,), nplanted=0)


def build_small(folder):
    """Build a world in which little is learnt and that soon: who does it is what is tested."""
    spec = build_world(folder)
    return msgspec.structs.replace(spec, train=beside(spec, "few.npz"))


@pytest.mark.spec("AUD-3")
def test_a_search_for_backdoors_finds_all_its_parts_done(tmp_path):
    spec, audit = build_small(tmp_path), get_audit("backdoor")
    profile = msgspec.structs.replace(SHORT, nplanted=1)
    with open_context(spec, profile, tmp_path / "work") as context:
        for number in range(audit.preparations(profile)):
            audit.prepare(context, number)
        files = {path: path.stat().st_mtime_ns for path in context.arms.folder.iterdir()}
        kept = [path.name for path in files if path.suffix != ".lock"]
        assert sum(name.startswith("searches-") for name in kept) == 4
        assert sum(name.endswith(".safetensors") for name in kept) == 5
        controls = sorted(path for path in files if path.match("control-1-*.json"))
        assert len(controls) == 3  # a patch, a picture laid over, a patch for one class
        result = audit.run(context)
        assert {path: path.stat().st_mtime_ns for path in context.arms.folder.iterdir()} == files
        planted = [path for path in controls if path.read_bytes() != b"[]"]
        assert [f.n for f in result.figures if f.name == "planted controls found"] == [len(planted)]
        # What is no control of these searches is planted again, and comes out as before (AUD-9).
        before = planted[0].read_bytes()
        for usual, other in (
            (b'"found":[', b'"found":[],"lost":['),
            (b'"search":"', b'"search":"un'),
        ):
            planted[0].write_bytes(before.replace(usual, other))
            assert audit.run(context) == result
            assert planted[0].read_bytes() == before


@pytest.mark.slow
@pytest.mark.spec("AUD-3")
def test_what_comes_back_finds_all_its_parts_done(tmp_path, monkeypatch):
    monkeypatch.setattr(relearning, "_PLAN", Plan(steps=20))
    spec, audit = build_small(tmp_path), get_audit("reactivation")
    with open_context(spec, SHORT, tmp_path / "work") as context:
        for number in range(audit.preparations(SHORT)):
            audit.prepare(context, number)
        kept = {path: path.read_bytes() for path in context.arms.folder.glob("comebacks-*.json")}
        assert len(kept) == audit.preparations(SHORT)
        planted = [content for content in kept.values() if content != b"[]"]
        result = audit.run(context)
        assert {path: path.read_bytes() for path in kept} == kept
        assert [figure.n for figure in result.figures] == [len(planted)] * 2
        # What is no curve, or one of fewer steps, is measured again (AUD-9).
        for path, content in zip(kept, (b"", b"[{}]", b"[]"), strict=True):
            path.write_bytes(content)
        again = audit.run(context)
        assert [path.read_bytes() for path in list(kept)[:2]] == list(kept.values())[:2]
        assert [figure.n for figure in again.figures] == [len(planted) - 1] * 2


@pytest.mark.slow
@pytest.mark.spec("AUD-8")
def test_processes_find_what_one_finds(tmp_path):
    spec, profile = build_small(tmp_path), msgspec.structs.replace(SHORT, ntwins=3)
    subject = Subject(seed_id="", name="n", version=1)
    names = ["backdoor", "retention", "low-data"]
    alone, together = (
        [
            msgspec.structs.replace(result, seconds=0.0)
            for result in run_audits(
                spec, subject, names, profile, tmp_path / str(n), tool="t", processes=n
            ).results
        ]
        for n in (1, 2)
    )
    assert alone == together
