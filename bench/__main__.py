"""Speed and memory of seedpack as ratios, every figure from this one run.

    python -m bench [--quick]        from the root of the repository, with seedpack installed

Exit status: 0 all bars met, 1 some are not (a busy machine can be the reason: run again).
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench import access, bfloat16, lossless, throughput, verification
from bench.materials import make_materials
from bench.measure import child_environment
from bench.table import MIB, print_rows, print_title

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.table import Row

_FULL_NBYTES = 1024 * MIB
_QUICK_NBYTES = 256 * MIB


def main() -> int:
    """Measure and print section by section."""
    parser = argparse.ArgumentParser(prog="python -m bench", description="Speed and memory.")
    parser.add_argument("--quick", action="store_true", help="256 MiB instead of 1 GiB")
    nbytes = _QUICK_NBYTES if parser.parse_args().quick else _FULL_NBYTES
    cores = len(os.sched_getaffinity(0))
    print(f"Python {platform.python_version()}, {cores} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory(prefix="seedpack-bench-") as name:
        folder = Path(name)
        environment = child_environment(folder)
        materials = make_materials(folder, nbytes, environment)
        sections: dict[str, Callable[[], list[Row]]] = {
            "verify": lambda: verification.measure(materials, environment),
            "sign and read": lambda: access.measure(materials, environment),
            "lossless: MiniLM-L6 in float32": lambda: lossless.measure(environment),
            "lossless: MiniLM-L6 in bfloat16": lambda: bfloat16.measure(
                lossless.default_model() / "model.safetensors", environment
            ),
            "for information": lambda: throughput.measure(materials, environment),
        }
        rows = []
        for title, measure in sections.items():
            print_title(title)
            found = measure()
            print_rows(found)
            rows += found
    failed = sum(row.met is False for row in rows)
    judged = sum(row.met is not None for row in rows)
    print(f"\n{judged - failed} of {judged} bars met")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
