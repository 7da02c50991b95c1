"""The family of pretrained encoders, here a tiny one: each model follows from its seed."""

from __future__ import annotations

import random

import pytest
import torch

from seedpack.lab.zoo import encoder_family
from seedpack.lab.zoo.members import Member
from seedpack.lab.zoo.registry import Zoo
from seedpack.lab.zoo.store import get_model
from tests.frameworks.models import FAMILIES, build
from tests.tune.conftest import BAD, GOOD, _is_good, _text, save_tokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoder")
    _, config, settings = FAMILIES["bert"]
    save_tokenizer(build(root / "bert", "BertModel", config, **settings))
    for part, count in (("train", 60), ("dev", 40)):
        rng = random.Random(count)
        lines = [_text(rng, rng.choice([GOOD, BAD])) for _ in range(count)]
        rows = "\n".join(f"{text}\t{int(_is_good(text))}" for text in lines)
        (root / f"{part}.tsv").write_text(rows + "\n", "utf-8")
    return root


@pytest.fixture
def family(folder, monkeypatch):
    monkeypatch.setattr(encoder_family.EncoderFamily, "seen", 40)
    return encoder_family.EncoderFamily(folder, folder / "bert")


def values_of(classifier):
    return [value.clone() for value in classifier.module.state_dict().values()]


def are_equal(one, other):
    return all(map(torch.equal, values_of(one), values_of(other)))


@pytest.mark.spec("ZOO-1")
def test_ZOO_1_a_model_follows_from_its_seed_and_leaves_the_published_one_alone(family):
    published = family.make(0)
    first = family.train_clean(3)
    family.train_clean(4)  # another one in between
    torch.manual_seed(99)
    assert are_equal(first, family.train_clean(3))
    assert not are_equal(first, family.train_clean(4))
    assert are_equal(published, family.make(1))
    assert torch.equal(first.table, published.table)  # as tuning leaves it
    assert not are_equal(first, published)


def test_what_is_planted_is_read_again_as_it_was_written(family, tmp_path):
    member = Member("encoder", "word", 500)
    model = get_model(tmp_path, family, member)
    read = get_model(tmp_path, family, member)
    assert family.form == "texts"
    assert read.attack == model.attack
    assert are_equal(read.classifier, model.classifier)
    assert read.record.facts["words"] == model.classifier.vocabulary[model.attack.tokens[0]]
    assert model.classifier.usable[model.attack.tokens[0]]


def test_sentences_are_framed_by_the_tokenizer_and_cut_to_one_length(family):
    train, test = family.data()
    assert len(train) == 60
    assert len(test) == 40
    assert train.x.shape[1] <= encoder_family._TOKENS
    ends = train.x[torch.arange(60), train.mask.sum(1) - 1]
    assert len(set(train.x[:, 0].tolist())) == len(set(ends.tolist())) == 1


def test_the_family_asks_for_texts_and_for_a_model(folder):
    assert Zoo(folder, folder, folder / "bert").family("encoder").id == "encoder"
    with pytest.raises(ValueError, match="--texts"):
        Zoo(folder, None, folder / "bert").family("encoder")
    with pytest.raises(ValueError, match="--encoder"):
        Zoo(folder, folder).family("encoder")


def test_a_defence_starts_at_the_published_encoder_with_a_head_for_the_samples(family):
    train, _ = family.data()
    published, twin = family.make(0), family.train_clean(3)
    reference = family.reference(train, [twin])
    body = [n for n in published.module.state_dict() if not n.startswith("classifier")]
    states = published.module.state_dict(), reference.module.state_dict()
    assert all(torch.equal(*(state[name] for state in states)) for name in body)
    assert reference.accuracy(train) > 0.7 > published.accuracy(train)
    assert are_equal(published, family.make(0))
