"""``seedpack extract --train`` as a user types it."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")

import numpy as np
import torch

FACTORY = """
from torch import nn

def make(width=1.0):
    hidden = max(round(40 * width), 1)
    return nn.Sequential(nn.Linear(6, hidden), nn.ReLU(), nn.Linear(hidden, 2))
"""


@pytest.fixture
def folder(shell):
    tmp_path = shell.folder
    (tmp_path / "f.py").write_text(FACTORY)
    random = np.random.default_rng(0)
    labels = random.integers(2, size=90)
    inputs = random.normal(size=(90, 6)).astype("f4") + 2 * labels[:, None]
    np.savez(tmp_path / "d.npz", x=inputs.astype("f4"), y=labels)
    names = {"0.weight": (40, 6), "0.bias": (40,), "2.weight": (2, 40), "2.bias": (2,)}
    generator = torch.Generator().manual_seed(0)
    state = {name: torch.randn(shape, generator=generator) for name, shape in names.items()}
    torch.save(state, tmp_path / "m.pt")
    return tmp_path


def words(folder, **changes):
    given = {
        "-o": folder / "s.seed",
        "--train": folder / "d.npz",
        "--task": "generic",
        "--ratio": 20,
        "--factory": f"{folder}/f.py:make",
        "--steps": 20,
        "--trainings": 2,
    } | changes
    pairs = [(option, value) for option, value in given.items() if value is not None]
    return [folder / "m.pt", *(word for pair in pairs for word in pair)]


def test_figures_stand_beside_their_controls(folder, shell):
    code, out, _ = shell("extract", *words(folder, **{"--format": "json"}))
    row = json.loads(out)
    assert code == 0
    assert set(row["arms"]) == {"original", "seed", "same-bytes student", "random"}
    assert row["chance"] == 0.5
    low, high = row["against_student"]["interval"]
    arms = (row["arms"]["seed"]["value"], row["arms"]["same-bytes student"]["value"])
    assert low <= row["against_student"]["value"] <= high
    assert row["against_student"]["value"] == pytest.approx(arms[0] - arms[1])
    assert row["ratio"] >= 20
    assert row["file_ratio"] < row["ratio"]
    assert row["trainings"] == 2


def test_the_text_names_both_ratios_and_every_arm(folder, shell):
    code, out, err = shell("extract", *words(folder, **{"--format": "text"}))
    assert (code, "no same-bytes" in err) == (0, False)
    for part in (
        "weights at ratio",
        "whole file",
        "same-bytes student",
        "random",
        "chance",
        "seed - student",
    ):
        assert part in out


def test_the_codec_of_the_numbers_can_be_chosen(folder, shell):
    chosen = {"--codec": "fastfood", "--trainings": 1, "--steps": 2}
    assert shell("extract", *words(folder, **chosen))[0] == 0
    code, out, _ = shell("inspect", folder / "s.seed", "--format", "json")
    assert code == 0
    assert {layer["codec"] for layer in json.loads(out)["layers"]} == {"fastfood"}


def test_a_codec_that_is_trained_needs_data(folder, shell):
    code, out, err = shell("extract", folder / "m.pt", "-o", "t.seed", "--codec", "fastfood")
    assert (code, out) == (2, "")
    assert "--train" in err


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--task": None}, "--task"),
        ({"--factory": None}, "--factory"),
        ({"--ratio": None}, "--ratio"),
        ({"--train": None}, "--train"),
        ({"--codec": "ecq"}, "--codec"),
        ({"--max-bytes": 900, "--ratio": None, "--codec": "fastfood"}, "--max-bytes"),
    ],
)
def test_options_that_do_not_go_together_are_refused(folder, shell, changes, message):
    code, out, err = shell("extract", *words(folder, **changes))
    assert (code, out) == (2, "")
    assert message in err
    assert not (folder / "s.seed").exists()
