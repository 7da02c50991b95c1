"""Whatever is killed, at whatever step: the output is absent or whole, the input unharmed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.limits import UNMEASURED

ROOT = Path(__file__).resolve().parents[2]
# name -> steps that it has at least; fewer would mean that the counting is broken
OPERATIONS = {
    "SignAnew": 16,
    "SignInPlace": 6,
    "Split": 16,
    "SplitOver": 14,
    "SplitEvenly": 16,
    "Merge": 16,
    "Repair": 40,
    "RepairOver": 40,
    "RepairInPlace": 40,
    "Extract": 16,
    "AssembleFile": 16,
    "Folder": 20,
}


@pytest.mark.spec("OUT-1")
@pytest.mark.parametrize("name, steps", OPERATIONS.items())
def test_a_kill_at_any_step_leaves_the_output_absent_or_whole(tmp_path, name, steps):
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.killing", name, str(tmp_path)],
        cwd=ROOT,
        env={**UNMEASURED, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'cli'}"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) >= steps
