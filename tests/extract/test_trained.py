"""Seeds that are trained: from model and data to a file, with figures beside their controls."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

import dataclasses

import numpy as np
import torch
from torch import nn

from seedpack.assemble import assemble
from seedpack.errors import AssemblyError, ExtractError, StoreError, TrainingError
from seedpack.extract import Publication
from seedpack.extract.trained import extract_trained
from seedpack.extract.trials import TrainingJob
from seedpack.frameworks.factories import build_module
from seedpack.frameworks.opening import open_model
from seedpack.seed.opening import open_unverified
from seedpack.training.numbers.distilling import Course, distil


def make_module(width=1.0):
    hidden = max(round(80 * width), 1)
    return nn.Sequential(nn.Linear(12, hidden), nn.ReLU(), nn.Linear(hidden, 3))


def make_fixed():
    return make_module()


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """Return (model, job) of a small network that tells three clouds of points apart."""
    folder = tmp_path_factory.mktemp("trained")
    random = np.random.default_rng(0)
    labels = random.integers(3, size=600)
    inputs = (random.normal(size=(3, 12))[labels] + 0.7 * random.normal(size=(600, 12))).astype(
        "f4"
    )
    np.savez(folder / "train.npz", x=inputs[:400], y=labels[:400])
    np.savez(folder / "test.npz", x=inputs[400:], y=labels[400:])
    torch.manual_seed(0)
    module = make_module()
    course = Course(steps=100, rate=0.01)
    distil(module, None, torch.tensor(inputs[:400]), torch.tensor(labels[:400]), course)
    torch.save(module.state_dict(), folder / "m.pt")
    return folder / "m.pt", TrainingJob(
        data=folder / "train.npz",
        evaluation=folder / "test.npz",
        task="generic",
        ratio=40,
        factory=make_module,
        course=Course(steps=60),
        nseeds=2,
    )


def run(job, tmp_path, **changes):
    model, given = job
    out = tmp_path / "s.seed"
    publication = Publication(name="a/b", created=0, overwrite=True)
    return extract_trained(model, out, publication, dataclasses.replace(given, **changes)), out


@pytest.mark.spec("TRS-2", "TRS-3", "TRS-5")
def test_the_report_is_of_what_a_consumer_assembles(job, tmp_path):
    report, out = run(job, tmp_path)
    arms = {arm.name: arm for arm in report.arms}
    assert list(arms) == ["original", "seed", "same-bytes student", "random"]
    assert all(len(arm.scores) == 2 and arm.scores[0].n == 200 for arm in report.arms)
    assert all(arm.interval.low <= arm.value <= arm.interval.high for arm in report.arms)
    assert report.chance == pytest.approx(1 / 3)
    assert arms["seed"].nbytes == report.weights_nbytes
    assert arms["same-bytes student"].nbytes <= report.weights_nbytes
    assert 40 <= report.ratio <= 40 * 1.1
    assert report.written.ratio < report.ratio
    assert arms["seed"].value > arms["random"].value + 0.2

    with open_unverified(out) as seed:
        assert {layer.codec for layer in seed.manifest.layers} == {"hash"}
        assemble(seed, tmp_path / "w.safetensors", insecure=True)
    module = build_module(make_fixed, open_model(tmp_path / "w.safetensors"))
    with np.load(job[1].evaluation) as data, torch.no_grad():
        right = module(torch.tensor(data["x"])).argmax(1).numpy() == data["y"]
    assert right.mean() == arms["seed"].scores[0].value


def test_another_codec_can_make_the_weights(job, tmp_path):
    report, out = run(job, tmp_path, nseeds=1, codec="fastfood")
    arms = {arm.name: arm for arm in report.arms}
    assert arms["seed"].value > arms["random"].value + 0.2
    with open_unverified(out) as seed:
        assert {layer.codec for layer in seed.manifest.layers} == {"fastfood"}
        assert seed.manifest.recipe["training"] == "numbers of codec fastfood, distilled"


@pytest.mark.spec("TRS-4")
def test_checkpoints_change_nothing_and_are_removed(job, tmp_path):
    _, out = run(job, tmp_path, nseeds=1)
    first = out.read_bytes()
    run(job, tmp_path, nseeds=1, checkpoint=tmp_path / "c")
    assert out.read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["s.seed"]


@pytest.mark.spec("TRS-5")
def test_without_a_width_the_report_says_why_there_is_no_student(job, tmp_path):
    report, _ = run(job, tmp_path, nseeds=1, factory=make_fixed, course=Course(steps=2))
    assert report.against_student is None
    assert report.note == "the factory takes no width"
    assert [arm.name for arm in report.arms] == ["original", "seed", "random"]


@pytest.mark.spec("TRS-5")
def test_without_an_evaluation_a_fifth_of_the_data_is_held_out(job, tmp_path):
    report, _ = run(job, tmp_path, nseeds=1, evaluation=None, course=Course(steps=2))
    assert report.arms[0].scores[0].n == 80


def wider():
    return nn.Sequential(nn.Linear(12, 90), nn.ReLU(), nn.Linear(90, 3))


@pytest.mark.parametrize(
    ("changes", "error", "rule"),
    [
        ({"task": "language-modeling"}, TrainingError, "TRS-1"),
        ({"task": "nonsense"}, TrainingError, "TRN-7"),
        ({"ratio": 10_000}, ExtractError, "TRS-2"),
        ({"factory": wider}, AssemblyError, "ASM-1"),
        ({"factory": dict}, AssemblyError, "ASM-5"),
    ],
)
@pytest.mark.spec("TRS-1", "TRS-2")
def test_what_cannot_work_is_refused_before_the_first_step(job, tmp_path, changes, error, rule):
    with pytest.raises(error) as caught:
        run(job, tmp_path, **changes)
    assert caught.value.rule == rule
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arrays", "rule"),
    [
        ({"x": np.zeros((200, 5), "f4"), "y": np.arange(200) % 3}, "TRS-1"),
        ({"x": np.eye(200, 12, dtype="f4"), "y": np.arange(200) % 4}, "TRS-1"),
        ({"x": np.eye(40, 12, dtype="f4")}, "TRN-4"),
    ],
    ids=["other inputs", "a class more", "no labels"],
)
@pytest.mark.spec("TRS-1")
def test_data_that_do_not_fit_are_refused(job, tmp_path, arrays, rule):
    path = tmp_path / "d.npz"
    arrays["x"] = arrays["x"] + np.arange(len(arrays["x"]), dtype="f4")[:, None]
    np.savez(path, **arrays)
    with pytest.raises(TrainingError) as caught:
        run(job, tmp_path, data=path, evaluation=None)
    assert caught.value.rule == rule


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = nn.Linear(12, 12)
        self.b = nn.Linear(12, 12)
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.b(self.a(x))[:, :3]


@pytest.mark.spec("TRS-1")
def test_tied_parameters_are_refused(job, tmp_path):
    torch.save(Tied().state_dict(), tmp_path / "t.pt")
    with pytest.raises(TrainingError, match="tied") as caught:
        run((tmp_path / "t.pt", job[1]), tmp_path, factory=Tied)
    assert caught.value.rule == "TRS-1"


def test_an_output_that_cannot_be_written_is_refused_before_the_first_step(job, tmp_path):
    (tmp_path / "s.seed").write_bytes(b"there")
    publication = Publication(name="a/b")
    with pytest.raises(StoreError) as caught:
        extract_trained(job[0], tmp_path / "s.seed", publication, job[1], progress=_forbidden)
    assert caught.value.rule.startswith("OUT-")
    wrong = Publication(name="no name")
    with pytest.raises(ExtractError, match="name"):
        extract_trained(job[0], tmp_path / "t.seed", wrong, job[1], progress=_forbidden)


def _forbidden(step, steps):
    raise AssertionError(f"step {step} of {steps}")


def test_no_training_at_all_is_a_wrong_call(job):
    with pytest.raises(ValueError, match="0 trainings"):
        dataclasses.replace(job[1], nseeds=0)
    with pytest.raises(ValueError, match="codec ecq"):
        dataclasses.replace(job[1], codec="ecq")
