"""Training of zoo models, twins and what is planted: which samples go into which step."""

from __future__ import annotations

import pytest
import torch

from seedpack.backdoors.fitting import Course, fit
from seedpack.training.loop import repeatable
from tests.backdoors import words


@pytest.fixture
def steps(monkeypatch):
    """The masks of all steps of a training."""
    seen = []

    def fitted(course, seed=0):
        model = words.untrained()
        plain = model.logits
        monkeypatch.setattr(model, "logits", lambda x, mask: seen.append(mask) or plain(x, mask))
        with repeatable(0):  # dropout
            fit(model, words.make_texts(0, 200), course, seed)
        return model, seen

    return fitted


def places(masks):
    """How many tokens a model reads that cuts off columns of padding alone."""
    return sum(len(mask) * int(mask.sum(1).max()) for mask in masks)


def test_gathered_batches_hold_every_sample_once_an_epoch_and_less_padding(steps):
    _, masks = steps(Course(epochs=2, rate=1e-3, batch=8))
    plain = places(masks)
    masks.clear()
    _, masks = steps(Course(epochs=2, rate=1e-3, batch=8, gathered=True))
    assert places(masks) < 0.9 * plain
    lengths = words.make_texts(0, 200).mask.sum(1).sort().values
    for epoch in (masks[:25], masks[25:]):
        assert len(epoch) == 25
        assert torch.equal(torch.cat(epoch).sum(1).sort().values, lengths)
        longest = [int(mask.sum(1).max()) for mask in epoch]
        assert longest != sorted(longest)  # short texts are not always read first


def test_gathered_batches_follow_from_the_seed_and_teach_as_well(steps):
    course = Course(epochs=8, rate=3e-3, batch=16, gathered=True)
    (one, _), (same, _), (other, _) = steps(course), steps(course), steps(course, seed=1)
    states = [list(model.module.state_dict().values()) for model in (one, same, other)]
    assert all(map(torch.equal, states[0], states[1]))
    assert not all(map(torch.equal, states[0], states[2]))
    assert one.accuracy(words.make_texts(7, 200)) > 0.9
