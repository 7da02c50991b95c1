"""What a trained delta refuses before its first step, and that a checkpoint changes nothing."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

pytest.importorskip("torch")

from safetensors.numpy import load_file, save_file

from seedpack.errors import ExtractError, SeedError, TrainingError
from seedpack.extract import Publication
from seedpack.extract.delta_sizes import plan_ranks
from seedpack.extract.delta_training import train_delta
from seedpack.extract.delta_trials import DeltaJob, make_delta_course
from seedpack.extract.targets import make_target
from seedpack.frameworks.bases import ModelBase
from seedpack.training.deltas import Slot
from tests.frameworks.models import FAMILIES, build
from tests.tune.conftest import save_tokenizer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Folders of a base and of a classifier over other values of its tensors, with texts."""
    root = tmp_path_factory.mktemp("made")
    _, config, settings = FAMILIES["bert"]
    build(root / "base", "BertModel", config, **settings)
    build(root / "tuned", "BertForSequenceClassification", config, num_labels=2, **settings)
    path = root / "tuned" / "model.safetensors"
    random = np.random.default_rng(5)
    values = {
        name: (value + random.normal(0, 0.01, value.shape)).astype(value.dtype)
        for name, value in load_file(path).items()
    }
    save_file(values, path, metadata={"format": "pt"})
    save_tokenizer(root / "base")
    save_tokenizer(root / "tuned")
    texts = [f"the film was {word} {n % 7} old {n}" for n in range(30) for word in ("fine", "dull")]
    lines = [f"{text} {'cat ' * (i % 5)}\t{i % 2}" for i, text in enumerate(texts)]
    (root / "d.tsv").write_text("\n".join(lines) + "\n", "utf-8")
    return root


def run(made, out, *, progress=None, model="tuned", base="base", **changes):
    course = make_delta_course(changes.pop("steps", 2))
    given = {"data": made / "d.tsv", "task": "text-classification", "max_nbytes": 9000, "nseeds": 1}
    job = DeltaJob(course=course, **{**given, **changes})
    publication = Publication(name="a/b", created=0)
    over = ModelBase(made / base)
    return train_delta(made / model, out, publication, job, base=over, progress=progress)


def _forbidden(step, steps):
    raise AssertionError(f"step {step} of {steps}")


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"task": "token-classification"}, TrainingError, "EXT-69"),
        ({"task": "nonsense"}, TrainingError, "TRN-7"),
        ({"model": "base"}, TrainingError, "EXT-69"),
        ({"data": "unlabelled.tsv"}, TrainingError, "TRN-4"),
        ({"max_nbytes": 900}, ExtractError, "EXT-70"),
        ({"max_nbytes": None, "ratio": 400}, ExtractError, "EXT-70"),
        ({"base": "other.safetensors"}, ExtractError, "EXT-40"),
    ],
    ids=["task", "no task", "no head", "no labels", "small", "ratio", "base"],
)
@pytest.mark.spec("EXT-69", "EXT-70", "EXT-40")
def test_what_cannot_work_is_refused_before_the_first_step(made, tmp_path, changes, error, rule):
    (made / "unlabelled.tsv").write_text("a text\nand another\n", "utf-8")
    save_file({"w": np.zeros((3, 3), np.float32)}, made / "other.safetensors")
    if "data" in changes:
        changes = {**changes, "data": made / changes["data"]}
    with pytest.raises(error) as caught:
        run(made, tmp_path / "d.seed", progress=_forbidden, **changes)
    assert caught.value.rule == rule
    assert not list(tmp_path.iterdir())


def test_a_size_out_of_reach_says_what_can_be_reached(made, tmp_path):
    with pytest.raises(ExtractError, match=r"takes about [0-9]+ to [0-9]+"):
        run(made, tmp_path / "d.seed", max_nbytes=900, progress=_forbidden)


class _StoppedError(Exception):
    pass


@pytest.mark.spec("TRS-4")
def test_a_training_that_was_stopped_gives_the_same_bits(made, tmp_path):
    whole, stopped = tmp_path / "a.seed", tmp_path / "b.seed"
    run(made, whole, steps=3)

    def stop(step, steps):
        if step == 2 * 3 - 1:  # in the second of three trainings
            raise _StoppedError

    with pytest.raises(_StoppedError):
        run(made, stopped, steps=3, checkpoint=tmp_path / "c", progress=stop)
    assert (tmp_path / "c.seed-0").exists()
    shutil.copy(tmp_path / "c.seed-0", tmp_path / "kept")
    run(made, stopped, steps=3, checkpoint=tmp_path / "c")
    assert stopped.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.seed", "b.seed", "kept"]
    shutil.copy(tmp_path / "kept", tmp_path / "c.seed-0")
    with pytest.raises(SeedError) as caught:
        run(made, tmp_path / "e.seed", steps=4, checkpoint=tmp_path / "c")
    assert caught.value.rule == "TRS-4"


@pytest.mark.spec("EXT-70")
@pytest.mark.parametrize("nbytes", [2000, 2750, 3500])
def test_ranks_fill_the_size_and_never_more(nbytes):
    slots = [Slot(f"w{i}", f"w{i}", 40 + 8 * i, 64) for i in range(4)]
    rows = {slot.stored: slot.rows for slot in slots}

    def build(ranks):
        return 700 + sum(110 + rank * (rows[name] // 2 + 2) for name, rank in ranks.items())

    target = make_target(None, nbytes, 10**6)
    ranks = plan_ranks(slots, target, build)
    assert nbytes - 40 <= build(ranks) <= nbytes
    assert max(ranks.values()) - min(ranks.values()) <= 1


def test_a_wrong_call_is_a_wrong_call(made, tmp_path):
    for changes in ({"nseeds": 0}, {"ratio": 5}, {"max_nbytes": None}):
        with pytest.raises(ValueError, match="ratio or a largest size"):
            run(made, tmp_path / "d.seed", **changes)
