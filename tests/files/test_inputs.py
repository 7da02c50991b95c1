"""Files that are read (spec: FIL-1, FIL-2; OUT-3 for signing in place)."""

from __future__ import annotations

import os
import resource
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import IntegrityError, StoreError
from seedpack.files import InputFile, read_small_file
from tests.limits import file_size_limit
from tests.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

CONTENT = bytes(range(256)) * 4
NO_FILE_HINT = "copy the content into a file and pass that"
CUT_HINT = "the file was cut or changed while it was read; fetch it again"
CHANGED_HINT = "make sure that nothing writes to it, then try again"
BUSY = ("another program is writing this file", "try again when it has finished")
DISK_HINT = "check space and permissions of the folder; a file that stands there is whole"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "input"
    file.write_bytes(CONTENT)
    return file


@pytest.fixture
def file(path: Path) -> Iterator[InputFile]:
    with InputFile(path) as opened:
        yield opened


def open_descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


# ---------------------------------------------------------------- reading


def test_bytes_are_read_by_position(file):
    assert file.nbytes == len(CONTENT)
    assert file.read(0, len(CONTENT)) == CONTENT
    assert file.read(300, 7) == CONTENT[300:307]
    assert file.read(len(CONTENT), 0) == b""
    assert file.read(5, 1) == b"\x05"


def test_a_buffer_is_filled_and_nothing_else_touched(file):
    buffer = bytearray(b"\xee" * 12)
    file.read_into(10, memoryview(buffer)[2:10])
    assert buffer == b"\xee\xee" + CONTENT[10:18] + b"\xee\xee"


@pytest.mark.spec("FIL-2")
@pytest.mark.parametrize("at_once", [1, 3, 100])
def test_short_reads_are_continued(file, monkeypatch, at_once):
    real = os.preadv
    calls = []

    def short(fd, buffers, offset):
        calls.append(offset)
        return real(fd, [buffers[0][:at_once]], offset)

    monkeypatch.setattr(os, "preadv", short)
    assert file.read(17, 100) == CONTENT[17:117]
    assert calls == list(range(17, 117, at_once))


@pytest.mark.spec("FIL-2")
@pytest.mark.parametrize("offset, nbytes", [(0, 1_025), (1_000, 100), (1_024, 1), (5_000, 1)])
def test_a_file_that_ends_early_is_refused_where_it_ends(file, offset, nbytes):
    where = f"byte {max(offset, 1_024)}"
    with refused(IntegrityError, "FIL-2", where, "file ends too early", CUT_HINT):
        file.read(offset, nbytes)


@pytest.mark.spec("FIL-2")
def test_a_read_that_the_device_refuses_is_no_damage():
    memory = Path("/proc/self/mem")  # a regular file whose first page cannot be read
    with InputFile(memory) as file:
        message = "read failed: Input/output error"
        with refused(StoreError, "FIL-2", "/proc/self/mem", message):
            file.read(0, 1)


@pytest.mark.spec("FIL-2")
def test_a_file_that_nobody_touches_is_unchanged(file, path):
    file.check_unchanged()
    path.read_bytes()
    file.check_unchanged()


@pytest.mark.spec("FIL-2")
def test_a_file_of_another_size_was_changed(file, path):
    times = path.stat()
    with path.open("ab") as out:
        out.write(b"x")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    with refused(
        IntegrityError, "FIL-2", str(path), "file changed while it was read", CHANGED_HINT
    ):
        file.check_unchanged()


@pytest.mark.spec("FIL-2")
def test_a_file_of_another_time_was_changed(file, path):
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    with refused(
        IntegrityError, "FIL-2", str(path), "file changed while it was read", CHANGED_HINT
    ):
        file.check_unchanged()


@pytest.mark.spec("FIL-2")
def test_a_path_that_leads_elsewhere_changes_nothing(file, path):
    other = path.with_name("other")
    other.write_bytes(b"other")
    other.replace(path)
    assert file.read(0, len(CONTENT)) == CONTENT
    file.check_unchanged()


def test_threads_read_through_one_descriptor(file):
    seen = []

    def read() -> None:
        seen.extend(file.read(at, 4) == CONTENT[at : at + 4] for at in range(0, 1_000, 7))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(seen)
    assert len(seen) == 4 * 143


# ---------------------------------------------------------------- what is no input


@pytest.mark.spec("FIL-1")
def test_an_absent_file_is_refused(tmp_path):
    path = tmp_path / "absent"
    with refused(StoreError, "FIL-1", str(path), "cannot open: No such file or directory"):
        InputFile(path)


@pytest.mark.spec("FIL-1")
def test_a_symbolic_link_is_refused_and_its_target_named(tmp_path, path):
    link = tmp_path / "link"
    link.symlink_to(path)
    hint = f"pass the file that it points to: {path}"
    with refused(StoreError, "FIL-1", str(link), "is a symbolic link", hint):
        InputFile(link)


