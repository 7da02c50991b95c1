"""The folder of an audit is gone whenever a signal comes, and the signal is heard."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import threading
from typing import TYPE_CHECKING

import pytest

from seedpack.audits.scratch import scratch_folder
from seedpack.workers import leave

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.spec("AUD-8")

ENDS = {signal.SIGTERM: SystemExit, signal.SIGINT: KeyboardInterrupt}
EACH_SIGNAL = pytest.mark.parametrize("number", ENDS)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Answer to signals as a process of the audits does; afterwards as before."""
    usual = {number: signal.getsignal(number) for number in ENDS}
    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)  # this process goes on, and is not told again
    for number, handler in usual.items():
        signal.signal(number, handler)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


def sending(work: Callable[..., str | None], number: int, *, first: bool) -> Callable[..., object]:
    """Return ``work`` with a signal just before it, or just behind."""

    def changed(*args: object, **named: object) -> object:
        if first:
            send(number)
        found = work(*args, **named)
        if not first:
            send(number)
        return found

    return changed


def write_in(parent: Path) -> None:
    with scratch_folder(parent) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "file").write_text("something")


@EACH_SIGNAL
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("of, name", [(tempfile, "mkdtemp"), (shutil, "rmtree")])
def test_a_signal_while_the_folder_is_made_or_removed_is_heard_and_leaves_none(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    of: object,
    name: str,
    number: int,
    first: bool,
) -> None:
    monkeypatch.setattr(of, name, sending(getattr(of, name), number, first=first))
    with pytest.raises(ENDS[number]):
        write_in(tmp_path)
    assert not list(tmp_path.iterdir())


@EACH_SIGNAL
def test_a_signal_in_the_block_is_heard_at_once(tmp_path: Path, number: int) -> None:
    after = []
    with pytest.raises(ENDS[number]), scratch_folder(tmp_path):
        after.append(send(number))
    assert not after
    assert not list(tmp_path.iterdir())


def test_a_process_told_twice_to_end_removes_the_folder_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "rmtree", sending(shutil.rmtree, signal.SIGTERM, first=True))
    with pytest.raises(SystemExit), scratch_folder(tmp_path):
        send(signal.SIGTERM)
    assert not list(tmp_path.iterdir())
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN


def test_what_is_ignored_stays_so(tmp_path: Path) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with scratch_folder(tmp_path):
        send(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_handlers_are_as_before(tmp_path: Path) -> None:
    before = {number: signal.getsignal(number) for number in ENDS}
    write_in(tmp_path)
    assert {number: signal.getsignal(number) for number in ENDS} == before


def test_a_thread_may_have_one(tmp_path: Path) -> None:
    thread = threading.Thread(target=write_in, args=(tmp_path,))
    thread.start()
    thread.join()
    assert not list(tmp_path.iterdir())
