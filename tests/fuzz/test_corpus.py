"""Every input that the fuzzers keep still gives a value or a refusal, and nothing else."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest

from fuzz import harness, run
from seedpack.errors import SeedError

ROOT = Path(__file__).resolve().parents[2]
NAMES = harness.target_names()
KEPT = sorted(path for name in NAMES for path in (harness.CORPUS / name).iterdir())
KIB = 1024


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name[:40]}")
def test_each_kept_input_is_accepted_or_refused(path):
    harness.check_input(harness.load_target(path.parent.name), path.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_each_target_begins_with_something_that_is_accepted(name):
    target = harness.load_target(name)
    accepted = 0
    for data in target.starts().values():
        try:
            target.check(data)
        except SeedError as refusal:
            harness.check_refusal(refusal)
        else:
            accepted += 1
    assert accepted


@pytest.mark.parametrize("name", [n for n in NAMES if harness.load_target(n).mutate])
def test_each_mutator_forgets_what_it_made_before(name):
    target = harness.load_target(name)
    for number, data in enumerate([b"", *target.starts().values()]):
        made = [target.mutate(data, Random(number)) for _ in range(3)]
        assert len(set(map(len, made))) == 1  # ML-DSA signatures differ, not in size
        harness.check_input(target, made[0])


def test_the_corpus_is_small_enough_for_git():
    assert sum(path.stat().st_size for path in KEPT) < 300 * KIB


def test_a_finding_is_told_from_a_refusal():
    def check(data):
        if data:
            raise SeedError("text with \x1b", rule="MAN-1", where="byte 0")
        raise ZeroDivisionError

    target = harness.Target(check, dict)
    for data, kind in ((b"", ZeroDivisionError), (b"x", AssertionError)):
        with pytest.raises(kind):
            harness.check_input(target, data)


def test_figures_are_libfuzzers_own():
    output = "#2\tINITED cov: 7 ft: 9\n#4096\tpulse  cov: 31 ft: 90\n"
    assert run.read_output("x", 5, 0, output)[:6] == ("x", 4096, 5, 31, 0, "")
    output += "stat::number_of_executed_units: 5000\nstat::new_units_added:          12\n"
    assert run.read_output("x", 5, 0, output)[:6] == ("x", 5000, 5, 31, 12, "")
    found = output + "artifact_prefix='a/'; Test unit written to a/crash-1\nBase64: AA==\n"
    assert run.read_output("x", 5, 77, found).finding == "a/crash-1"
    assert run.read_output("x", 5, 1, output).finding == "exit status 1"
    assert not run.read_output("x", 5, 0, output, least=5000).finding
    assert "5000 executions of 5001" in run.read_output("x", 5, 0, output, least=5001).finding
    for idle in ("", "#2\tINITED cov: 9 ft: 9\n"):
        assert "edges" in run.read_output("x", 5, 0, idle).finding


def test_without_atheris_the_runner_says_what_to_install():
    program = (
        "import sys, importlib.util, runpy; importlib.util.find_spec = lambda name: None;"
        "sys.argv = ['run.py']; runpy.run_path('fuzz/run.py', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "fuzz: atheris is not installed\nhint: pip install -e '.[fuzz]'\n"


def test_a_target_runs_under_the_fuzzer(tmp_path):
    """One; ``make fuzz RUNS=2000`` runs each, and one that executes less fails it."""
    if importlib.util.find_spec("atheris") is None:
        pytest.skip("atheris is not installed: pip install -e '.[fuzz]'")
    name = "preamble"
    command = [sys.executable, "-m", "fuzz.worker", name, "-runs=2000", "-print_final_stats=1"]
    done = subprocess.run(
        [*command, f"-artifact_prefix={tmp_path}/", str(tmp_path), str(harness.CORPUS / name)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    outcome = run.read_output(name, 1, done.returncode, done.stderr)
    assert not outcome.finding, done.stderr[-4000:]
    assert outcome.executions >= 2000
    assert outcome.edges > 10
