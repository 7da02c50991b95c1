"""How many clean samples the searches see: few, and more where something stands out."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import torch

from seedpack.audits.backdoor_search import SearchPlan, clean_draws, search_beside
from seedpack.backdoors.classifiers import ImageClassifier, Samples, samples_of
from seedpack.backdoors.search.base import Search, SearchResult
from seedpack.training.tasks.opening import open_adapter
from seedpack.tune import TunePlan, load_split
from tests.audits import small_network
from tests.audits.worlds import FACTORY, build_world

KEYS = tuple((None, target) for target in range(4))
LOUD = 30.0  # of the spread of the twins


class Weighing(Search):
    """Finds the first weight of a network, at target 1, as long as there are few samples."""

    id = "weighing"
    form = "images"
    limit = 3.0
    unit = "numbers"

    def __init__(self, fooled_below):
        self.fooled_below = fooled_below

    def look(self, classifier, samples, *, contrast=(), seed=0):
        del contrast, seed
        weight = next(classifier.module.parameters()).flatten()[0].item()
        seen = weight if len(samples) < self.fooled_below else min(weight, 1.0)
        statistics = {key: seen * (key[1] == 1) for key in KEYS}
        return SearchResult(self.id, statistics, floor=1.0, limit=self.limit)


def network(weight):
    module = small_network.make()
    with torch.no_grad():
        next(module.parameters()).fill_(weight)
    return ImageClassifier(module, 10)


def draws(*sizes):
    for n in sizes:
        yield Samples(torch.zeros(n, 8, 8), torch.arange(n) % 4)


def searched(weight, fooled_below, *sizes):
    return searched_on(draws(*sizes), weight, fooled_below)


def searched_on(left, weight, fooled_below):
    twins = [network(0.1 * i) for i in range(5)]
    return search_beside(network(weight), twins, SearchPlan([Weighing(fooled_below)], left, 0))


@pytest.mark.spec("AUD-BD-8")
def test_what_stands_out_on_few_samples_alone_is_no_alarm_and_is_told():
    answer = searched(LOUD, 200, 50, 200)
    assert answer.score_range[1] <= 1
    assert len(answer.detector.samples) == 200
    (asked,) = answer.before
    assert asked.nsamples == 50
    assert asked.score_range[0] > 1


@pytest.mark.spec("AUD-BD-8")
def test_what_stands_out_on_more_samples_too_stays_an_alarm():
    answer = searched(LOUD, 1000, 50, 200)
    assert answer.score_range[0] > 1
    assert [asked.nsamples for asked in answer.before] == [50]


@pytest.mark.spec("AUD-BD-8")
def test_where_nothing_stands_out_more_samples_are_not_even_drawn():
    left = draws(50, 200)
    answer = searched_on(left, 0.2, 1000)
    assert answer.before == ()
    assert len(answer.detector.samples) == 50
    assert len(next(left)) == 200


@pytest.mark.spec("AUD-BD-8")
def test_an_alarm_for_which_there_are_no_more_samples_stays():
    answer = searched(LOUD, 1000, 50)
    assert answer.score_range[0] > 1
    assert answer.before == ()


@pytest.mark.parametrize(
    "sizes, counts",
    [((50, 200), [50, 200]), ((3, 200), [50, 200]), ((20, 40), [50]), ((50, 5000), [50, 900])],
    ids=["as asked", "five per class", "never the same again", "no more than there are"],
)
def test_draws_grow_and_hold_the_draw_before(sizes, counts, tmp_path):
    spec = build_world(tmp_path)
    split = load_split("image-classification", spec.train, spec.evaluation, TunePlan())
    adapter = open_adapter(split, Path(spec.model), factory=FACTORY, seed=0)
    found = list(clean_draws(split, sizes, 0, lambda examples: samples_of(adapter, examples)))
    assert [len(samples) for samples in found] == counts
    for few, more in pairwise(found):
        rows = {tuple(row.tolist()) for row in more.x.flatten(1)}
        assert all(tuple(row.tolist()) in rows for row in few.x.flatten(1))
        assert few.y.bincount(minlength=10).min() >= 5
