"""Workers do what they are given and end with the process that opened them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from seedpack.audits.processes import AHEAD
from seedpack.workers import open_workers
from tests.children import ENDS, NEEDS_PROC, check_end

PROGRAM = """
import sys, tempfile, time
from pathlib import Path
from seedpack.workers import open_workers

def work(folder):
    with tempfile.TemporaryDirectory(dir=folder):
        time.sleep(600)

if __name__ == "__main__":
    try:
        with open_workers(2, 1) as workers:
            futures = [workers.submit(work, sys.argv[1]) for _ in range(3)]
            [future.result() for future in futures]
    except KeyboardInterrupt:
        sys.exit(130)
"""


DEAF = """
    except SystemExit:
        pass  # as what catches all exceptions does
    with tempfile.TemporaryDirectory(dir=folder):
        time.sleep(600)
"""


PROGRAM_OF_ONE = """
from seedpack.workers import open_workers

if __name__ == "__main__":
    with open_workers(1, 1, AHEAD) as workers:
        print(workers.submit(abs, -7).result())
"""

IN_ONE_PROCESS = """
import os, sys
from pathlib import Path
from seedpack.workers import open_workers

def has(name):
    return name in sys.modules, os.getppid()

if __name__ == "__main__":
    found = []
    for _ in range(2):
        with open_workers(2, 1, AHEAD) as workers:
            found += [workers.submit(has, "wave").result() for _ in range(4)]
    print("wave" in sys.modules)
    print(all(is_there for is_there, _ in found))
    print(*(parent for _, parent in found))
    print(len(os.listdir(f"/proc/{found[0][1]}/task")))
"""


def leave_by(status: int) -> None:
    sys.exit(status)


def _fail_beside_a_sleeper(pids: list[int]) -> None:
    with open_workers(1, 1) as workers:
        pids.append(workers.submit(os.getpid).result())
        workers.submit(time.sleep, 600)
        pids.append(1 // 0)


def test_workers_do_what_they_are_given_with_their_share_of_the_cores() -> None:
    with open_workers(2, 3) as workers:
        powers = [workers.submit(pow, 7, n, mod=10) for n in range(5)]
        threads = workers.submit(os.getenv, "OMP_NUM_THREADS")
        assert [future.result() for future in powers] == [1, 7, 9, 3, 1]
        assert threads.result() == "3"


@NEEDS_PROC
@pytest.mark.parametrize("ahead", [("wave",), ("wave", *AHEAD)], ids=["one", "of audits"])
def test_workers_begin_with_what_was_imported_ahead_in_one_process(
    tmp_path: Path, ahead: tuple[str, ...]
) -> None:
    program = tmp_path / "program.py"
    program.write_text(IN_ONE_PROCESS.replace("AHEAD", repr(ahead)))
    done = subprocess.run(
        [sys.executable, program], env=_environment(), capture_output=True, text=True, check=True
    )
    here, there, parents, threads = done.stdout.splitlines()
    assert (here, there) == ("False", "True")
    assert len(set(parents.split())) == 1
    assert threads == "1"  # a server with threads would lose them where it forks


@pytest.mark.spec("AUD-11")
@pytest.mark.parametrize("ahead", ["()", "('wave',)"])
def test_nothing_in_the_current_folder_is_imported(tmp_path: Path, ahead: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM_OF_ONE.replace("AHEAD", ahead))
    downloads = tmp_path / "downloads"
    downloads.mkdir()
    for name in ("multiprocessing", "struct", "pickle", "wave", "torch"):
        (downloads / f"{name}.py").write_text(f"open({str(tmp_path / name)!r}, 'w')")
    done = subprocess.run(
        [sys.executable, program],
        env=_environment(),
        cwd=downloads,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "7\n"), done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"program.py", "downloads"}


def test_a_worker_has_the_environment_that_its_caller_has_now(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for value in ("one", "two"):
        monkeypatch.setenv("SEEDPACK_TEST_OF_WORKERS", value)
        with open_workers(1, 1) as workers:
            told = workers.submit(os.getenv, "SEEDPACK_TEST_OF_WORKERS").result()
            safe = workers.submit(os.getenv, "PYTHONSAFEPATH").result()
        assert (told, safe) == (value, os.getenv("PYTHONSAFEPATH"))


def test_a_failure_of_the_work_is_its_result() -> None:
    with open_workers(1, 1) as workers:
        failing = workers.submit(int, "seven")
        with pytest.raises(ValueError, match="seven"):
            failing.result()
        assert workers.submit(int, "7").result() == 7


@pytest.mark.parametrize("end", [leave_by, os._exit])
def test_a_worker_that_ends_is_no_result(end: object) -> None:
    with pytest.raises(BrokenProcessPool), open_workers(1, 1) as workers:
        workers.submit(end, 0).result()


def test_a_failure_of_the_caller_ends_workers_of_this_block_alone() -> None:
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=time.sleep, args=(600,))
    other.start()
    try:
        pids: list[int] = []
        with pytest.raises(ZeroDivisionError):
            _fail_beside_a_sleeper(pids)
        assert other.is_alive()
        with pytest.raises(ProcessLookupError):
            os.kill(pids[0], 0)
    finally:
        other.kill()
        other.join()
        other.close()


def _end_oneself() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.spec("AUD-8", "ZOO-8")
def test_a_worker_that_is_ended_before_its_work_begins_does_not_stay() -> None:
    with pytest.raises(BrokenProcessPool), open_workers(1, 1) as workers:
        # As if the signal came when the pool had taken the work and not yet called it.
        workers._pool.submit(_end_oneself).result(timeout=60)


def test_the_caller_hears_ctrl_c_as_before() -> None:
    handler = signal.getsignal(signal.SIGINT)
    with open_workers(1, 1) as workers:
        workers.submit(int).result()
        assert signal.getsignal(signal.SIGINT) is handler


@pytest.mark.spec("AUD-8", "ZOO-8")
@NEEDS_PROC
@ENDS
def test_a_worker_that_loses_the_exception_by_which_it_ends_is_told_again(
    tmp_path: Path, end: object
) -> None:
    caught = PROGRAM.replace("    with tempfile", "    try:\n     with tempfile", 1)
    deaf = caught.replace("        time.sleep(600)\n", "        time.sleep(600)\n" + DEAF, 1)
    process, folder = _start(tmp_path, deaf)
    check_end(process, end)
    assert not list(folder.iterdir())  # a worker that is killed leaves it


@pytest.mark.spec("AUD-8", "ZOO-8")
@NEEDS_PROC
@ENDS
def test_interrupted_workers_end_and_remove_what_they_made(tmp_path: Path, end: object) -> None:
    process, folder = _start(tmp_path, PROGRAM)
    check_end(process, end)
    assert not list(folder.iterdir())


def _start(parent: Path, program: str) -> tuple[subprocess.Popen[str], Path]:
    """Return a program with two workers that have each made a folder, and where."""
    (parent / "program.py").write_text(program)
    folder = parent / "work"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, str(parent / "program.py"), str(folder)],
        env=_environment(),
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    while len(list(folder.iterdir())) < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process, folder


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
