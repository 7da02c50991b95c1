"""Words that a search found are unlearned, and with them the planted one."""

from __future__ import annotations

import pytest
import torch

from seedpack.backdoors.classifiers import ImageClassifier
from seedpack.backdoors.defence.registry import defences_for
from seedpack.backdoors.defence.words import WordUnlearning
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.texts import make_text_attack
from seedpack.errors import TrainingError
from tests.backdoors.words import USABLE, clean_twin, make_texts, trained
from tests.refusals import refused_by


@pytest.mark.spec("AUD-BT-3")
def test_a_planted_word_is_unlearned_and_the_rest_is_kept():
    train, test, samples = make_texts(0, 600), make_texts(1, 200), make_texts(5, 80)
    attack = make_text_attack("word", 3, train, USABLE, 2)
    planted = trained(attack.poison(train, 0.1, seed=0))
    before = planted.scores(test)
    defended = WordUnlearning().run(planted, samples, reference=clean_twin(1))
    assert asr(planted, attack, test).rate >= 0.9
    assert asr(defended, attack, test).rate <= 0.1
    assert defended.accuracy(test) >= planted.accuracy(test) - 0.03
    assert torch.equal(planted.scores(test), before)


def test_it_is_among_the_defences_of_texts_only():
    assert "word-unlearning" in {defence.id for defence in defences_for("texts")}
    assert "word-unlearning" not in {defence.id for defence in defences_for("images")}


def test_too_few_samples_are_refused_and_images_are_a_wrong_call():
    with refused_by(TrainingError, "AUD-DEF-1"):
        WordUnlearning().run(clean_twin(1), make_texts(5, 10))
    images = ImageClassifier(torch.nn.Linear(12, 2), 2)
    with pytest.raises(TypeError, match="texts"):
        WordUnlearning().run(images, make_texts(5, 40))