@pytest.mark.spec("FIL-1")
def test_a_dangling_symbolic_link_is_refused(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("nowhere")
    hint = f"pass the file that it points to: {tmp_path / 'nowhere'}"
    with refused(StoreError, "FIL-1", str(link), "is a symbolic link", hint):
        InputFile(link)


@pytest.mark.spec("FIL-1")
def test_a_folder_is_refused(tmp_path):
    with refused(StoreError, "FIL-1", str(tmp_path), "not a regular file", NO_FILE_HINT):
        InputFile(tmp_path)


@pytest.mark.spec("FIL-1")
def test_a_fifo_is_refused_without_waiting_for_a_writer(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with refused(StoreError, "FIL-1", str(path), "not a regular file", NO_FILE_HINT):
        InputFile(path)


@pytest.mark.spec("FIL-1")
@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_is_refused(device):
    with refused(StoreError, "FIL-1", device, "not a regular file", NO_FILE_HINT):
        InputFile(Path(device))


@pytest.mark.spec("FIL-1")
def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket has at most 108 bytes
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")
        message = "cannot open: No such device or address"
        with refused(StoreError, "FIL-1", "socket", message):
            InputFile(Path("socket"))


@pytest.mark.spec("FIL-1")
def test_a_refused_file_leaves_no_descriptor_open(tmp_path):
    before = open_descriptors()
    with pytest.raises(StoreError):
        InputFile(tmp_path)
    assert open_descriptors() == before


def test_a_file_is_closed_once(path):
    before = open_descriptors()
    file = InputFile(path)
    assert len(open_descriptors()) == len(before) + 1
    file.close()
    assert open_descriptors() == before
    file.close()
    with InputFile(path) as file:
        assert file.path == path
    assert open_descriptors() == before


def test_descriptors_are_not_inherited(file):
    assert not os.get_inheritable(file._fd)


# ---------------------------------------------------------------- small files


@given(st.integers(0, 100))
def test_small_files_are_read_up_to_their_limit(tmp_path_factory, nbytes):
    path = tmp_path_factory.mktemp("small") / "file"
    path.write_bytes(CONTENT[:nbytes])
    assert read_small_file(path, limit=nbytes, rule="KEY-6") == CONTENT[:nbytes]


@pytest.mark.spec("KEY-6")
def test_a_small_file_above_its_limit_is_refused_unread(tmp_path):
    path = tmp_path / "file"
    with path.open("wb") as out:
        out.truncate(1 << 40)
    message = f"{1 << 40} bytes, at most 65536 are allowed"
    with refused(StoreError, "KEY-6", str(path), message):
        read_small_file(path, limit=65_536, rule="KEY-6")
    os.truncate(path, 65_537)
    with refused(StoreError, "XYZ-1", str(path), "65537 bytes, at most 65536 are allowed"):
        read_small_file(path, limit=65_536, rule="XYZ-1")


# ---------------------------------------------------------------- locks


@pytest.mark.spec("OUT-3")
def test_one_lock_keeps_others_away_until_the_file_is_closed(path):
    with InputFile(path) as first, InputFile(path) as second:
        first.lock()
        with refused(StoreError, "OUT-3", str(path), *BUSY):
            second.lock()
    with InputFile(path) as third:
        third.lock()


@pytest.mark.spec("OUT-3")
def test_a_file_that_was_replaced_since_it_was_opened_cannot_be_locked(file, path):
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    other.replace(path)
    with refused(StoreError, "OUT-3", str(path), *BUSY):
        file.lock()


@pytest.mark.spec("OUT-1")
def test_a_file_that_is_gone_cannot_be_locked(file, path):
    path.unlink()
    message = "cannot write: No such file or directory"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT):
        file.lock()


# ---------------------------------------------------------------- writing in place


@pytest.mark.spec("OUT-1")
def test_bytes_are_written_in_place(file, path):
    inode = path.stat().st_ino
    file.overwrite(100, b"new bytes")
    assert path.read_bytes() == CONTENT[:100] + b"new bytes" + CONTENT[109:]
    assert path.stat().st_ino == inode


@pytest.mark.spec("OUT-1")
def test_a_write_in_place_is_one_call_and_durable(file, monkeypatch):
    calls = []
    pwrite, fsync = os.pwrite, os.fsync
    monkeypatch.setattr(os, "pwrite", lambda *a: calls.append("pwrite") or pwrite(*a))
    monkeypatch.setattr(os, "fsync", lambda *a: calls.append("fsync") or fsync(*a))
    file.overwrite(0, b"x" * 1_024)
    assert calls == ["pwrite", "fsync"]


@pytest.mark.spec("OUT-1")
def test_a_write_that_the_disk_cuts_is_undone(file, path):
    before = open_descriptors()
    message = "cannot write: No space left on device"
    with (
        file_size_limit(105),
        refused(StoreError, "OUT-1", str(path), message, DISK_HINT),
    ):
        file.overwrite(100, b"new bytes")
    assert path.read_bytes() == CONTENT
    assert open_descriptors() == before


@pytest.mark.spec("OUT-1")
def test_a_write_that_the_disk_refuses_changes_nothing(file, path):
    with (
        file_size_limit(100),
        refused(StoreError, "OUT-1", str(path), "cannot write: File too large", DISK_HINT),
    ):
        file.overwrite(100, b"new bytes")
    assert path.read_bytes() == CONTENT


@pytest.mark.spec("OUT-3")
def test_nothing_is_written_into_a_file_that_took_the_name(file, path):
    other = path.with_name("other")
    other.write_bytes(CONTENT)
    other.replace(path)
    with refused(StoreError, "OUT-3", str(path), *BUSY):
        file.overwrite(0, b"x")
    assert path.read_bytes() == CONTENT


@pytest.mark.spec("OUT-2")
def test_nothing_is_written_through_a_link_that_took_the_name(file, path):
    victim = path.with_name("victim")
    path.replace(victim)
    path.symlink_to(victim)
    message = "cannot write: Too many levels of symbolic links"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT):
        file.overwrite(0, b"x")
    assert victim.read_bytes() == CONTENT


@pytest.mark.spec("OUT-2")
def test_a_fifo_that_took_the_name_does_not_block(file, path):
    path.unlink()
    os.mkfifo(path)
    message = "cannot write: No such device or address"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT):
        file.overwrite(0, b"x")


def test_the_limit_of_the_tests_is_lifted_again():
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
