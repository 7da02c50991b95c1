"""``seedpack assemble --task`` as a user runs it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

FACTORY = """
import torch
def build():
    return torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
"""


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Scanned digits, a network trained on a part of them, its factory, and a signed seed."""
    import torch
    from sklearn.datasets import load_digits

    from tests.cli.conftest import Shell

    folder = tmp_path_factory.mktemp("digits")
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(60):
        loss = torch.nn.functional.cross_entropy(
            net(torch.from_numpy(x[:1000])), torch.from_numpy(y[:1000])
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    save_file({k: v.numpy() for k, v in net.state_dict().items()}, folder / "net.safetensors")
    np.savez(folder / "train.npz", x=x[1000:1400], y=y[1000:1400])
    np.savez(folder / "eval.npz", x=x[1400:], y=y[1400:])
    (folder / "nets.py").write_text(FACTORY)
    run = Shell(folder)
    assert run("keygen", "acme", "--no-passphrase").status == 0
    made = run("extract", "net.safetensors", "-o", "net.seed", "--key", "acme.key")
    assert made.status == 0, made.stderr
    return run


WORDS = (
    *("assemble", "net.seed", "--key", "acme.pub", "--task", "generic"),
    *("--train", "train.npz", "--eval", "eval.npz", "--factory", "nets.py:build"),
)


@pytest.mark.spec("TRN-15", "TRN-16")
def test_TRN_15_tuned_model_is_written_and_reported_beside_its_control_arm(digits):
    folder = digits.folder
    before = sorted(path.name for path in folder.iterdir())
    done = digits(
        *WORDS,
        *("-o", "tuned.safetensors", "--samples", 60, "--epochs", 3, "--seeds", 2, "--seed", 7),
        *("--original", "net.safetensors", "--report", "report.json"),
    )
    assert done.status == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].endswith("4 of 4 layers assembled from a verified seed, then tuned")
    assert lines[1] == "generic, 60 samples, 2 seeds"
    assert lines[2].startswith("accuracy on 397 examples (chance 0.100, majority ")
    assert [line.split()[0] for line in lines[3:6]] == ["assembled", "random-init", "original"]
    assert lines[-1].startswith("retention 1.000 [1.000, 1.000]")
    report = json.loads((folder / "report.json").read_text("utf-8"))
    values = {arm["arm"]: arm["metrics"][0]["value"] for arm in report["arms"]}
    assert values["assembled"] > values["random-init"] + 0.2
    assert report["seeds"] == [7, 8]
    after = {path.name for path in folder.iterdir()} - {"__pycache__"}  # of the user's own factory
    assert sorted(after - {*before}) == ["report.json", "tuned.safetensors"]
    tuned, stored = (load_file(folder / f"{n}.safetensors") for n in ("tuned", "net"))
    assert {name: value.shape for name, value in tuned.items()} == {
        name: value.shape for name, value in stored.items()
    }
    assert any(not np.array_equal(tuned[name], stored[name]) for name in tuned)


@pytest.mark.spec("TRN-10")
@pytest.mark.parametrize(
    ("words", "rule"),
    [
        (("--train", "absent.npz"), "TRN-1"),
        (("--train", "net.safetensors"), "TRN-1"),
        (("--samples", 5000), "TRN-8"),
        (("--task", "text-classification"), "TRN-7"),
        (("--task", "cooking"), "TRN-7"),
    ],
)
def test_TRN_10_data_that_do_not_fit_are_refused_before_anything_is_written(digits, words, rule):
    before = sorted(digits.folder.iterdir())
    done = digits(*WORDS, "-o", "new.safetensors", *words)
    assert done.status == 1
    assert "error[SP900]" in done.stderr
    assert f"[{rule}, " in done.stderr
    assert done.stdout == ""
    assert sorted(digits.folder.iterdir()) == before


@pytest.mark.parametrize(
    "words",
    [
        ("--train", "train.npz"),
        ("--report", "r.json"),
        ("--task", "generic"),
        ("--task", "generic", "--train", "train.npz"),
        (
            *("--task", "generic", "--train", "train.npz", "--eval", "eval.npz"),
            *("--layers", "0.*"),
        ),
    ],
)
def test_options_that_make_no_sense_together_are_wrong_usage(digits, words):
    done = digits("assemble", "net.seed", "--key", "acme.pub", "-o", "n.safetensors", *words)
    assert done.status == 2


def test_help_names_every_option_of_a_tuning(digits):
    text = digits("assemble", "--help").stdout
    for option in (
        *("--task", "--train", "--eval", "--samples", "--epochs", "--seed", "--seeds"),
        *("--no-control", "--original", "--robust", "--factory", "--report", "--columns"),
    ):
        assert option in text
