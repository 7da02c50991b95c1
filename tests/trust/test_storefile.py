from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from seedpack.errors import PolicyRefused, Rollback, StoreError
from seedpack.limits import MAX_TRUST_STORE_NBYTES
from seedpack.trust.model import SeenVersion, TrustStore
from seedpack.trust.storefile import (
    load_trust_store,
    locked,
    record_seen,
    save_trust_store,
    update_trust_store,
)
from tests.crypto.refusals import refuses
from tests.trust.stores import NOW, SEED_ID, facts, key, principal, store_of

ROOT = Path(__file__).resolve().parents[2]
STORE = store_of(principal("acme", key(1)))
NAME = "acme/minilm"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "trust.json"
    save_trust_store(path, STORE)
    return path


def test_store_that_is_saved_is_loaded(path):
    assert load_trust_store(path) == STORE
    assert path.stat().st_mode & 0o777 == 0o644


def test_saving_does_not_overwrite_unless_told(path):
    before = path.read_bytes()
    with refuses(StoreError, "OUT-2"):
        save_trust_store(path, TrustStore())
    assert path.read_bytes() == before
    save_trust_store(path, TrustStore(), overwrite=True)
    assert load_trust_store(path) == TrustStore()


def test_overwriting_keeps_the_mode_and_needs_no_file(path, tmp_path):
    path.chmod(0o600)
    save_trust_store(path, TrustStore(), overwrite=True)
    assert path.stat().st_mode & 0o777 == 0o600
    fresh = tmp_path / "fresh.json"
    save_trust_store(fresh, TrustStore(), overwrite=True)
    assert fresh.stat().st_mode & 0o777 == 0o644


@pytest.mark.spec("TRU-1")
def test_store_of_more_than_4_mib_is_not_read(path):
    path.write_bytes(path.read_bytes().ljust(MAX_TRUST_STORE_NBYTES))
    assert load_trust_store(path) == STORE
    path.write_bytes(path.read_bytes() + b" ")
    with refuses(StoreError, "TRU-1", where=str(path)):
        load_trust_store(path)


def test_absent_store_is_refused(tmp_path):
    with refuses(StoreError, "FIL-1"):
        load_trust_store(tmp_path / "absent.json")
    with refuses(StoreError, "FIL-1"):
        record_seen(tmp_path / "absent.json", facts(), NOW)


# ---------------------------------------------------------------- recording


@pytest.mark.spec("TRU-13")
def test_accepted_seed_is_recorded(path):
    after = record_seen(path, facts(version=3), NOW)
    assert after == load_trust_store(path)
    assert after == STORE.with_seen(NAME, SeenVersion(3, SEED_ID), NOW)


@pytest.mark.spec("TRU-13")
def test_what_was_judged_by_an_older_store_is_judged_again(path):
    record_seen(path, facts(version=4), NOW)
    before = path.read_bytes()
    with refuses(Rollback, "TRU-9", where=NAME):
        record_seen(path, facts(version=3), NOW)
    with refuses(Rollback, "TRU-10", where=NAME):
        record_seen(path, facts(version=4, seed_id=bytes(32)), NOW)
    with refuses(PolicyRefused, "TRU-12"):
        record_seen(path, facts(version=4), NOW - 301)
    assert path.read_bytes() == before


def test_clock_that_is_a_little_behind_is_not_recorded(path):
    record_seen(path, facts(version=3), NOW)
    assert record_seen(path, facts(version=4), NOW - 300).last_time == NOW


def test_nothing_is_written_where_nothing_changes(path):
    record_seen(path, facts(), NOW)
    before = path.stat()
    record_seen(path, facts(), NOW)
    after = path.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_change_that_refuses_leaves_the_store_as_it_was(path):
    before = path.read_bytes()
    with refuses(StoreError, "TRU-1", where="nobody"):
        update_trust_store(path, lambda store: store.without_principal("nobody"))
    assert path.read_bytes() == before
    with locked(path):  # and unlocked
        pass


