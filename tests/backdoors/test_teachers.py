"""What a student learns from: teachers that lean to no class, and texts that nobody labelled."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.classifiers import UNLABELLED, Samples
from seedpack.backdoors.defence import relearning, teaching
from seedpack.backdoors.defence.relearning import LabelsAlone, ReferenceRelearning
from seedpack.backdoors.defence.teachers import Balanced
from seedpack.backdoors.defence.teaching import Plan
from seedpack.backdoors.defence.views import splice
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.texts import make_text_attack
from seedpack.backdoors.texts import frame_of
from tests.backdoors.words import USABLE, clean_twin, make_texts, trained, untrained


class Told:
    """A classifier whose scores are given."""

    def __init__(self, scores):
        self.nclasses, self._scores = scores.shape[1], scores

    def scores(self, samples):
        del samples
        return self._scores


scores = st.integers(2, 4).flatmap(
    lambda nclasses: st.lists(
        st.lists(st.floats(-8, 8, width=32), min_size=nclasses, max_size=nclasses),
        min_size=3,
        max_size=12,
    )
)


@given(scores, st.floats(-6, 6, width=32))
def test_a_balanced_teacher_gives_each_class_as_often_as_the_labels_do(rows, lean):
    told = torch.tensor(rows)
    n, nclasses = told.shape
    y = torch.arange(n) % nclasses
    samples = Samples(torch.zeros(n, 1), y)
    balanced = Balanced.on(Told(told), samples).scores(samples)
    counts = torch.bincount(y, minlength=nclasses).clamp(min=0.5)
    assert torch.allclose(balanced.softmax(1).mean(0), counts / counts.sum(), atol=0.02)
    # However far the model leans, what it says beside that stays the same.
    leaning = told + lean * torch.eye(nclasses)[0]
    again = Balanced.on(Told(leaning), samples).scores(samples)
    assert torch.allclose(again.softmax(1), balanced.softmax(1), atol=0.05)


@pytest.mark.parametrize("scale", [1e2, 1e6, 1e30])
def test_a_teacher_that_never_gives_a_class_stays_a_number(scale):
    told = scale * torch.tensor([[1.0, 0.0], [1.0, -1.0], [2.0, 1.0]])
    samples = Samples(torch.zeros(3, 1), torch.tensor([0, 1, 0]))
    balanced = Balanced.on(Told(told), samples)
    assert balanced.offset.isfinite().all()
    assert balanced.scores(samples).softmax(1).isfinite().all()


def test_a_balanced_teacher_keeps_what_tells_samples_apart_and_its_model_as_it_was():
    samples, twin = make_texts(5, 60), clean_twin(1)
    before = twin.scores(samples)
    balanced = Balanced.on(twin, samples)
    moved = balanced.scores(samples) - before
    assert torch.allclose(moved, moved[:1].expand_as(moved), atol=1e-5)
    assert torch.equal(twin.scores(samples), before)


@given(st.integers(0, 500), st.integers(2, 30), st.sampled_from([0, 1]))
def test_spliced_texts_begin_as_one_and_end_as_another(seed, count, tail):
    samples = make_texts(seed, count, tail)
    generator = torch.Generator().manual_seed(seed)
    found = splice(untrained(), samples, generator)
    frame = frame_of(samples, USABLE)
    lengths = samples.mask.sum(1).tolist()
    bodies = [
        row[frame.head : length - frame.tail].tolist()
        for row, length in zip(samples.x, lengths, strict=True)
    ]
    assert found.x.shape == samples.x.shape
    for i in (found.y == UNLABELLED).nonzero()[:, 0].tolist():
        length = int(found.mask[i].sum())
        assert found.mask[i, :length].all()
        row = found.x[i, :length].tolist()
        assert row[: frame.head] == samples.x[i, : frame.head].tolist()
        body = row[frame.head : length - frame.tail]
        assert any(
            body[:cut] == bodies[i][:cut] and other[len(other) - (len(body) - cut) :] == body[cut:]
            for other in bodies
            for cut in range(len(body) + 1)
            if len(body) - cut <= len(other)
        )
    labelled = found.y != UNLABELLED
    assert torch.equal(found.y[labelled], samples.y[labelled])


def test_where_there_is_no_label_the_teacher_alone_is_believed():
    samples = make_texts(5, 4)
    y = torch.tensor([UNLABELLED, 0, 1, UNLABELLED])
    told = torch.tensor([[0.0, 2.0], [2.0, 0.0], [2.0, 0.0], [1.0, 0.0]])
    answers = teaching._answers(Samples(samples.x, y, samples.mask), 2, Plan(trust=0.5), Told(told))
    taught = told.softmax(1)
    assert torch.allclose(answers[[0, 3]], taught[[0, 3]])
    assert torch.allclose(answers[1], (taught[1] + torch.tensor([1.0, 0.0])) / 2)
    assert answers[2].tolist() == [0.0, 1.0]  # it contradicts the label


@pytest.mark.parametrize("are_large", [True, False])
def test_large_models_alone_are_taught_by_spliced_texts_and_a_suspect_that_does_not_lean(
    are_large, monkeypatch
):
    monkeypatch.setattr(teaching, "is_large", lambda _model: are_large)
    for name in ("_PRETRAINED", "_SMALL"):
        plan = Plan(steps=1, pretrained=name == "_PRETRAINED")
        monkeypatch.setattr(relearning, name, plan)
    given = []
    monkeypatch.setattr(
        relearning, "teach", lambda *_args, teacher, views: given.extend([teacher, views[0]])
    )
    suspect, samples = clean_twin(1), make_texts(5, 80)
    ReferenceRelearning().run(suspect, samples, reference=untrained(4))
    teacher, first = given
    assert (teacher is suspect) == (not are_large)
    if are_large:
        mean = teacher.scores(samples).softmax(1).mean(0)
        assert torch.allclose(mean, torch.tensor([0.5, 0.5]), atol=1e-3)
    seen = first(samples, torch.Generator().manual_seed(0))
    assert bool((seen.y == UNLABELLED).any()) == are_large


@pytest.mark.parametrize("defence", [ReferenceRelearning(), LabelsAlone()])
def test_texts_end_half_way_between_what_was_learnt_and_the_reference(defence, monkeypatch):
    def move(student, *_args, **_kwargs):
        for value in student.module.parameters():
            value.data += 1

    monkeypatch.setattr(relearning, "teach", move)
    suspect, reference, samples = clean_twin(1), clean_twin(2), make_texts(5, 80)
    kept = [{k: v.clone() for k, v in m.module.state_dict().items()} for m in (suspect, reference)]
    defended = defence.run(suspect, samples, reference=reference).module
    for name, value in defended.named_parameters():
        assert torch.allclose(value, kept[1][name] + 0.5)
    for model, before in zip((suspect, reference), kept, strict=True):
        assert all(torch.equal(v, before[k]) for k, v in model.module.state_dict().items())


def test_without_a_reference_nothing_is_drawn_back_to_the_suspect(monkeypatch):
    students = []
    monkeypatch.setattr(
        relearning, "teach", lambda student, *_args, **_kwargs: students.append(student)
    )
    defended = ReferenceRelearning().run(clean_twin(1), make_texts(5, 80))
    assert students == [defended]


@pytest.mark.spec("AUD-DEF-2")
def test_a_large_model_relearns_from_a_reference_that_does_not_know_the_task(monkeypatch):
    monkeypatch.setattr(teaching, "is_large", lambda _model: True)
    monkeypatch.setattr(
        relearning, "_PRETRAINED", Plan(steps=150, rate=4e-3, batch=32, pretrained=True)
    )
    train, test, samples = make_texts(0, 600), make_texts(1, 200), make_texts(5, 80)
    attack = make_text_attack("word", 3, train, USABLE, 2)
    planted = trained(attack.poison(train, 0.1, seed=0))
    before = planted.scores(test)
    defended = ReferenceRelearning().run(planted, samples, reference=untrained(4))
    assert asr(planted, attack, test).rate >= 0.9
    assert asr(defended, attack, test).rate <= 0.15
    assert defended.accuracy(test) >= planted.accuracy(test) - 0.05
    assert torch.equal(planted.scores(test), before)
