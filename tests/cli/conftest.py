"""The command line as a user runs it: a process, its status, its two streams."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.conftest import PROGRAM, ROOT, Outcome


class Shell:
    """A folder in which commands are run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SEEDPACK_")},
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")]),
            "SOURCE_DATE_EPOCH": "1700000000",
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "NO_COLOR": "1",
            "COLUMNS": "200",
        }

    def __call__(self, *words: object, stdin: str = "", **env: str) -> Outcome:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, *map(str, words)],
            cwd=self.folder,
            env={**self.env, **env},
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Outcome(done.returncode, done.stdout, done.stderr)

    def here(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        *words: object,
    ) -> Outcome:
        """Run the command in this process, where a test can shorten what it does."""
        from seedpack_cli import output
        from seedpack_cli.app import main

        with monkeypatch.context() as patch:
            for setting in ("quiet", "verbose", "output_format"):  # are put back afterwards
                patch.setattr(output.settings, setting, getattr(output.settings, setting))
            for name in [name for name in os.environ if name.startswith("SEEDPACK_")]:
                patch.delenv(name)
            for name, value in self.env.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["seedpack", *map(str, words)])
            capsys.readouterr()
            with pytest.raises(SystemExit) as ended:
                main()
        assert isinstance(ended.value.code, int)
        return Outcome(ended.value.code, *capsys.readouterr())


@pytest.fixture
def shell(tmp_path):
    return Shell(tmp_path)


@pytest.fixture(scope="module")
def publisher(tmp_path_factory):
    """A folder with a tiny base, a model tuned from it, data and keys."""
    from tests.cli.tiny_texts import publisher_in

    return publisher_in(tmp_path_factory.mktemp("publisher"))


def save_model(path: Path, *, scale: float = 1.0) -> None:
    """Write a model of three tensors, the same for the same ``scale``."""
    rng = np.random.default_rng(7)
    save_file(
        {
            "encoder.weight": (scale * rng.standard_normal((64, 128))).astype(np.float32),
            "encoder.bias": np.arange(64, dtype=np.float32) * np.float32(scale),
            "steps": np.array(12, dtype=np.int64),
        },
        path,
    )


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """A folder with keys, a signed seed with parity, and its model."""
    folder = tmp_path_factory.mktemp("published")
    run = Shell(folder)
    save_model(folder / "model.safetensors")
    for name in ("acme", "mallory"):
        assert run("keygen", name, "--no-passphrase").status == 0
    made = run(
        *("extract", "model.safetensors", "-o", "good.seed", "--name", "acme/tiny"),
        *("--version", 3, "--parity", 40, "--key", "acme.key"),
    )
    assert made.status == 0, made.stderr
    return folder
