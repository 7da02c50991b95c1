"""Backdoors that the audit plants itself: they work, and the twin stays as it was."""

from __future__ import annotations

import copy

import pytest
import torch

from seedpack.audits.controls import count_controls, plant_controls
from seedpack.backdoors import classifiers
from seedpack.backdoors.classifiers import Samples
from tests.backdoors import tiny


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
    controls = list(plant_controls(twin, train, evaluation, 1, 0))
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
