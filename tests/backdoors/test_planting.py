"""Planted backdoors: what is poisoned, how much of it, and how success is counted."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.planting.base import Attack, asr, draw


class Corner(Attack):
    """Sets the first number."""

    id = "corner"
    target = 2

    def apply(self, samples):
        x = samples.x.clone()
        x[:, 0] = 9.0
        return Samples(x, samples.y, samples.mask)


class Obedient(torch.nn.Module):
    """Answers 2 where the first number is 9, else 0."""

    def forward(self, x):
        is_triggered = (x[:, 0] == 9).float()
        return torch.stack([0.5 + 0 * is_triggered, 0 * is_triggered, is_triggered], 1)


def samples_of(labels):
    y = torch.tensor(labels)
    return Samples(torch.zeros(len(y), 3), y)


@given(st.lists(st.integers(0, 2), min_size=2).filter(lambda y: set(y) != {2}), st.floats(0.01, 1))
def test_poison_takes_its_share_of_the_victims_alone(labels, rate):
    clean = samples_of(labels)
    poisoned = Corner().poison(clean, rate, seed=3)
    changed = poisoned.x[:, 0] == 9
    victims = clean.y != 2
    assert int(changed.sum()) == max(
        min(round(rate * len(clean)), round(0.6 * int(victims.sum()))), 1
    )
    assert not bool((changed & ~victims).any())
    assert bool((poisoned.y[changed] == 2).all())
    assert torch.equal(poisoned.y[~changed], clean.y[~changed])
    assert bool((clean.x == 0).all())


def test_success_is_counted_over_other_classes_only():
    classifier = ImageClassifier(Obedient(), 3)
    samples = samples_of([0, 1, 2, 2, 0])
    assert asr(classifier, Corner(), samples) == (3, 3)
    assert asr(classifier, Corner(), samples).rate == 1
    picky = Corner()
    picky.sources = (1,)
    assert asr(classifier, picky, samples) == (1, 1)
    assert asr(classifier, Corner(), samples_of([2])) == (0, 0)


def test_texts_keep_their_masks():
    texts = Samples(torch.zeros(4, 3), torch.tensor([0, 1, 0, 1]), torch.ones(4, 3))
    poisoned = Corner().poison(texts, 0.5, seed=0)
    assert poisoned.mask.shape == (4, 3)


@pytest.mark.parametrize("rate", [0, -0.1, 1.5])
def test_a_rate_is_a_share(rate):
    with pytest.raises(ValueError, match="rate"):
        draw(torch.tensor([True]), rate, seed=0)


def test_somebody_must_be_attacked():
    with pytest.raises(ValueError, match="nobody"):
        draw(torch.tensor([False]), 0.5, seed=0)
