"""What every test shares: repeatable settings, and the program as a user runs it."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"
# What the installed script does; it also works in a checkout that is not installed.
PROGRAM = "import sys; sys.argv[0] = 'seedpack'; from seedpack_cli.app import main; main()"

os.environ["HF_HUB_OFFLINE"] = "1"  # no test may depend on a network
os.environ["NO_COLOR"] = "1"

# "default" is what CI runs: the same examples each time, and nothing that a clock decides, because
# a loaded machine is no defect. "thorough" searches further: pytest --hypothesis-profile=thorough.
_NO_CLOCK = hypothesis.settings(
    deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.register_profile(
    "default", _NO_CLOCK, derandomize=True, max_examples=60, print_blob=True
)
hypothesis.settings.register_profile("thorough", _NO_CLOCK, max_examples=5_000)
hypothesis.settings.load_profile("default")


# The core's own tests reach each of its branches; the others, eight times as many, need no tracing.
_TRACED = frozenset({"container", "crypto", "seed", "trust"})
_TOLD = "COVERAGE_PROCESS"  # begins what tells a process to trace itself

# Tests end programs as Ctrl-C does. Who starts this one in the background may have it ignore that,
# and so would all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let ``make test`` leave out the tracing that its figure does not need."""
    parser.addoption(
        "--trace-core-only",
        action="store_true",
        help=f"measure coverage in tests/{{{','.join(sorted(_TRACED))}}} alone",
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run the tests that need no tracing without it, and so all that they start or set up.

    pytest-cov's own marker does nothing in a worker of xdist, which is traced as a process that a
    traced one started, too.
    """
    if not item.config.getoption("trace_core_only") or _folder(item) in _TRACED:
        return (yield)
    tracer, of_threads = sys.gettrace(), threading.gettrace()
    told = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(_TOLD)}
    sys.settrace(None)
    threading.settrace(None)
    try:
        return (yield)
    finally:
        sys.settrace(tracer)
        threading.settrace(of_threads)
        os.environ.update(told)


def _folder(item: pytest.Item) -> str:
    return item.path.relative_to(ROOT / "tests").parts[0]


class Outcome(NamedTuple):
    """What a user sees of one call of the program."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of public data that lies beside the repository, where there is one."""
    if not SHARED.is_dir():
        pytest.skip("no folder ../shared with the public data sets")
    return SHARED


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let defences teach for a tenth of the steps, where it does not matter how well.

    Planted controls are taught for half of theirs: they have to know what they are to forget.
    """
    from seedpack.backdoors.defence import controls, relearning, tuning, unlearning

    for module, name, part in (
        (relearning, "_PLAN", 10),
        (tuning, "_PLAIN", 10),
        (tuning, "_SHIFTED", 10),
        (unlearning, "_PLAN", 10),
        (controls, "_AFRESH", 2),
    ):
        plan = getattr(module, name)
        monkeypatch.setattr(module, name, dataclasses.replace(plan, steps=plan.steps // part))


@pytest.fixture
def run_cli(tmp_path: Path) -> Callable[..., Outcome]:
    """Run ``seedpack ARGS`` as a process of its own, with its own home."""

    def run(*args: object, cwd: Path = tmp_path, **env: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, args)],
            cwd=cwd,
            env={**os.environ, **_python_path(), "HOME": str(tmp_path), **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


def _python_path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "cli")))}