def test_change_is_written_and_returned(path):
    after = update_trust_store(path, lambda store: store.with_threshold(2))
    assert after == load_trust_store(path) == STORE.with_threshold(2)


# ---------------------------------------------------------------- several at once

VERIFIER = """
import sys
from pathlib import Path
from seedpack.errors import Rollback
from seedpack.trust.policy import SeedFacts
from seedpack.trust.storefile import record_seen

path, who = Path(sys.argv[1]), int(sys.argv[2])
print(flush=True)
sys.stdin.readline()
for version in range(1, 9):
    own = SeedFacts(f"own/{who}", version, bytes(32), 0, None, frozenset(), 0)
    record_seen(path, own, 1000 + version)
    common = own._replace(name="common", version=version * 4 + who)
    try:
        record_seen(path, common, 1000 + version)
    except Rollback:
        print("refused")
"""


@pytest.mark.spec("TRU-13")
def test_verifiers_at_once_lose_no_update_and_lower_no_version(path):
    running = [
        subprocess.Popen(
            [sys.executable, "-c", VERIFIER, path, str(who)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        for who in range(4)
    ]
    for process in running:
        assert process.stdout.readline() == b"\n"  # it is ready
    for process in running:
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in running:
        process.communicate()
    assert [process.returncode for process in running] == [0] * 4
    seen = load_trust_store(path).seen
    assert {name: s.version for name, s in seen.items()} == {
        "own/0": 8,
        "own/1": 8,
        "own/2": 8,
        "own/3": 8,
        "common": 8 * 4 + 3,
    }
    assert sorted(p.name for p in path.parent.iterdir()) == ["trust.json", "trust.json.lock"]


HOLDER = """
import sys
from pathlib import Path
from seedpack.trust.storefile import locked

with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
    Path(sys.argv[1]).with_name("released").touch()
"""


@pytest.mark.spec("TRU-13")
def test_lock_makes_others_wait(path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert holder.stdout.readline() == b"held\n"
    waiting = subprocess.Popen(
        [
            sys.executable,
            "-c",
            HOLDER.replace("sys.stdin", "open('/dev/null')").replace(
                'print("held", flush=True)',
                'print(Path(sys.argv[1]).with_name("released").exists())',
            ),
            path,
        ],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(timeout=0.5)
    holder.communicate(b"\n")
    assert waiting.communicate()[0] == b"True\n"


def test_lock_is_a_file_beside_the_store(path):
    with locked(path):
        lock = path.with_name("trust.json.lock")
        assert lock.is_file()
        assert lock.stat().st_mode & 0o777 & ~0o644 == 0
    assert lock.is_file()  # removing it would let two hold two locks of one name


def test_lock_that_cannot_be_made_is_refused(tmp_path):
    hint = "make the folder of the trust store writable, or record nothing"
    lock = tmp_path / "absent" / "trust.json.lock"
    with (
        refuses(
            StoreError,
            "OUT-1",
            message="cannot lock: No such file or directory",
            where=str(lock),
            hint=hint,
        ),
        locked(tmp_path / "absent" / "trust.json"),
    ):
        pytest.fail("locked nothing")


@pytest.mark.spec("OUT-2")
def test_lock_follows_no_symbolic_link(path):
    path.with_name("trust.json.lock").symlink_to(path.with_name("victim"))
    with refuses(StoreError, "OUT-1"), locked(path):
        pytest.fail("locked the file that a link points to")
    assert not path.with_name("victim").exists()


@pytest.mark.spec("OUT-2")
def test_lock_that_is_no_file_is_refused(path):
    lock = path.with_name("trust.json.lock")
    os.mkfifo(lock)
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    with (
        refuses(StoreError, "OUT-2", message="not a regular file", where=str(lock)),
        locked(path),
    ):
        pytest.fail("locked a pipe")
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors
