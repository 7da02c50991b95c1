"""Data sets by id, with the library's own files: nothing is fetched, no script runs."""

from __future__ import annotations

import pytest

from seedpack.errors import TrainingError
from seedpack.training import Columns
from seedpack.training.hub import _READERS, is_dataset_id, read_dataset
from tests.refusals import refused_by

datasets = pytest.importorskip("datasets", reason="the package datasets is not installed")


@pytest.mark.parametrize(
    ("text", "is_id"),
    [
        ("stanfordnlp/sst2", True),
        ("wikiann/wikiann:en@validation", True),
        ("sst2", False),  # has no owner
        ("data/train.tsv", False),
        ("../up/down", False),
        ("a/b/c", False),
        ("owner/name@", False),
    ],
)
def test_an_id_has_an_owner_and_a_name_and_is_no_path(text, is_id):
    assert is_dataset_id(text) == is_id


def test_class_numbers_become_their_names():
    features = datasets.Features(
        {"sentence": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = datasets.Dataset.from_dict({"sentence": ["a", "b"], "label": [1, 0]}, features)
    examples = _READERS["texts"](rows, Columns(), "o/n")
    assert (examples.inputs, examples.targets) == (["a", "b"], ["good", "bad"])


def test_hidden_labels_of_a_test_split_are_refused():
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["bad", "good"])}
    )
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [-1]}, features)
    with refused_by(TrainingError, "TRN-4"):
        _READERS["texts"](rows, Columns(), "o/n")


def test_other_forms_are_read_from_their_columns():
    rows = datasets.Dataset.from_dict(
        {
            "tokens": [["a", "b"]],
            "ner_tags": [["O", "B-X"]],
            "text": ["t"],
            "question": ["q"],
            "context": ["the cat"],
            "answers": [{"text": ["cat"], "answer_start": [4]}],
        }
    )
    tokens = _READERS["tokens"](rows, Columns(), "o/n")
    assert (tokens.inputs, tokens.targets) == ([("a", "b")], [("O", "B-X")])
    assert _READERS["lines"](rows, Columns(), "o/n").inputs == ["t"]
    questions = _READERS["questions"](rows, Columns(), "o/n")
    assert questions.targets == [((4, "cat"),)]
    with refused_by(TrainingError, "TRN-4"):
        _READERS["texts"](rows, Columns("absent", ""), "o/n")


@pytest.mark.spec("TRN-1", "TRN-4")
@pytest.mark.parametrize(
    ("form", "columns", "rule"),
    [
        ("lines", {"text": ["a", None]}, "TRN-1"),
        ("tokens", {"tokens": [None], "tags": [["O"]]}, "TRN-4"),
        ("tokens", {"tokens": [["a", "b"]], "tags": [["O"]]}, "TRN-4"),
        ("questions", {"question": ["q"], "context": ["the cat"], "answers": [None]}, "TRN-4"),
        (
            "questions",
            {
                "question": ["q"],
                "context": ["the cat"],
                "answers": [{"text": ["dog"], "answer_start": [4]}],
            },
            "TRN-1",
        ),
        (
            "questions",
            {
                "question": [None],
                "context": ["the cat"],
                "answers": [{"text": ["cat"], "answer_start": [4]}],
            },
            "TRN-1",
        ),
    ],
)
def test_rows_that_no_file_could_have_are_refused(form, columns, rule):
    with refused_by(TrainingError, rule):
        _READERS[form](datasets.Dataset.from_dict(columns), Columns(), "o/n")


@pytest.mark.spec("TRN-1", "TRN-11")
def test_TRN_1_data_set_that_cannot_be_had_is_refused():
    with refused_by(TrainingError, "TRN-1"):
        read_dataset("owner/nowhere", ("texts",), Columns())
