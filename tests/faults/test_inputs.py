"""Inputs that are no files, that change, or that lie about their size (spec: FIL)."""

from __future__ import annotations

import os
import socket
import struct
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpack.container.preamble import MAGIC
from seedpack.errors import FormatError, IntegrityError, StoreError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.signing import make_record, sign_seed
from seedpack.seed.tensors import decode_layers
from seedpack.seed.verify import verify_seed
from tests.builders import (
    LAYERS,
    NOW,
    bare_manifest,
    container_bytes,
    damage,
    encode_manifest,
    make_key,
    make_seed,
    raw_container,
    trusting,
)
from tests.refusals import refused_by

if TYPE_CHECKING:
    from collections.abc import Callable

KEY = make_key()
STORE = trusting(KEY)
MIB, TIB = 1 << 20, 1 << 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.seed"


# ---------------------------------------------------------------- what is no file


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)


STRANGE: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "folder": os.mkdir,
    "socket": make_socket,
    "link": lambda path: path.symlink_to("real"),
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
    "absent": lambda path: path,
}


@pytest.mark.spec("FIL-1")
@pytest.mark.parametrize("make", STRANGE.values(), ids=STRANGE)
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, monkeypatch, make):
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 108 bytes
    make_seed(Path("real"))
    path = Path("a.seed")
    make(path)
    with refused_by(StoreError, "FIL-1"):
        open_seed(path, store=STORE, now=NOW)
    with refused_by(StoreError, "FIL-1"):
        open_unverified(path)
    with refused_by(StoreError, "FIL-1"):
        sign_seed(path, make_key(2))


@pytest.mark.spec("FIL-1")
@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/full", "/dev/random"])
def test_a_device_is_refused_unread(device):
    with refused_by(StoreError, "FIL-1"):
        open_seed(Path(device), store=STORE, now=NOW)


@pytest.mark.spec("PRE-1")
def test_an_empty_file_is_refused(path):
    path.touch()
    with refused_by(FormatError, "PRE-1"):
        open_seed(path, store=STORE, now=NOW)


# ---------------------------------------------------------------- huge files


def peak_nbytes(work: Callable[[], None]) -> int:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def make_sparse(path: Path, head: bytes, nbytes: int) -> None:
    path.write_bytes(head)
    os.truncate(path, nbytes)


@pytest.mark.spec("PRE-2")
def test_a_sparse_tebibyte_of_zeros_is_refused_by_its_first_bytes(path):
    make_sparse(path, b"", TIB)

    def work() -> None:
        with refused_by(FormatError, "PRE-2"):
            open_seed(path, store=STORE, now=NOW)

    assert peak_nbytes(work) < MIB


@pytest.mark.spec("PRE-10", "PRE-11")
def test_a_sparse_tebibyte_with_the_largest_header_costs_no_more_than_the_header(path):
    signatures, manifest, presence = 65_472, 16 * MIB, 65_536
    header_nbytes = 64 + signatures + manifest + presence
    sizes = struct.pack("<IIIQ", signatures, manifest, presence, TIB - header_nbytes)
    make_sparse(path, MAGIC + struct.pack("<HH", 1, 0) + sizes + bytes(32), TIB)

    def work() -> None:
        with refused_by(FormatError, "PRE-10"):
            open_seed(path, store=STORE, now=NOW)

    assert peak_nbytes(work) < 40 * MIB  # the manifest, and once more while it is copied


@pytest.mark.spec("MAN-14")
def test_a_signed_manifest_does_not_vouch_for_a_sparse_tebibyte(path):
    manifest = encode_manifest(bare_manifest())
    head = bytearray(raw_container(manifest, records=[make_record(manifest, KEY)]))
    struct.pack_into("<Q", head, 24, TIB)
    make_sparse(path, head, len(head) + TIB)

    def work() -> None:
        with refused_by(FormatError, "MAN-14"):
            open_seed(path, store=STORE, now=NOW)

    assert peak_nbytes(work) < MIB


@pytest.mark.spec("PRE-9")
@pytest.mark.parametrize("payload_nbytes", [1 << 42, (1 << 42) - 1])
def test_a_preamble_that_announces_more_than_there_is_costs_nothing(path, payload_nbytes):
    head = MAGIC + struct.pack("<HHIIIQ", 1, 0, 65_472, 16 * MIB, 65_536, payload_nbytes)
    path.write_bytes(head + bytes(32))

    def work() -> None:
        with refused_by(FormatError, "PRE-9"):
            open_seed(path, store=STORE, now=NOW)

    assert peak_nbytes(work) < MIB


