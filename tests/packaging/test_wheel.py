"""What a user installs: the built wheel, in an environment with nothing else."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
import tomllib
import venv
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

import seedpack

ROOT = Path(__file__).resolve().parents[2]


def call(*args: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> str:
    """Run a program that must succeed and return what it said."""
    done = subprocess.run(
        [str(arg) for arg in args],
        cwd=cwd,
        env=(env or {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    call(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="session")
def members(wheel) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="session")
def metadata(wheel, members):
    (name,) = [name for name in members if name.endswith(".dist-info/METADATA")]
    with zipfile.ZipFile(wheel) as archive:
        return message_from_string(archive.read(name).decode())


def test_the_wheel_exposes_exactly_two_import_names(members):
    tops = {name.split("/")[0] for name in members}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"seedpack", "seedpack_cli"}


def test_the_wheel_holds_every_module_of_the_checkout(members):
    sources = {
        path.relative_to(base).as_posix()
        for base, package in ((ROOT, "seedpack"), (ROOT / "cli", "seedpack_cli"))
        for path in (base / package).rglob("*.py")
    }
    assert {name for name in members if name.endswith(".py")} == sources


def test_the_wheel_holds_what_the_page_of_a_report_is_made_of(members):
    folder = "seedpack/report/templates"
    sources = {f"{folder}/{path.name}" for path in (ROOT / folder).iterdir()}
    assert sources == {name for name in members if name.startswith(folder)}


def test_the_wheel_says_that_it_is_typed_and_under_which_licence(members, metadata):
    assert "seedpack/py.typed" in members
    assert metadata["License-Expression"] == "Apache-2.0"
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in members)


def test_the_version_stands_in_one_place_for_users(metadata):
    assert metadata["Version"] == seedpack.__version__


def test_the_base_install_asks_for_no_framework(metadata):
    base = {
        re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()
        for requirement in metadata.get_all("Requires-Dist")
        if "extra ==" not in requirement
    }
    assert not base & {"torch", "transformers", "scikit-learn", "matplotlib"}


def test_every_name_of_the_facade_can_be_imported():
    for name in seedpack.__all__:
        assert getattr(seedpack, name) is not None


def test_the_facade_refuses_names_that_it_does_not_have():
    with pytest.raises(AttributeError, match="no attribute 'unpickle'"):
        seedpack.unpickle  # noqa: B018 -- the access is what is tested


def test_importing_the_facade_imports_nothing_else_of_the_package():
    code = "import seedpack, sys; print([m for m in sys.modules if m.startswith('seedpack.')])"
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    assert call(sys.executable, "-c", code, env=env).strip() == "[]"


def test_every_pin_is_exact_and_names_no_place():
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert line.startswith("#") or re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][A-Za-z0-9.]*", line)


def test_every_declared_requirement_is_pinned():
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    declared = {
        re.match(r"[A-Za-z0-9._-]+", requirement)[0].lower()
        for requirement in [*project["dependencies"], *(r for extra in extras for r in extra)]
    }
    assert declared - {"seedpack"} <= pinned


# ---- the wheel in an environment of its own


@pytest.fixture(scope="session")
def bare(wheel, tmp_path_factory) -> Path:
    """Folder of programs of an environment that holds the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder)
    call(*pip_for(folder / "bin"), "install", "--quiet", "-c", ROOT / "constraints.txt", wheel)
    return folder / "bin"


def pip_for(programs: Path) -> list[object]:
    """Begin a command of this environment's pip about another one, which then needs none."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    return [*pip, "--python", programs / "python"]


def write_model(path: Path) -> None:
    """Write a `.safetensors` file of one tensor, by hand: no library is needed for it."""
    data = struct.pack("<256f", *(i / 7 for i in range(256)))
    header = {"weight": {"dtype": "F32", "shape": [16, 16], "data_offsets": [0, len(data)]}}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def imported(trace: str) -> set[str]:
    """Top-level names in the trace of ``-X importtime``."""
    return {line.rpartition("|")[2].strip().split(".")[0] for line in trace.splitlines()}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.spec("PAR-5")
def test_the_installed_wheel_works_from_key_to_rebuilt_model_without_torch(bare, tmp_path):
    def seedpack_program(*args: object) -> str:
        return call(bare / "seedpack", *args, cwd=tmp_path)

    assert "verify" in seedpack_program("--help")
    write_model(tmp_path / "m.safetensors")
    seedpack_program("keygen", "me", "--no-passphrase")
    seedpack_program("extract", "m.safetensors", "-o", "m.seed", "--key", "me.key")
    seedpack_program("verify", "m.seed", "--key", "me.pub")
    seedpack_program("verify", "m.seed", "--key", "me.pub", "--decode")
    seedpack_program("assemble", "m.seed", "-o", "back.safetensors", "--key", "me.pub")
    back = (tmp_path / "back.safetensors").read_bytes()
    assert back.endswith((tmp_path / "m.safetensors").read_bytes()[-1024:])
    names = call(*pip_for(bare), "list", "--format", "json").splitlines()[0]
    assert not {"torch", "transformers", "zfec"} & {row["name"] for row in json.loads(names)}
    parity = subprocess.run(
        [bare / "seedpack", "extract", "m.safetensors", "-o", "p.seed", "--parity", "20"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert parity.returncode == 1
    assert "error[SP700]: parity needs the package zfec [PAR-5," in parity.stderr
    assert not (tmp_path / "p.seed").exists()


# ---- what commands import


@pytest.fixture
def signed(run_cli, tmp_path):
    write_model(tmp_path / "m.safetensors")
    for args in (
        ("keygen", "me", "--no-passphrase"),
        ("keygen", "other", "--no-passphrase"),
        ("extract", "m.safetensors", "-o", "m.seed", "--key", "me.key", "--parity", "20"),
    ):
        outcome = run_cli(*args)
        assert outcome.status == 0, outcome.stderr
    return tmp_path / "m.seed"


def test_plain_verify_imports_no_numpy_and_no_rich(run_cli, signed):
    outcome = run_cli("verify", signed, "--key", "me.pub", PYTHONPROFILEIMPORTTIME="1")
    assert outcome.status == 0, outcome.stderr
    assert "seedpack" in imported(outcome.stderr)
    assert not imported(outcome.stderr) & {"numpy", "rich", "safetensors", "torch", "transformers"}


@pytest.mark.parametrize(
    "args",
    [
        ("keygen", "third", "--no-passphrase"),
        ("sign", "m.seed", "--key", "other.key"),
        ("verify", "m.seed", "--key", "me.pub", "--decode"),
        ("inspect", "m.seed"),
        ("repair", "m.seed", "-o", "fixed.seed"),
        ("trust", "--help"),
    ],
    ids=lambda args: args[0],
)
def test_commands_on_seeds_import_no_framework(run_cli, signed, args):
    outcome = run_cli(*args, PYTHONPROFILEIMPORTTIME="1")
    assert outcome.status == 0, outcome.stderr
    assert "seedpack" in imported(outcome.stderr)
    assert not imported(outcome.stderr) & {"matplotlib", "sklearn", "torch", "transformers"}
