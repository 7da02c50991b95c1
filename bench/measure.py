"""Run programs and say what each run took: time, CPU, memory, bytes through read and write.

    command --fork--> child --waitid, still a zombie--> /proc/PID/io --wait4--> Usage

Linux carries a parent's peak memory over into the child, so whatever is large runs in
children, and the process that measures stays small: no numpy in here.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Command = list[str]

# Settings of a developer's shell that make every start of Python slower than a user's.
_NOT_PASSED_ON = ("PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "PYTHONPATH")


class Usage(NamedTuple):
    """What one run took, threads and the interpreter's start included."""

    wall_s: float
    cpu_s: float  # user and system
    peak_nbytes: int  # resident memory
    read_nbytes: int  # by read(), from cache or disk
    written_nbytes: int  # by write()
    output: str


class Typical(NamedTuple):
    """Medians of several runs."""

    wall_s: float
    cpu_s: float
    peak_nbytes: int
    outputs: list[str]


def child_environment(folder: Path) -> dict[str, str]:
    """Return the environment of measured programs; bytecode is kept below ``folder``."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SEEDPACK_")}
    for name in _NOT_PASSED_ON:
        environment.pop(name, None)
    return environment | {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "NO_COLOR": "1"}


def seedpack_command(*arguments: object) -> Command:
    """Return the installed program with ``arguments``."""
    program = Path(sys.executable).with_name("seedpack")
    if not program.exists():
        raise SystemExit(f"{program} is missing: run `make bench`, or install seedpack here")
    return [str(program), *map(str, arguments)]


def python_command(module: str, *arguments: object) -> Command:
    """Return this interpreter running a module of this folder."""
    return [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]


def run(command: Sequence[str], environment: Mapping[str, str]) -> Usage:
    """Run ``command`` to its end.

    Raises:
        SystemExit: It failed; a benchmark of failures would mean nothing.
    """
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        child = subprocess.Popen(
            command, env=dict(environment), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr
        )
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        wall_s = time.perf_counter() - start
        counters = read_counters(child.pid)
        _, status, resources = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)  # or Popen waits for it again
        if child.returncode:
            stderr.seek(0)
            message = stderr.read()[-2000:].decode(errors="replace")
            raise SystemExit(f"{' '.join(command)} failed:\n{message}")
        stdout.seek(0)
        return Usage(
            wall_s,
            resources.ru_utime + resources.ru_stime,
            resources.ru_maxrss * 1024,
            counters["rchar"],
            counters["wchar"],
            stdout.read().decode(),
        )


def read_counters(pid: int | str) -> dict[str, int]:
    """Return the I/O counters of a process, which may be a zombie."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return {name: int(value) for name, _, value in (line.partition(": ") for line in lines)}


def run_interleaved(
    commands: Mapping[str, Sequence[str]], environment: Mapping[str, str], *, rounds: int
) -> dict[str, Typical]:
    """Run each command once to warm up, then all of them ``rounds`` times in turn.

    Interleaved, because what else the machine does then burdens all of them alike.
    """
    usages: dict[str, list[Usage]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            usage = run(command, environment)
            if number:
                usages[name].append(usage)
    return {name: _typical(taken) for name, taken in usages.items()}


def _typical(usages: Sequence[Usage]) -> Typical:
    return Typical(
        statistics.median(usage.wall_s for usage in usages),
        statistics.median(usage.cpu_s for usage in usages),
        max(usage.peak_nbytes for usage in usages),
        [usage.output for usage in usages],
    )
