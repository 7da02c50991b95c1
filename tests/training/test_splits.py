"""What fits together, what is drawn, and what is held out."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import TrainingError
from seedpack.training import Examples, Question, check_split, get_task
from seedpack.training.sampling import draw_samples, hold_out
from tests.refusals import refused_by

TEXTS = get_task("text-classification")


def texts(*pairs, where="data"):
    return Examples("texts", [a for a, _ in pairs], [b for _, b in pairs], where)


def numbered(labels, prefix="t"):
    return texts(*((f"{prefix}{i}", label) for i, label in enumerate(labels)))


EVALUATION = numbered(["0", "1"], "e")


def test_integers_are_ordered_as_integers_and_words_as_words():
    split = check_split(TEXTS, numbered(["10", "9", "-1", "b", "a"]), numbered(["9", "b"], "e"))
    assert split.labels == ("-1", "9", "10", "a", "b")


@pytest.mark.spec("TRN-5")
@pytest.mark.parametrize("task", ["text-classification", "token-classification"])
def test_TRN_5_one_class_only_is_refused(task):
    one = {
        "text-classification": numbered(["1"] * 5),
        "token-classification": Examples("tokens", [("a",), ("b",)], [("O",), ("O",)], "data"),
    }[task]
    with refused_by(TrainingError, "TRN-5"):
        check_split(get_task(task), one, one)


@pytest.mark.spec("TRN-6")
def test_TRN_6_label_that_training_does_not_show_is_refused():
    with refused_by(TrainingError, "TRN-6"):
        check_split(TEXTS, numbered(["0", "1"]), numbered(["0", "2"], "e"))


@pytest.mark.spec("TRN-7")
def test_TRN_7_data_of_another_form_or_shape_are_refused():
    lines = Examples("lines", ["a", "b"], (), "data")
    small = Examples("arrays", np.zeros((2, 3)), ["0", "1"], "data")
    large = Examples("arrays", np.ones((2, 4)), ["0", "1"], "data")
    numbers = Examples("arrays", np.ones((2, 3)), np.ones(2, np.float32), "data")
    for task, train, evaluation in (
        ("text-classification", EVALUATION, lines),
        ("image-classification", small, large),
        ("generic", small, numbers),
        ("image-classification", numbers, numbers),
        ("text-classification", numbered(map(str, range(30))), EVALUATION),
    ):
        with refused_by(TrainingError, "TRN-7"):
            check_split(get_task(task), train, evaluation)
    with refused_by(TrainingError, "TRN-7"):
        get_task("cooking")


@pytest.mark.spec("TRN-8")
def test_TRN_8_too_few_examples_are_refused():
    split = check_split(TEXTS, numbered(["0", "1", "0"]), EVALUATION)
    for train, evaluation in (
        (EVALUATION, EVALUATION),  # nothing is left
        (numbered(["0", "1"]), numbered(["1"], "e")),
        (texts(("e0", "0"), ("a", "1"), ("b", "1")), EVALUATION),  # a class is lost
    ):
        with refused_by(TrainingError, "TRN-8"):
            check_split(TEXTS, train, evaluation)
    for nsamples in (1, 4):
        with refused_by(TrainingError, "TRN-8"):
            draw_samples(split, nsamples, seed=0)


@pytest.mark.spec("TRN-17")
def test_TRN_17_examples_of_the_evaluation_are_never_trained_on():
    train = texts(("same", "0"), ("a", "0"), (" same ", "1"), ("b", "1"))
    split = check_split(TEXTS, train, texts(("same", "0"), ("c", "1")))
    assert (split.train.inputs, split.ndropped) == (["a", "b"], 2)
    zeros, ones = np.zeros((2, 3)), np.arange(12).reshape(4, 3)
    arrays = Examples("arrays", np.concatenate([zeros, ones]), list("010101"), "data")
    split = check_split(get_task("generic"), arrays, Examples("arrays", zeros, ["0", "1"], "data"))
    assert (np.array_equal(split.train.inputs, ones), split.ndropped) == (True, 2)


def test_questions_have_no_labels():
    pair = Examples("questions", [Question("q", c) for c in "ab"], [(), ()], "data")
    other = Examples("questions", [Question("r", c) for c in "ab"], [(), ()], "data")
    assert check_split(get_task("question-answering"), pair, other).labels == ()


labels = st.lists(st.sampled_from("abc"), min_size=40, max_size=90).filter(
    lambda drawn: len(set(drawn)) == 3
)


@given(labels, st.integers(3, 12), st.integers(0, 9))
@pytest.mark.spec("TRN-14")
def test_TRN_14_draws_are_repeatable_and_as_balanced_as_can_be(labels, nsamples, seed):
    split = check_split(TEXTS, numbered(labels), numbered(["a", "b"], "e"))
    drawn = draw_samples(split, nsamples, seed=seed)
    assert drawn == draw_samples(split, nsamples, seed=seed)
    there, counts = Counter(labels), Counter(drawn.targets)
    assert len(set(drawn.inputs)) == nsamples
    fullest = max(counts.values())
    assert all(counts[label] >= min(there[label], fullest - 1) for label in there)


@given(labels, st.integers(0, 9))
@pytest.mark.spec("TRN-17")
def test_TRN_17_held_out_part_is_disjoint_and_holds_every_class_or_nothing(labels, seed):
    examples = numbered(labels)
    fitted, held = hold_out(examples, stratify=True, seed=seed)
    assert sorted(fitted + held) == list(range(len(labels)))
    assert {labels[i] for i in fitted} == {"a", "b", "c"}
    assert len(held) in {0, round(len(labels) * 0.2)}
    assert bool(held) == (len(labels) >= 58)


def test_five_samples_of_two_classes_hold_nothing_out():
    assert hold_out(numbered("01010"), stratify=True, seed=0) == ([0, 1, 2, 3, 4], [])
