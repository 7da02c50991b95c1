"""Files and folders that take their name only when they are complete (spec: OUT-1, OUT-2)."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from seedpack.errors import StoreError
from seedpack.files import atomic_directory, atomic_output, sync_folder
from tests.limits import file_size_limit, open_folder, plain_user, small_disk
from tests.refusals import refused

if TYPE_CHECKING:
    from collections.abc import Iterator

DISK_HINT = "check space and permissions of the folder; a file that stands there is whole"
REGULAR_HINT = "seedpack writes regular files only, never through a link"
FORCE_HINT = "remove it, choose another name, or pass --force"
MEANWHILE_HINT = "another program wrote it meanwhile"


class Interruption(Exception):  # noqa: N818 -- stands for any failure of the caller
    """Not an error of seedpack's."""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_and_fail(path: Path, error: type[BaseException], *, overwrite: bool = False) -> None:
    with atomic_output(path, overwrite=overwrite) as file:
        file.write(b"part")
        raise error


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.seed"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    with small_disk(disk):
        yield disk


# ---------------------------------------------------------------- files


@pytest.mark.spec("OUT-1")
def test_an_output_appears_whole_when_the_block_ends(out):
    with atomic_output(out) as file:
        file.write(b"first")
        assert not out.exists()
        assert len(names(out.parent)) == 1
    assert out.read_bytes() == b"first"
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-1")
def test_an_output_can_be_written_in_any_order_and_read_back(out):
    with atomic_output(out) as file:
        file.seek(4)
        file.write(b"end")
        file.seek(0)
        file.write(b"mid.")
        file.seek(0)
        assert file.read() == b"mid.end"
    assert out.read_bytes() == b"mid.end"


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("error", [Interruption, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing_behind(out, error):
    with pytest.raises(error):
        write_and_fail(out, error)
    assert names(out.parent) == []


@pytest.mark.spec("OUT-1")
def test_a_failure_leaves_the_file_that_was_there(out):
    out.write_bytes(b"old")
    with pytest.raises(Interruption):
        write_and_fail(out, Interruption, overwrite=True)
    assert out.read_bytes() == b"old"
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-1")
def test_bytes_and_then_the_name_are_made_durable(out, monkeypatch):
    calls = []

    def note(name: str) -> None:
        real = getattr(os, name)

        def noted(*args: object, **kwargs: object) -> object:
            calls.append(name)
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, noted)

    for name in ("fchmod", "fsync", "link", "unlink", "rename", "replace"):
        note(name)
    with atomic_output(out) as file:
        file.write(b"x")
    assert calls == ["fsync", "link", "unlink", "fsync"]
    calls.clear()
    with atomic_output(out, mode=0o640, overwrite=True) as file:
        file.write(b"y")
    assert calls == ["fchmod", "fsync", "replace", "unlink", "fsync"]


@pytest.mark.spec("OUT-1")
def test_what_is_buffered_is_written_before_it_is_made_durable(out, monkeypatch):
    sizes = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: sizes.append(os.fstat(fd).st_size) or real(fd))
    with atomic_output(out) as file:
        file.write(b"x" * 100)
    assert sizes[0] == 100


@pytest.mark.spec("OUT-1")
def test_the_permissions_are_those_of_the_umask_or_exactly_the_given(out):
    umask = os.umask(0o027)
    try:
        with atomic_output(out):
            pass
        assert out.stat().st_mode & 0o7777 == 0o640
        with atomic_output(out, mode=0o666, overwrite=True):
            temporary = next(p for p in out.parent.iterdir() if p != out)
            assert temporary.stat().st_mode & 0o7777 == 0o600
        assert out.stat().st_mode & 0o7777 == 0o666
    finally:
        os.umask(umask)


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("name", ["x", "x" * 255, "é" * 127, "日" * 85, "😀" * 63])
def test_every_name_that_a_file_can_have_can_be_written(tmp_path, name):
    path = tmp_path / name
    with atomic_output(path):
        (temporary,) = names(tmp_path)
        assert temporary.startswith(f".{name[:50]}.")
        assert temporary.endswith(".tmp")
        assert len(temporary) == 1 + len(name[:50]) + 1 + 12 + 4
    assert names(tmp_path) == [name]


@pytest.mark.spec("OUT-2")
def test_an_output_that_exists_is_kept(out):
    out.write_bytes(b"old")
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", FORCE_HINT),
        atomic_output(out),
    ):
        pytest.fail("nothing may be written")
    assert out.read_bytes() == b"old"


