"""The text data of the zoo: from a table to rows of ids."""

from __future__ import annotations

import pytest
import torch

from seedpack.errors import TrainingError
from seedpack.lab.zoo.text_network import make_text_classifier
from seedpack.lab.zoo.texts import PAD, START, UNKNOWN, WIDTH, load_texts


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train.tsv").write_text("Good film\t1\nbad film\t0\na bad bad day\t0\n")
    (tmp_path / "dev.tsv").write_text("good day\t1\nnew film\t0\n" + "bad " * 30 + "\t0\n")
    return tmp_path


def test_words_are_numbered_by_frequency_and_strange_ones_are_unknown(folder):
    data = load_texts(folder)
    assert data.vocabulary[3:] == ("bad", "film", "a", "day", "good")
    good, new, long = data.test.x.tolist()
    assert good[:4] == [START, 7, 6, PAD]
    assert new[:4] == [START, UNKNOWN, 4, PAD]
    assert long == [START] + [3] * (WIDTH - 1)
    assert data.test.mask.sum(1).tolist() == [3, 3, WIDTH]
    assert data.train.y.tolist() == [1, 0, 0]
    assert data.usable.tolist() == [False] * 3 + [True] * 5


def test_a_missing_table_is_refused(tmp_path):
    with pytest.raises(TrainingError):
        load_texts(tmp_path)


def test_padding_changes_no_answer_and_the_same_seed_makes_the_same_model(folder):
    data = load_texts(folder)
    classifier, twin = (make_text_classifier(data, 4) for _ in range(2))
    short = data.test.take([0])
    assert torch.equal(classifier.scores(short), twin.scores(short))
    classifier.module.eval()  # in training some words are read as unknown ones
    cut = classifier.logits(short.x[:, :3], short.mask[:, :3])
    assert torch.allclose(cut, classifier.logits(short.x, short.mask))
    assert not torch.equal(make_text_classifier(data, 5).scores(short), classifier.scores(short))
