"""An audit that is interrupted leaves no process and no folder, and the next run goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.audits.worlds import write_data

if TYPE_CHECKING:
    from collections.abc import Callable

PROGRAM = """
import sys
from pathlib import Path
from seedpack.audits import PROFILES, Spec, Subject
from seedpack.audits.registry import AUDITS
from seedpack.audits.runner import run_audits
folder = Path(sys.argv[1])
spec = Spec(model=sys.argv[3], task="generic", train=str(folder / "train.npz"),
            evaluation=str(folder / "eval.npz"), factory=sys.argv[4])
def watch(audit, done, total, what):
    print(audit, flush=True)
if __name__ == "__main__":
    try:
        run_audits(spec, Subject(seed_id="", name="n", version=1), sys.argv[5:],
                   PROFILES["deep"], folder / "work", tool="t", processes=2, progress=watch)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def children_of(pid: int) -> set[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return {int(child) for child in found}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def to_all(process: subprocess.Popen[str]) -> int:
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    return 130


def to_the_first(process: subprocess.Popen[str]) -> int:
    process.kill()  # as where memory runs out
    return -signal.SIGKILL


@pytest.mark.slow
@pytest.mark.spec("AUD-8")
@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("end", [to_all, to_the_first])
def test_an_interrupted_audit_leaves_no_process_and_no_folder(
    tmp_path: Path, end: Callable[[subprocess.Popen[str]], int]
) -> None:
    from safetensors.torch import save_file

    from tests.audits import small_network

    write_data(tmp_path)
    save_file(small_network.make().state_dict(), tmp_path / "model.safetensors")
    (tmp_path / "program.py").write_text(PROGRAM)
    factory = f"{Path(small_network.__file__)}:make"
    root = Path(__file__).parents[2]
    words = [str(tmp_path / "program.py"), str(tmp_path), "", str(tmp_path / "model.safetensors")]
    process = subprocess.Popen(
        [sys.executable, *words, factory, "backdoor", "low-data", "label-noise"],
        env={**os.environ, "PYTHONPATH": f"{root}:{root / 'cli'}", "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    work = tmp_path / "work"
    while len(list(work.glob("scratch-*"))) < 2:
        assert process.poll() is None, process.communicate()
    children = children_of(process.pid)
    status = end(process)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == status, errors
    assert "Traceback" not in errors
    for _ in range(100):  # the one that watches over semaphores ends after its parent
        if not any(map(is_running, children)):
            break
        time.sleep(0.1)
    assert not [child for child in children if is_running(child)]
    assert not list(work.glob("scratch-*"))
