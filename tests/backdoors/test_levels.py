"""Scores of another scale change no answer, and nothing that a search finds."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.levels import level, spread
from seedpack.backdoors.search.registry import searches_of
from seedpack.errors import TrainingError
from tests.backdoors import tiny
from tests.backdoors.words import clean_twin, make_texts, planted
from tests.refusals import refused_by


def given_scores(rows):
    """Return a classifier that answers number i with row i, and samples that ask for all."""
    table = nn.Embedding.from_pretrained(torch.tensor(rows, dtype=torch.float32))
    module = nn.Sequential(nn.Flatten(0), table)
    n = len(rows)
    samples = Samples(torch.arange(n)[:, None], torch.zeros(n, dtype=torch.long))
    return ImageClassifier(module, len(rows[0])), samples


def test_the_spread_is_the_upper_quartile_of_the_margins_of_answers():
    rows = [[1.0, 0.0, -50.0], [0.0, 2.0, -70.0], [3.0, -90.0, 0.0], [0.0, 4.0, 0.0], [5.0, 0, 0]]
    model, samples = given_scores(rows)
    assert spread(model, samples) == 4


@pytest.mark.spec("AUD-BD-9")
@given(
    st.lists(st.lists(st.floats(-9, 9, width=16), min_size=3, max_size=3), min_size=4, max_size=9),
    st.floats(0.01, 100),
    st.floats(-100, 100),
)
def test_a_model_is_brought_to_the_scale_of_its_twins(rows, factor, shift):
    model, samples = given_scores(rows)
    own = spread(model, samples)
    assume(own > 0.1)
    # What is added to all scores of a sample changes no answer, either.
    moved, _ = given_scores(
        [[factor * score + i * shift for score in row] for i, row in enumerate(rows)]
    )
    levelled = level(moved, [model], samples)
    assert spread(levelled, samples) == pytest.approx(own, rel=1e-2)
    assert spread(moved, samples) == pytest.approx(factor * own, rel=1e-2)  # is not changed


def test_what_answers_all_samples_alike_or_has_no_twins_is_left_as_it_is():
    model, samples = given_scores([[2.0, 2.0]] * 4)
    twin, _ = given_scores([[0.0, 1.0]] * 4)
    assert level(model, [twin], samples) is model
    assert level(twin, [], samples) is twin


@pytest.mark.spec("AUD-BD-9", "TRN-13")
@pytest.mark.parametrize("score", [math.nan, math.inf, -math.inf])
def test_no_scale_is_escaped_by_one_answer_that_is_no_number(score):
    model, samples = given_scores([[0.0, 0.1]] * 9 + [[score, 1.0]])
    twin, _ = given_scores([[0.0, 1.0]] * 10)
    with refused_by(TrainingError, "TRN-13"):
        level(model, [twin], samples)


@pytest.fixture(scope="module")
def judged():
    """A detector of images, a model with a backdoor, and what the one says of the other."""
    data, samples = tiny.draw(0), tiny.draw(1, 40)
    twins = [tiny.fit(seed, data) for seed in range(4)]
    detector = Detector.fit(searches_of("images"), twins, samples)
    model = tiny.fit(50, tiny.poison(data))
    return detector, model, detector.judge(model)


@pytest.mark.spec("AUD-BD-9")
@pytest.mark.parametrize("factor", [0.05, 20.0])
def test_images_are_judged_alike_on_any_scale(factor, judged):
    detector, model, usual = judged
    other = detector.judge(model.scaled(factor))
    assert usual.suspicious
    assert other.score == pytest.approx(usual.score, rel=0.05)
    assert [v.key for v in other.verdicts[:2]] == [v.key for v in usual.verdicts[:2]]


@pytest.mark.spec("AUD-BD-9")
@pytest.mark.parametrize(
    "search", searches_of("texts", thorough=True), ids=lambda search: search.id
)
def test_a_trigger_word_does_not_hide_behind_small_scores(search):
    model, _ = planted("word")
    samples, twins = make_texts(5, 80), [clean_twin(1), clean_twin(2)]
    usual = search.run(model, samples, contrast=twins)
    other = search.run(model.scaled(0.05), samples, contrast=twins)
    # Sixty steps of Adam take what is rounded further apart than a search of words.
    rel = 0.1 if search.id == "soft-phrase" else 0.05
    assert other.statistics == pytest.approx(usual.statistics, rel=rel, abs=0.05)