# ---------------------------------------------------------------- files that change


def verify_while(path: Path, act: Callable[[], object], *, after: int = 2) -> None:
    """Verify, and let ``act`` happen when ``after`` chunks have been checked."""
    calls = []

    def progress(done: int, total: int) -> None:
        calls.append(done)
        if len(calls) == after:
            act()

    with open_seed(path, store=STORE, now=NOW) as seed:
        verify_seed(seed, progress=progress)


@pytest.mark.spec("FIL-2")
def test_a_file_that_shrinks_while_it_is_verified_is_refused(path):
    make_seed(path)
    nbytes = path.stat().st_size
    with refused_by(IntegrityError, "FIL-2"):
        verify_while(path, lambda: os.truncate(path, nbytes - 1))


@pytest.mark.spec("FIL-2")
def test_a_file_that_grows_while_it_is_verified_is_refused(path):
    make_seed(path)
    nbytes = path.stat().st_size
    with refused_by(IntegrityError, "FIL-2"):
        verify_while(path, lambda: os.truncate(path, nbytes + 1))


@pytest.mark.spec("CHK-2")
def test_a_chunk_that_changes_before_it_is_read_is_refused(path):
    make_seed(path)
    with open_unverified(path) as contents, refused_by(IntegrityError, "CHK-2"):
        verify_while(path, lambda: damage(path, contents, 5))


@pytest.mark.spec("FIL-2")
def test_a_chunk_that_changes_after_it_was_read_is_refused(path):
    make_seed(path)
    with open_unverified(path) as contents, refused_by(IntegrityError, "FIL-2"):
        verify_while(path, lambda: damage(path, contents, 0))


@pytest.mark.spec("FIL-2")
def test_a_file_cut_between_opening_and_verifying_is_refused(path):
    make_seed(path)
    with open_seed(path, store=STORE, now=NOW) as seed:
        os.truncate(path, path.stat().st_size - 1)
        with refused_by(IntegrityError, "FIL-2"):
            verify_seed(seed)


@pytest.mark.spec("FIL-2", "CHK-2")
def test_what_is_loaded_is_what_was_verified_though_the_path_leads_elsewhere(path):
    make_seed(path)
    other = path.with_name("other")
    make_seed(other, layers=[tensor._replace(raw=tensor.raw[::-1]) for tensor in LAYERS])
    with open_seed(path, store=STORE, now=NOW) as seed:
        assert verify_seed(seed).is_whole
        other.replace(path)
        decoded = [tensor.array.tobytes() for tensor in decode_layers(seed)]
        assert verify_seed(seed).is_whole
    assert decoded == [tensor.raw for tensor in LAYERS]


@pytest.mark.spec("CHK-2")
def test_bytes_written_over_a_verified_file_are_not_loaded(path):
    make_seed(path)
    with open_seed(path, store=STORE, now=NOW) as seed:
        assert verify_seed(seed).is_whole
        times = path.stat()
        damage(path, seed, 2)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # leave no trace
        with refused_by(IntegrityError, "CHK-2"):
            list(decode_layers(seed))


@pytest.mark.spec("FIL-2")
@pytest.mark.parametrize("at_once", [1, 7])
def test_a_disk_that_gives_few_bytes_at_once_changes_nothing(path, monkeypatch, at_once):
    built = make_seed(path, parity=50)
    real = os.preadv

    def preadv(fd, buffers, offset):
        return real(fd, [buffers[0][:at_once]], offset)

    monkeypatch.setattr(os, "preadv", preadv)
    with open_seed(path, store=STORE, now=NOW) as seed:
        assert verify_seed(seed, decode=True).chunks == len(built.stored)
    sign_seed(path, make_key(2))
    assert path.read_bytes() == container_bytes(built, keys=[KEY, make_key(2)])


@pytest.mark.spec("FIL-2")
def test_a_disk_that_fails_is_reported_as_such(path, monkeypatch):
    make_seed(path)
    with open_seed(path, store=STORE, now=NOW) as seed:
        bad = seed.chunks[3].offset
        real = os.preadv

        def preadv(fd, buffers, offset):
            if offset == bad:
                raise OSError(5, "Input/output error")
            return real(fd, buffers, offset)

        monkeypatch.setattr(os, "preadv", preadv)
        with refused_by(StoreError, "FIL-2"):
            verify_seed(seed)
