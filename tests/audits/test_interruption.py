"""An audit that is interrupted leaves no process and no folder, and the next run goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.audits.worlds import write_data
from tests.children import ENDS, NEEDS_PROC, check_end

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


@pytest.mark.slow
@pytest.mark.spec("AUD-8")
@NEEDS_PROC
@ENDS
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
    check_end(process, end)
    assert not list(work.glob("scratch-*"))
