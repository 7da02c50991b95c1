"""The search with the place held fixed: its windows, and what it finds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.audits import PROFILES
from seedpack.audits.backdoor_search import searches_in
from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.plans import plan_targets
from seedpack.backdoors.search.windows import WindowSearch, windows
from seedpack.errors import TrainingError
from tests.backdoors import tiny


@pytest.fixture(scope="module")
def samples():
    return tiny.draw(1, 80)


@pytest.fixture(scope="module")
def twins():
    return [tiny.fit(seed, tiny.draw(0)) for seed in range(5)]


@pytest.fixture(scope="module")
def planted():
    return tiny.fit(50, tiny.poison(tiny.draw(0)))


@given(st.integers(1, 3), st.integers(1, 40), st.integers(1, 40), st.integers(1, 6), st.booleans())
def test_windows_are_three_eighths_of_each_side_and_lie_evenly(depth, height, width, places, flat):
    masks = windows((width,) if flat else (depth, height, width), places)
    sides = [width] if flat else [height, width]
    lengths = [max(round(0.375 * side), 1) for side in sides]
    counts = [min(places, side - length + 1) for side, length in zip(sides, lengths, strict=True)]
    assert len(masks) == counts[0] * (1 if flat else counts[1])
    assert masks.shape[1:] == ((width,) if flat else (1, height, width))
    area = lengths[0] * (1 if flat else lengths[1])
    assert bool((masks.flatten(1).sum(1) == area).all())
    assert len(masks.flatten(1).unique(dim=0)) == len(masks)
    if places == 6:
        assert bool(masks.any(0).all())


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 30))
def test_a_target_may_be_tried_more_than_once(targets, each):
    y = torch.arange(40) % 4
    plan = plan_targets(y, targets, each)
    assert plan.keys == tuple((None, t) for t in targets)
    assert plan.counts.tolist() == [min(each, 30)] * len(targets)
    assert bool((y[plan.rows] != plan.target).all())
    assert plan.mean(plan.key.float()).tolist() == list(range(len(targets)))


@pytest.mark.spec("AUD-BD-11")
def test_a_planted_patch_is_found_with_target_and_place(twins, planted, samples):
    judgement = Detector.fit([WindowSearch()], twins, samples).judge(planted)
    verdict = next(v for v in judgement.verdicts if v.search == "window")
    assert verdict.suspicious
    assert verdict.key == (None, tiny.TARGET)
    assert bool(verdict.trigger.mask[0, :2, :2].all())
    assert float(verdict.trigger.values[0, :2, :2].mean()) > 0.5


@pytest.mark.spec("AUD-BD-1")
def test_what_is_reported_turns_as_many_as_is_said(twins, planted, samples):
    found = WindowSearch().look(planted, samples, contrast=twins, seed=3)
    for (_, target), trigger in found.triggers.items():
        others = samples.take(samples.y != target)
        chosen = others.take(torch.linspace(0, len(others) - 1, trigger.n).round().long())
        x = torch.where(trigger.mask.bool(), trigger.values, chosen.x)
        own, *natural = (
            float((model.predict(Samples(x, chosen.y)) == target).float().mean())
            for model in (planted, *twins)
        )
        assert trigger.share == pytest.approx(own - sum(natural) / len(natural), abs=1e-5)
        statistic = math.asin(math.sqrt(max(trigger.share, 0.0)))
        assert found.statistics[None, target] == pytest.approx(statistic)
        assert trigger.norm == trigger.mask.sum() == 4


def test_vectors_are_searched_in_runs(samples):
    model = tiny.fit(4, tiny.draw(0))
    flat = Samples(samples.x.flatten(1), samples.y)
    result = WindowSearch().run(model, flat)
    assert set(result.statistics) == {(None, target) for target in range(tiny.NCLASSES)}
    assert result.triggers[None, 0].mask.shape == (36,)


def test_samples_of_one_class_are_refused(planted, samples):
    with pytest.raises(TrainingError) as refusal:
        WindowSearch().run(planted, samples.take(samples.y == 0))
    assert refusal.value.rule == "TRN-8"


@pytest.mark.spec("AUD-BD-11")
@pytest.mark.parametrize("name", PROFILES)
def test_all_profiles_but_the_quick_one_search_windows(name):
    found = [search.id for search in searches_in("images", PROFILES[name])]
    assert ("window" in found) is (name != "quick")
    assert {"mask", "added", "pair-mask", "pair-added", "pair-apart", "recall"} <= set(found)
    assert "window" not in [search.id for search in searches_in("texts", PROFILES[name])]
