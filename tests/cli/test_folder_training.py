"""``seedpack extract FOLDER --train DATA`` as a user types it, on a tiny transformer."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def made(publisher):
    """The same, with a trained seed of the model."""
    publisher.first = publisher("extract", *words(), "--key", "acme.key", "--checkpoint", "c")
    return publisher


def words(model="tuned", **changes):
    given = {
        "-o": "t.seed",
        "--train": "train.tsv",
        "--eval": "dev.tsv",
        "--task": "text-classification",
        "--ratio": 20,
        "--trainings": 1,
        "--steps": 150,
        "--format": "json",
    } | changes
    return [model, *(str(w) for pair in given.items() if pair[1] is not None for w in pair)]


@pytest.mark.spec("TRS-2", "TRS-5")
def test_figures_stand_beside_their_controls(made):
    assert made.first.status == 0, made.first.stderr
    row = json.loads(made.first.stdout)
    assert list(row["arms"]) == ["original", "seed", "same-bytes student", "random"]
    assert (row["chance"], row["evaluated"], row["trainings"]) == (0.5, 120, 1)
    arms = row["arms"]
    assert arms["seed"]["nbytes"] == row["weights_nbytes"]
    assert arms["same-bytes student"]["nbytes"] <= row["weights_nbytes"]
    assert 20 <= row["ratio"] <= 22
    assert arms["seed"]["value"] > arms["random"]["value"] + 0.1
    assert not list(made.folder.glob("c.*"))  # the checkpoints


@pytest.mark.spec("TRS-3")
def test_what_was_measured_is_what_a_consumer_assembles(made):
    """The folder loads with from_pretrained, and answers as often right as the report says."""
    import torch
    import transformers

    done = made("assemble", "t.seed", "-o", "out", "--key", "acme.pub")
    assert done.status == 0, done.stderr
    layers = json.loads(made("inspect", "t.seed", "--format", "json").stdout)["layers"]
    assert {layer["codec"] for layer in layers} == {"hash"}
    model = transformers.AutoModelForSequenceClassification.from_pretrained(made.folder / "out")
    tokenizer = transformers.AutoTokenizer.from_pretrained(made.folder / "out")
    lines = (made.folder / "dev.tsv").read_text("utf-8").splitlines()
    rows = [line.rsplit("\t", 1) for line in lines]
    batch = tokenizer([text for text, _ in rows], padding=True, return_tensors="pt")
    labels = torch.tensor([int(label) for _, label in rows])
    with torch.no_grad():
        right = int((model(**batch).logits.argmax(-1) == labels).sum())
    assert right / len(rows) == json.loads(made.first.stdout)["arms"]["seed"]["value"]


@pytest.mark.parametrize(
    ("model", "changes", "rule"),
    [
        ("base", {}, "TRS-1"),
        ("tuned", {"--task": "token-classification"}, "TRS-1"),
        ("tuned", {"--ratio": 9000}, "TRS-2"),
    ],
)
@pytest.mark.spec("TRS-1", "TRS-2")
def test_what_cannot_work_is_refused_before_the_first_step(
    publisher, monkeypatch, capsys, model, changes, rule
):
    done = publisher.here(
        monkeypatch, capsys, "extract", *words(model, **{"-o": "e.seed", **changes})
    )
    assert done.status == 1
    assert f"[{rule}, " in done.stderr
    assert not (publisher.folder / "e.seed").exists()