@pytest.mark.spec("OUT-2")
def test_an_output_that_exists_is_replaced_where_asked(out):
    out.write_bytes(b"old")
    inode = out.stat().st_ino
    with atomic_output(out, overwrite=True) as file:
        file.write(b"new")
    assert out.read_bytes() == b"new"
    assert out.stat().st_ino != inode


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_through_a_symbolic_link(out, overwrite):
    victim = out.with_name("victim")
    victim.write_bytes(b"precious")
    out.symlink_to(victim)
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", REGULAR_HINT),
        atomic_output(out, overwrite=overwrite),
    ):
        pytest.fail("nothing may be written")
    assert victim.read_bytes() == b"precious"
    assert out.is_symlink()


@pytest.mark.spec("OUT-2")
def test_nothing_is_written_through_a_dangling_link(out):
    out.symlink_to(out.with_name("absent"))
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", REGULAR_HINT),
        atomic_output(out, overwrite=True),
    ):
        pytest.fail("nothing may be written")
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_nothing_is_written_over_what_is_no_regular_file(out, make, overwrite):
    make(out)
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", REGULAR_HINT),
        atomic_output(out, overwrite=overwrite),
    ):
        pytest.fail("nothing may be written")
    assert names(out.parent) == ["out.seed"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS])
def test_without_hard_links_a_file_is_renamed(out, monkeypatch, number):
    def link(*_):
        raise OSError(number, "no links here")

    monkeypatch.setattr(os, "link", link)
    with atomic_output(out) as file:
        file.write(b"whole")
    assert out.read_bytes() == b"whole"
    assert names(out.parent) == ["out.seed"]
    hint = FORCE_HINT
    with (
        refused(StoreError, "OUT-2", str(out.with_name("b")), "already exists", hint),
        atomic_output(out.with_name("b")) as file,
    ):
        out.with_name("b").write_bytes(b"rival")
    assert out.with_name("b").read_bytes() == b"rival"


def test_a_link_that_fails_otherwise_is_told(out, monkeypatch):
    def link(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", link)
    message = "cannot write: No space left on device"
    with refused(StoreError, "OUT-1", str(out), message, DISK_HINT), atomic_output(out):
        pass
    assert names(out.parent) == []


@pytest.mark.spec("OUT-2")
def test_of_two_writers_to_one_file_one_wins(out):
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", MEANWHILE_HINT),
        atomic_output(out) as slow,
    ):
        slow.write(b"slow")
        with atomic_output(out) as fast:
            fast.write(b"fast")
    assert out.read_bytes() == b"fast"
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-2")
def test_a_link_that_took_the_name_meanwhile_is_replaced_and_not_followed(out):
    victim = out.with_name("victim")
    victim.write_bytes(b"precious")
    with atomic_output(out, overwrite=True) as file:
        file.write(b"new")
        out.symlink_to(victim)
    assert victim.read_bytes() == b"precious"
    assert not out.is_symlink()


@pytest.mark.spec("OUT-1")
def test_a_folder_that_is_not_there_is_refused(tmp_path):
    path = tmp_path / "absent" / "out"
    message = "cannot write: No such file or directory"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT), atomic_output(path):
        pytest.fail("nothing may be written")


@pytest.mark.spec("OUT-1")
def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file" / "out"
    path.parent.write_bytes(b"")
    message = "cannot write: Not a directory"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT), atomic_output(path):
        pytest.fail("nothing may be written")


@pytest.mark.spec("OUT-1")
def test_a_read_only_folder_is_refused():
    with open_folder() as folder:
        folder.chmod(0o555)
        for write, path in ((atomic_output, folder / "file"), (atomic_directory, folder / "new")):
            message = "cannot write: Permission denied"
            with (
                plain_user(),
                refused(StoreError, "OUT-1", str(path), message, DISK_HINT),
                write(path),
            ):
                pytest.fail("nothing may be written")
        assert names(folder) == []


@pytest.mark.spec("OUT-1")
def test_a_file_that_the_disk_cuts_does_not_appear(out):
    with (
        file_size_limit(1_000),
        refused(StoreError, "OUT-1", str(out), "cannot write: File too large", DISK_HINT),
        atomic_output(out) as file,
    ):
        file.write(b"x" * 100_000)
    assert names(out.parent) == []


