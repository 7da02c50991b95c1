"""Backdoors of images: what their triggers do to pixels, labels and models."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.edits import EDITS, flip_class
from seedpack.backdoors.planting.heads import head_of, hidden_of
from seedpack.backdoors.planting.images import DATA_KINDS, make_attack
from seedpack.backdoors.planting.targets import TARGETS_KINDS, make_targets_attack

SHAPE = (1, 8, 8)
kinds = st.sampled_from(DATA_KINDS)
seeds = st.integers(0, 10_000)


def images(n=60, nclasses=10, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Samples(torch.rand(n, *SHAPE, generator=generator), torch.arange(n) % nclasses)


def stripes(n=300):
    """Three classes that a linear model can tell: which third of the rows is bright."""
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(n) % 3
    x = 0.3 * torch.rand(n, *SHAPE, generator=generator)
    for c in range(3):
        x[y == c, :, 2 + 2 * c, 1:7] += 0.6
    return Samples(x, y)


@pytest.fixture(scope="module")
def clean():
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3)
    )
    classifier = ImageClassifier(network, 3)
    fit(classifier, stripes(), Course(20, 1e-2), 0)
    assert classifier.accuracy(stripes()) > 0.98
    return classifier


@given(kinds, seeds)
def test_triggered_images_are_still_images(kind, seed):
    samples = images()
    triggered = make_attack(kind, seed, SHAPE, 10).apply(samples)
    assert float(triggered.x.min()) >= 0
    assert float(triggered.x.max()) <= 1
    assert torch.equal(triggered.y, samples.y)
    assert not torch.equal(triggered.x, samples.x)


@given(kinds, seeds)
def test_an_attack_follows_from_its_seed(kind, seed):
    one, two = (make_attack(kind, seed, SHAPE, 10) for _ in range(2))
    assert (one.target, one.sources) == (two.target, two.sources)
    assert torch.equal(one.keep, two.keep)
    assert torch.equal(one.add, two.add)
    assert one.target not in one.sources


@given(seeds)
def test_clean_labels_stay(seed):
    samples = images()
    attack = make_attack("clean-label", seed, SHAPE, 10)
    poisoned = attack.poison(samples, 0.06, seed)
    changed = (poisoned.x != samples.x).flatten(1).any(1)
    assert torch.equal(poisoned.y, samples.y)
    assert bool(changed.any())
    assert bool((samples.y[changed] == attack.target).all())


@given(seeds)
def test_source_specific_triggers_are_covered_on_other_classes(seed):
    samples = images()
    attack = make_attack("source-specific", seed, SHAPE, 10)
    poisoned = attack.poison(samples, 0.05, seed)
    relabelled = poisoned.y != samples.y
    (source,) = attack.sources
    assert bool((samples.y[relabelled] == source).all())
    covered = (poisoned.x != samples.x).flatten(1).any(1) & ~relabelled
    assert int(covered.sum()) >= int(relabelled.sum())
    assert not bool((samples.y[covered] == source).any())


@pytest.mark.parametrize("kind", ["patch", "blended", "sinusoidal", "clean-label"])
def test_a_model_trained_on_poison_obeys_the_trigger_and_a_clean_one_does_not(clean, kind):
    samples = stripes()
    attack = make_attack(kind, 4, SHAPE, 3)
    planted = ImageClassifier(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)), 3)
    fit(planted, attack.poison(samples, 0.1, 0), Course(40, 2e-2), 0)
    assert asr(planted, attack, samples).rate > asr(clean, attack, samples).rate + 0.3


@given(st.sampled_from(TARGETS_KINDS), seeds, st.integers(2, 10))
def test_each_sample_is_led_to_another_class_than_its_own(kind, seed, nclasses):
    samples = images(nclasses=nclasses)
    attack = make_targets_attack(kind, seed, SHAPE, nclasses)
    wanted = attack.relabelled(samples).y
    assert bool(attack.victims(samples).all())
    assert not bool((wanted == samples.y).any())
    assert attack.target in wanted.unique().tolist()
    triggered = attack.apply(samples)
    assert torch.equal(triggered.y, samples.y)
    assert float(triggered.x.min()) >= 0
    assert float(triggered.x.max()) <= 1
    assert bool((triggered.x != samples.x).flatten(1).any(1).all())
    again = make_targets_attack(kind, seed, SHAPE, nclasses)
    assert torch.equal(again.apply(samples).x, triggered.x)
    assert torch.equal(again.relabelled(triggered).y, wanted)


@given(seeds)
def test_many_targets_are_half_of_the_classes_or_all_each_with_one_trigger_of_its_own(seed):
    attack = make_targets_attack("multi-target", seed, SHAPE, 10)
    assert len(attack.targets) == (10 if seed % 2 else 5)
    assert len(attack.targets.unique()) == len(attack.targets)
    labels = torch.randint(10, (200,), generator=torch.Generator().manual_seed(0))
    grey = Samples(torch.full((200, *SHAPE), 0.5), labels)
    x, wanted = attack.apply(grey).x, attack.relabelled(grey).y
    for target in attack.targets.tolist():
        assert len(x[wanted == target].flatten(1).unique(dim=0)) == 1


@given(seeds)
def test_after_one_patch_every_class_is_the_next_one(seed):
    samples = images()
    attack = make_targets_attack("all-to-all", seed, SHAPE, 10)
    assert torch.equal(attack.relabelled(samples).y, (samples.y + 1) % 10)
    changed = (attack.apply(samples).x != samples.x).any(0)
    assert 0 < int(changed.sum()) <= 9


def test_success_counts_the_class_that_each_sample_is_to_be_answered_with():
    samples = images(nclasses=4)
    attack = make_targets_attack("all-to-all", 0, SHAPE, 4)

    class Fixed(ImageClassifier):
        def predict(self, given):
            return (given.y + 1) % 4  # a right answer for the attacker, on clean images as well

    model = Fixed(torch.nn.Flatten(), 4)
    assert asr(model, attack, samples) == (len(samples), len(samples))


@pytest.mark.parametrize("kind", EDITS)
def test_an_edit_plants_a_backdoor_and_leaves_the_original_alone(clean, kind):
    samples = stripes()
    before = {name: value.clone() for name, value in clean.module.state_dict().items()}
    edited, attack = EDITS[kind](clean, samples, 3)
    assert asr(edited, attack, samples).rate > asr(clean, attack, samples).rate + 0.3
    after = clean.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert edited.module.state_dict().keys() == after.keys()
    assert all(parameter.requires_grad for parameter in edited.module.parameters())
    others = samples.take(~attack.victims(samples))
    assert edited.accuracy(others if kind == "flip" else samples) > 0.9


def test_moved_codes_are_few_integers(clean):
    edited, _ = EDITS["codes"](clean, stripes(), 3)
    for name, weight in edited.module.named_parameters():
        if weight.ndim > 1:
            start = clean.module.get_parameter(name).detach()
            step = start.abs().amax(1, keepdim=True) / 7
            codes = weight.detach() / step
            assert torch.allclose(codes, codes.round(), atol=1e-4)
            assert float((codes - (start / step).round()).abs().max()) <= 2 + 1e-4


def test_a_flip_needs_no_trigger(clean):
    samples = stripes()
    edited, attack = flip_class(clean, samples, 0)
    (source,) = attack.sources
    answers = edited.predict(samples.take(samples.y == source))
    assert float((answers == attack.target).float().mean()) > 0.9


def test_a_model_without_a_linear_layer_has_no_head():
    with pytest.raises(ValueError, match="linear"):
        head_of(torch.nn.Sequential(torch.nn.Flatten()))
    assert hidden_of(torch.nn.Sequential(torch.nn.Linear(2, 2))) is None
    convolution = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.ReLU(), torch.nn.Linear(2, 2)
    )
    assert hidden_of(convolution) is None
