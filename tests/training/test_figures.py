"""Metrics, intervals and retention, against scikit-learn, scipy-free formulas and simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, r2_score

from seedpack.training.answers import entities, normalise_answer, score_answers, score_tags
from seedpack.training.examples import Answer, Question
from seedpack.training.scores import Score, score_classes, score_language, score_numbers
from seedpack.training.statistics import (
    compare,
    mcnemar,
    mean_interval,
    retention,
    score_interval,
    wilson_interval,
)

pairs = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60)


def hits(values, chance=0.5):
    stats = np.stack([np.asarray(values, float), np.ones(len(values))], axis=1)
    return Score("accuracy", stats, chance, chance)


@given(pairs)
def test_accuracy_and_macro_f1_are_those_of_scikit_learn(pairs):
    predicted, targets = zip(*pairs, strict=True)
    accuracy, macro = score_classes(predicted, targets, nclasses=4, majority=1)
    assert accuracy.value == pytest.approx(accuracy_score(targets, predicted))
    there = sorted(set(predicted) | set(targets))
    expected = f1_score(targets, predicted, average="macro", labels=there, zero_division=0)
    assert macro.value == pytest.approx(expected)
    assert accuracy.majority == pytest.approx(accuracy_score(targets, [1] * len(targets)))
    assert accuracy.chance == 0.25


def test_chance_of_macro_f1_is_what_uniform_guesses_reach():
    random = np.random.default_rng(0)
    targets = random.choice(3, 50_000, p=[0.7, 0.2, 0.1])
    guesses = random.integers(3, size=50_000)
    _, macro = score_classes(guesses, targets, nclasses=3, majority=0)
    assert macro.value == pytest.approx(macro.chance, abs=0.005)


@given(st.lists(st.tuples(st.floats(-9, 9), st.floats(-9, 9)), min_size=3, max_size=30))
def test_r2_is_that_of_scikit_learn(pairs):
    predicted, targets = (np.asarray(values) for values in zip(*pairs, strict=True))
    if np.var(targets) < 1e-3:
        return
    (score,) = score_numbers(predicted, targets, mean=float(targets.mean()))
    assert score.value == pytest.approx(r2_score(targets, predicted), rel=1e-6, abs=1e-9)
    assert score.majority == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("tags", "found"),
    [
        ("O B-PER I-PER O", {("PER", 1, 3)}),
        ("B-PER B-PER", {("PER", 0, 1), ("PER", 1, 2)}),
        ("B-PER I-LOC", {("PER", 0, 1), ("LOC", 1, 2)}),
        ("I-PER I-PER O I-PER", {("PER", 0, 2), ("PER", 3, 4)}),
        ("S-ORG B-LOC E-LOC I-LOC", {("ORG", 0, 1), ("LOC", 1, 3), ("LOC", 3, 4)}),
        ("O O", set()),
        ("", set()),
    ],
)
def test_entities_are_whole_spans(tags, found):
    assert entities(tags.split()) == found


def test_entity_f1_counts_spans_and_types():
    targets = [["B-PER", "I-PER", "O"], ["B-LOC", "O", "B-ORG"]]
    predicted = [["B-PER", "I-PER", "O"], ["B-ORG", "O", "B-ORG"]]
    labels = ["B-LOC", "B-ORG", "B-PER", "I-PER", "O"]
    entity, token = score_tags(predicted, targets, labels=labels, majority="O")
    assert entity.value == pytest.approx(2 * 2 / (2 * 2 + 1 + 1))
    assert token.value == pytest.approx(5 / 6)
    assert (entity.majority, token.majority) == (0, pytest.approx(2 / 6))
    assert 0 < entity.chance < 0.4


def test_answers_are_compared_after_normalisation_with_the_best_accepted():
    assert normalise_answer(" The Cat, a  dog!") == "cat dog"
    questions = [Question("q", "the cat sat on a mat")] * 2
    targets = [(Answer(0, "the cat"), Answer(4, "cat sat")), (Answer(14, "a mat"),)]
    f1, exact = score_answers(["Cat sat on", "dog"], questions, targets, training=targets)
    assert f1.value == pytest.approx((2 * 2 / 5) / 2)
    assert exact.value == 0
    assert f1.majority == pytest.approx(0.5)
    assert 0 <= f1.chance < 1


def test_perplexity_is_the_exponential_of_the_mean_loss():
    stats = [np.array(values, float) for values in ([2.0, 4.0], [1, 0], [2, 4])]
    accuracy, perplexity = score_language(*stats, vocabulary=50, unigram=(0.1, 3.0))
    assert perplexity.value == pytest.approx(math.e)
    assert (perplexity.chance, perplexity.majority) == (50, pytest.approx(math.exp(3)))
    assert (accuracy.value, accuracy.chance) == (pytest.approx(1 / 6), 0.02)
    assert retention([perplexity], [perplexity]).value is None


def test_wilson_interval_is_the_published_one():
    # Newcombe, Statistics in Medicine 17 (1998), 857-872, table I.
    assert wilson_interval(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson_interval(0, 20) == pytest.approx((0, 0.1611), abs=5e-5)


def test_mean_interval_is_students():
    assert mean_interval([1, 2, 3]) == pytest.approx((2 - 4.303 / 3**0.5, 2 + 4.303 / 3**0.5))
    assert mean_interval([1]) == (-math.inf, math.inf)


@given(st.integers(0, 30), st.integers(0, 30))
def test_mcnemar_is_the_sign_test_of_disagreements(only_a, only_b):
    first = np.array([True] * only_a + [False] * only_b + [True], bool)
    second = np.array([False] * only_a + [True] * only_b + [True], bool)
    n, k = only_a + only_b, min(only_a, only_b)
    exact = 2 * sum(math.comb(n, i) for i in range(k + 1)) / 2**n if n else 1
    assert mcnemar(first, second) == pytest.approx(min(1, exact))


def test_bootstrap_interval_is_near_wilson_where_both_hold():
    values = np.random.default_rng(1).random(900) < 0.8
    one = score_interval([hits(values)])
    assert one == wilson_interval(values.sum(), 900)
    two = score_interval([hits(values), hits(values)])
    assert two == pytest.approx(one, abs=0.01)


def test_paired_comparison_sees_what_both_have_in_common():
    random = np.random.default_rng(2)
    base = random.random(600) < 0.5
    better = base | (random.random(600) < 0.05)
    found = compare([hits(better)], [hits(base)])
    assert found.difference == pytest.approx(better.mean() - base.mean())
    assert found.interval.low > 0
    assert found.p < 0.01
    assert compare([hits(base)], [hits(base)]).p == 1


@pytest.mark.spec("TRN-16")
def test_TRN_16_retention_is_undefined_where_the_original_is_not_above_chance():
    coin = np.arange(100) % 2
    found = retention([hits(np.ones(100))], [hits(coin)])
    assert (found.value, found.interval) == (None, None)
    assert found.reason == "the original is not above chance"


@pytest.mark.spec("TRN-16")
def test_TRN_16_retention_is_the_share_above_chance_with_its_interval():
    original = np.arange(500) % 5 > 0  # 80 %
    assembled = np.arange(500) % 4 > 0  # 75 %
    found = retention([hits(assembled)] * 3, [hits(original)] * 3)
    assert found.value == pytest.approx(0.25 / 0.30)
    assert found.interval.low < found.value < found.interval.high
    whole = retention([hits(original)] * 2, [hits(original)] * 2)
    assert (whole.value, whole.interval) == (1, pytest.approx((1, 1)))
