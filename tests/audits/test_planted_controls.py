"""Backdoors that the audit plants itself: they work, and the twin stays as it was."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch

from seedpack.audits import controls
from seedpack.audits.controls import count_controls, plant_control
from seedpack.backdoors import classifiers, fitting
from seedpack.backdoors.classifiers import Samples
from tests.backdoors import tiny, words


def planted_in(twin, train, evaluation):
    """One backdoor of each kind, those that took."""
    numbers = range(count_controls(twin, train, 1))
    planted = (plant_control(twin, train, evaluation, 1, number, 0) for number in numbers)
    return [control for control in planted if control is not None]


@pytest.mark.parametrize(
    "shape, kinds",
    [((1, 6, 6), {"patch", "blended", "source-specific"}), ((1, 1, 36), {"blended"})],
    ids=["images", "vectors"],
)
def test_each_control_works_and_the_twin_is_left_alone(shape, kinds):
    data = tiny.draw(0)
    twin = tiny.fit(0, data)
    before = copy.deepcopy(twin.module.state_dict())
    train = Samples(data.x.reshape(-1, *shape), data.y)
    test = tiny.draw(1)
    evaluation = Samples(test.x.reshape(-1, *shape), test.y)
    controls = planted_in(twin, train, evaluation)
    assert controls
    assert {control.attack.id for control in controls} <= kinds
    for control in controls:
        assert control.hits.rate >= 0.5
        assert control.hits.rate >= control.before.rate + 0.25
        assert control.classifier.accuracy(evaluation) > 0.8
    after = twin.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_half_as_many_are_planted_where_a_model_is_large(monkeypatch):
    twin, train = tiny.fit(0, tiny.draw(0)), tiny.draw(0)
    counts = [count_controls(twin, train, count) for count in (1, 2, 6)]
    monkeypatch.setattr(classifiers, "_LARGE", 0)
    assert [count_controls(twin, train, count) for count in (1, 2, 6)] == [
        counts[0],
        counts[1] // 2,
        counts[2] // 2,
    ]


@pytest.mark.parametrize("large, share", [(2_000_000, 0.1), (0, 0.05)], ids=["tiny", "encoder"])
def test_an_encoder_is_poisoned_with_half_as_much_and_the_control_says_so(
    large, share, monkeypatch
):
    train = words.make_texts(0, 600)
    found = []

    def fit(classifier, poisoned, course, number):
        is_changed = (poisoned.x != train.x).any(1) | (poisoned.y != train.y)
        found.append(float(is_changed.float().mean()))
        fitting.fit(classifier, poisoned, replace(course, rate=3e-3, epochs=8), number)

    monkeypatch.setattr(classifiers, "_LARGE", large)
    monkeypatch.setattr(controls, "fit", fit)
    planted = planted_in(words.clean_twin(1), train, words.make_texts(9, 200))
    assert planted
    assert found == pytest.approx([share] * len(found))
    assert {control.rate for control in planted} == {share}


def test_a_control_follows_from_its_seed_whatever_was_drawn_before(monkeypatch):
    course = replace(controls._TEXT_COURSE, rate=3e-3, epochs=8)
    monkeypatch.setattr(controls, "_TEXT_COURSE", course)
    train, evaluation = words.make_texts(0, 600), words.make_texts(9, 200)
    planted = []
    for before in range(2):
        torch.manual_seed(before)
        planted.append(plant_control(words.clean_twin(1), train, evaluation, 1, 0, 0))
    one, other = (control.classifier.module.state_dict().values() for control in planted)
    assert all(map(torch.equal, one, other))