@pytest.mark.spec("OUT-1")
def test_a_file_that_is_cut_when_its_buffer_is_flushed_does_not_appear(out):
    with (
        file_size_limit(5),
        refused(StoreError, "OUT-1", str(out), "cannot write: File too large", DISK_HINT),
        atomic_output(out) as file,
    ):
        file.write(b"x" * 10)
    assert names(out.parent) == []


@pytest.mark.spec("OUT-1")
def test_a_full_disk_leaves_nothing(full_disk):
    out = full_disk / "out"
    message = "cannot write: No space left on device"
    with refused(StoreError, "OUT-1", str(out), message, DISK_HINT), atomic_output(out) as file:
        file.write(b"x" * 100_000)
    assert names(full_disk) == []


# ---------------------------------------------------------------- folders


@pytest.mark.spec("OUT-1")
def test_a_folder_appears_whole_when_the_block_ends(out):
    with atomic_directory(out) as folder:
        (folder / "a").write_bytes(b"1")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_bytes(b"2")
        assert not out.exists()
    assert names(out.parent) == ["out.seed"]
    assert (out / "a").read_bytes() == b"1"
    assert (out / "sub" / "b").read_bytes() == b"2"


@pytest.mark.spec("OUT-1")
def test_every_file_and_folder_is_made_durable(out, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(fd: int) -> None:
        synced.append(os.path.relpath(Path(f"/proc/self/fd/{fd}").readlink(), out.parent))
        real(fd)

    monkeypatch.setattr(os, "fsync", fsync)
    with atomic_directory(out) as folder:
        (folder / "a").write_bytes(b"1")
        (folder / "sub").mkdir()
        (folder / "sub" / "b").write_bytes(b"2")
    temporary = folder.name
    expected = [f"{temporary}/a", temporary, f"{temporary}/sub/b", f"{temporary}/sub", "."]
    assert synced == expected


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("error", [Interruption, KeyboardInterrupt])
def test_a_failure_leaves_no_folder(out, error):
    def fill_and_fail() -> None:
        with atomic_directory(out) as folder:
            (folder / "a").write_bytes(b"1")
            raise error

    with pytest.raises(error):
        fill_and_fail()
    assert names(out.parent) == []


@pytest.mark.spec("OUT-2")
@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda p: p.symlink_to("absent")])
def test_a_folder_is_made_only_where_nothing_is(out, make):
    make(out)
    hint = "remove it or choose another name"
    with refused(StoreError, "OUT-2", str(out), "already exists", hint), atomic_directory(out):
        pytest.fail("nothing may be written")
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-2")
def test_of_two_writers_to_one_folder_one_wins(out):
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", MEANWHILE_HINT),
        atomic_directory(out) as slow,
    ):
        (slow / "a").write_bytes(b"slow")
        with atomic_directory(out) as fast:
            (fast / "a").write_bytes(b"fast")
    assert (out / "a").read_bytes() == b"fast"
    assert names(out.parent) == ["out.seed"]


@pytest.mark.spec("OUT-2")
def test_a_file_that_took_the_name_of_a_folder_is_kept(out):
    with (
        refused(StoreError, "OUT-2", str(out), "already exists", MEANWHILE_HINT),
        atomic_directory(out),
    ):
        out.write_bytes(b"precious")
    assert out.read_bytes() == b"precious"


@pytest.mark.spec("OUT-1")
def test_a_folder_whose_parent_is_not_there_is_refused(tmp_path):
    path = tmp_path / "absent" / "out"
    message = "cannot write: No such file or directory"
    with refused(StoreError, "OUT-1", str(path), message, DISK_HINT), atomic_directory(path):
        pytest.fail("nothing may be written")


@pytest.mark.spec("OUT-1")
def test_a_folder_that_vanished_is_refused(out):
    message = "cannot write: No such file or directory"
    with (
        refused(StoreError, "OUT-1", str(out), message, DISK_HINT),
        atomic_directory(out) as folder,
    ):
        folder.rmdir()
    assert names(out.parent) == []


@pytest.mark.spec("OUT-1")
def test_a_full_disk_leaves_no_folder(full_disk):
    out = full_disk / "out"
    message = "cannot write: No space left on device"
    with (
        refused(StoreError, "OUT-1", str(out), message, DISK_HINT),
        atomic_directory(out) as folder,
    ):
        (folder / "a").write_bytes(b"x" * 100_000)
    assert names(full_disk) == []


def test_a_folder_can_be_synced_and_a_file_cannot(tmp_path):
    sync_folder(tmp_path)
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(NotADirectoryError):
        sync_folder(file)
