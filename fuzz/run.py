"""Run the fuzz targets in turn and say what they did: ``python fuzz/run.py --seconds 60``.

Each target is a process of its own, because libFuzzer ends the process that it runs in. A
finding keeps its input under ``fuzz/findings/`` and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).resolve().parent
ROOT: Final = FOLDER.parent
NAMES: Final = sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))

_GRACE_S: Final = 120  # start-up and reading of the corpus on a busy machine
_INPUT_TIMEOUT_S: Final = 25  # one input that takes longer is a finding
_RSS_LIMIT_MIB: Final = 1024  # the address space is bounded by the worker, much closer
_FEW_EDGES: Final = 10  # the smallest target reaches almost twice as many at once
_KEPT_LINES: Final = 40  # of a worker's output, shown for a finding
_EXECUTED: Final = re.compile(r"^(?:stat::number_of_executed_units:\s*|#)(\d+)", re.MULTILINE)
_EDGES: Final = re.compile(r"\bcov: (\d+)")
_ADDED: Final = re.compile(r"^stat::new_units_added:\s*(\d+)", re.MULTILINE)
_ARTIFACT: Final = re.compile(r"Test unit written to (\S+)")


class Outcome(NamedTuple):
    """What one target did, in libFuzzer's own figures."""

    name: str
    executions: int
    seconds: int
    edges: int
    new_units: int
    finding: str  # empty where there is none
    output: str


def main() -> int:
    """Fuzz, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="for all targets together")
    parser.add_argument("--runs", type=int, help="of each target, however long they take")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one")
    parser.add_argument("--jobs", type=int, default=1, help="targets at a time")
    options = parser.parse_args()
    if importlib.util.find_spec("atheris") is None:
        sys.stderr.write("fuzz: atheris is not installed\nhint: pip install -e '.[fuzz]'\n")
        return 1
    names = options.target or NAMES
    share = max(1, options.seconds * options.jobs // len(names))
    print(f"{'target':<18}{'executions':>12}{'exec/s':>9}{'edges':>7}{'new':>6}  result")
    with ThreadPoolExecutor(options.jobs) as pool:
        outcomes = []
        for outcome in pool.map(lambda name: fuzz(name, share, options.runs), names):
            outcomes.append(outcome)
            print_outcome(outcome)
    total = sum(outcome.executions for outcome in outcomes)
    findings = sum(bool(outcome.finding) for outcome in outcomes)
    print(f"{'total':<18}{total:>12,}{'':>22}  {findings} findings")
    return 1 if findings else 0


def fuzz(name: str, seconds: int, runs: int | None = None) -> Outcome:
    """Run one target so often, or for so long; its new inputs stay in a folder git ignores."""
    work, findings = FOLDER / "work" / name, FOLDER / "findings" / name
    for folder in (work, findings, FOLDER / "corpus" / name):
        folder.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz.worker", name]
    command += [f"-runs={runs}" if runs else f"-max_total_time={seconds}"]
    command += ["-print_final_stats=1", "-verbosity=1"]
    command += [f"-timeout={_INPUT_TIMEOUT_S}", f"-rss_limit_mb={_RSS_LIMIT_MIB}"]
    command += [f"-artifact_prefix={findings}/", str(work), str(FOLDER / "corpus" / name)]
    start = time.monotonic()
    try:
        done = subprocess.run(  # noqa: S603 -- this interpreter, options made here
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=None if runs else seconds + _GRACE_S,  # an input that hangs ends itself
            check=False,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired:
        return Outcome(name, 0, seconds, 0, 0, "does not end", "")
    spent = max(round(time.monotonic() - start), 1) if runs else seconds
    return read_output(name, spent, done.returncode, done.stdout, least=runs or 1)


def read_output(name: str, seconds: int, status: int, output: str, *, least: int = 1) -> Outcome:
    """Return the figures that libFuzzer printed; fewer executions than ``least`` are a finding."""
    executions, edges, added = (
        max(map(int, figure.findall(output)), default=0) for figure in (_EXECUTED, _EDGES, _ADDED)
    )
    finding = ""
    if status:
        artifact = _ARTIFACT.search(output)
        finding = artifact[1] if artifact else f"exit status {status}"
    elif executions < least or edges <= _FEW_EDGES:
        finding = f"{executions} executions of {least} or more, which reached {edges} edges"
    return Outcome(name, executions, seconds, edges, added, finding, output)


def print_outcome(outcome: Outcome) -> None:
    """Print one row of the table, and what a finding needs to be repeated."""
    speed = outcome.executions // outcome.seconds
    figures = f"{outcome.executions:>12,}{speed:>9,}{outcome.edges:>7,}{outcome.new_units:>6,}"
    print(f"{outcome.name:<18}{figures}  {'FINDING' if outcome.finding else 'ok'}", flush=True)
    if outcome.finding:
        print(*outcome.output.splitlines()[-_KEPT_LINES:], sep="\n")
        print(f"reproduce: python -m fuzz.worker {outcome.name} {outcome.finding}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
