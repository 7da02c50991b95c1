"""``seedpack extract MODEL --base BASE --train DATA`` as a user types it, on a tiny transformer."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def made(publisher):
    """The same, with a trained delta of the model."""
    publisher.first = publisher("extract", *words(), "--key", "acme.key", "--checkpoint", "c")
    return publisher


def words(**changes):
    given = {
        "-o": "d.seed",
        "--base": "base",
        "--train": "train.tsv",
        "--eval": "dev.tsv",
        "--task": "text-classification",
        "--max-bytes": 13000,
        "--trainings": 1,
        "--steps": 120,
        "--format": "json",
    } | changes
    return ["tuned", *(str(w) for pair in given.items() if pair[1] is not None for w in pair)]


@pytest.mark.spec("EXT-70", "EXT-72")
def test_figures_stand_beside_their_controls(made):
    assert made.first.status == 0, made.first.stderr
    row = json.loads(made.first.stdout)
    arms = row["arms"]
    assert list(arms) == ["original", "seed", "plain delta", "head alone", "random base"]
    assert (row["chance"], row["evaluated"], row["trainings"]) == (0.5, 120, 1)
    assert arms["seed"]["nbytes"] == row["file_nbytes"] <= 13000
    assert arms["plain delta"]["nbytes"] <= row["file_nbytes"]
    assert all(
        low <= arm["value"] <= high for arm in arms.values() for low, high in [arm["interval"]]
    )
    assert (
        arms["seed"]["value"] > max(arms["head alone"]["value"], arms["random base"]["value"]) + 0.1
    )
    assert row["against_plain"]["value"] == pytest.approx(
        arms["seed"]["value"] - arms["plain delta"]["value"]
    )


@pytest.mark.spec("EXT-71", "TRS-4")
def test_what_was_measured_is_what_a_consumer_assembles(made):
    """The folder loads with from_pretrained, and answers as often right as the report says."""
    import torch
    import transformers

    assert not list(made.folder.glob("c.*"))  # the checkpoints
    trust = ("--key", "acme.pub", "--base", "base")
    done = made("assemble", "d.seed", "-o", "out", *trust)
    assert done.status == 0, done.stderr
    model = transformers.AutoModelForSequenceClassification.from_pretrained(made.folder / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder / "out")
    lines = (made.folder / "dev.tsv").read_text("utf-8").splitlines()
    rows = [line.rsplit("\t", 1) for line in lines]
    batch = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([int(label) for _, label in rows])
    with torch.no_grad():
        right = int((model(**batch).logits.argmax(-1) == labels).sum())
    figure = json.loads(made.first.stdout)["arms"]["seed"]["value"]
    assert right / len(rows) == figure


def test_inspect_says_that_the_delta_was_trained(made):
    row = json.loads(made("inspect", "d.seed", "--format", "json").stdout)
    assert row["recipe"]["trained"] == "low-rank factors, quantised in the loop"
    assert row["recipe"]["training_steps"] == 120
    assert {layer["codec"] for layer in row["layers"]} == {"delta", "raw"}


@pytest.mark.parametrize(
    ("changes", "status", "message"),
    [
        ({"--task": None}, 2, "--task"),
        ({"--max-bytes": None}, 2, "--ratio or --max-bytes"),
        ({"--codec": "hash"}, 2, "codec of its own"),
    ],
)
def test_options_that_do_not_go_together_are_refused(
    publisher, monkeypatch, capsys, changes, status, message
):
    done = publisher.here(monkeypatch, capsys, "extract", *words(**{"-o": "e.seed", **changes}))
    assert (done.status, done.stdout) == (status, "")
    assert message in done.stderr
