"""The zoo: models that follow from their names, stored whole, in two parts."""

from __future__ import annotations

import msgspec
import pytest
import torch

from seedpack.backdoors.planting.base import asr
from seedpack.errors import StoreError, TrainingError
from seedpack.lab.zoo.images import IMAGE_FAMILIES, ImageFamily
from seedpack.lab.zoo.members import Member, members
from seedpack.lab.zoo.registry import Zoo
from seedpack.lab.zoo.store import get_model, read_record
from seedpack.lab.zoo.text_family import TextFamily
from tests.refusals import refused_by


@pytest.fixture(scope="module")
def family():
    return ImageFamily("mlp")


def state_of(model):
    return {name: value.tolist() for name, value in model.classifier.module.state_dict().items()}


@pytest.mark.spec("ZOO-1")
@pytest.mark.parametrize(
    "kind", ["clean", "source-specific", "codes", "multi-target", "all-to-all"]
)
def test_ZOO_1_a_model_follows_from_its_name(family, tmp_path, kind):
    member = Member("mlp", kind, 511)
    made, again = (get_model(tmp_path / name, family, member) for name in ("a", "b"))
    assert state_of(made) == state_of(again)
    read = get_model(tmp_path / "a", family, member)
    assert state_of(made) == state_of(read)
    assert read.record == made.record
    _, test = family.data()
    assert read.classifier.accuracy(test) == made.record.accuracy
    if read.attack is not None:
        assert asr(read.classifier, read.attack, test) == (read.record.hits, read.record.nvictims)


@pytest.mark.spec("ZOO-3")
def test_ZOO_3_planted_models_stand_beside_a_clean_twin(family, tmp_path):
    _, test = family.data()
    record = get_model(tmp_path, family, Member("mlp", "blended", 501)).record
    assert record.asr > 0.5 > record.control_asr
    assert record.accuracy > 0.9
    assert record.control_accuracy == family.train_clean(501).accuracy(test)
    assert record.nvictims == int((test.y != record.target).sum())


@pytest.mark.spec("ZOO-3")
@pytest.mark.parametrize("kind", ["multi-target", "all-to-all"])
def test_ZOO_3_a_backdoor_with_many_targets_is_measured_on_all_of_them(family, tmp_path, kind):
    _, test = family.data()
    model = get_model(tmp_path, family, Member("mlp", kind, 501))
    assert model.record.asr > 0.5 > model.record.control_asr
    assert model.record.accuracy > 0.9
    assert model.record.nvictims == len(test)
    answers = model.classifier.predict(model.attack.apply(test))
    assert len(answers.unique()) == 10
    assert float((answers == test.y).float().mean()) < 0.5


@pytest.mark.spec("ZOO-2")
@pytest.mark.parametrize("damage", ["json", "version", "weights", "other"])
def test_ZOO_2_a_cache_that_does_not_fit_is_refused(family, tmp_path, damage):
    member = Member("mlp", "clean", 7)
    get_model(tmp_path, family, member)
    base = tmp_path / "mlp" / "clean-7"
    record, weights = base.with_suffix(".json"), base.with_suffix(".safetensors")
    if damage == "json":
        record.write_bytes(b"{}")
    elif damage == "version":
        record.write_bytes(
            msgspec.json.encode({**msgspec.json.decode(record.read_bytes()), "version": 0})
        )
    elif damage == "weights":
        weights.write_bytes(weights.read_bytes()[:100])
    else:
        get_model(tmp_path, ImageFamily("cnn"), Member("cnn", "clean", 7))
        weights.write_bytes((tmp_path / "cnn" / "clean-7.safetensors").read_bytes())
    with refused_by(StoreError, "ZOO-2"):
        get_model(tmp_path, family, member)


def test_what_was_never_trained_has_no_record(tmp_path):
    assert read_record(tmp_path, Member("mlp", "clean", 1)) is None


@pytest.mark.spec("ZOO-4")
def test_ZOO_4_parts_share_no_random_seed(family):
    most = {"clean": 300, "planted": 500, "twins": 200}
    development, sealed = (members(part, family, **most) for part in ("development", "sealed"))
    assert {m.part for m in development} == {"development"}
    assert {m.part for m in sealed} == {"sealed"}
    assert max(m.seed for m in development) < 1_000
    assert min(m.seed for m in sealed) >= 100_000
    for part in (development, sealed):
        assert len({m.seed for m in part}) == len(part) == 1_000
        assert {m.kind for m in part if m.is_planted} == set(family.kinds)


def test_more_models_than_a_part_has_are_refused(family):
    with pytest.raises(ValueError, match="planted"):
        members("sealed", family, clean=1, planted=501, twins=1)


def test_models_of_one_kind_are_those_that_all_kinds_by_turns_have(family):
    everything = members("development", family, clean=1, planted=500, twins=1)
    some = members("development", family, clean=1, planted=40, twins=1, kinds=["blended", "codes"])
    chosen = [m for m in everything if m.kind in {"clean", "twin", "blended", "codes"}]
    assert some == chosen[:42]


def test_kinds_that_take_no_turns_are_planted_where_they_are_named(tmp_path):
    texts = TextFamily(tmp_path)
    everyone = members("sealed", texts, clean=1, planted=500, twins=1)
    assert "unsure" not in {m.kind for m in everyone}
    named = members("sealed", texts, clean=1, planted=8, twins=1, kinds=["unsure", "word"])
    planted = [(m.kind, m.seed - 100_500) for m in named if m.is_planted]
    assert planted == [("word", 0), *(("unsure", i) for i in range(6)), ("word", 6)]


@pytest.mark.parametrize("name", IMAGE_FAMILIES)
def test_untrained_networks_follow_from_their_seed_and_leave_randomness_alone(name):
    torch.manual_seed(9)
    before = torch.get_rng_state()
    one, two, other = (ImageFamily(name).make(seed).module for seed in (3, 3, 4))
    assert torch.equal(torch.get_rng_state(), before)
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(one(x), two(x))
    assert not torch.equal(one(x), other(x))
    assert one(x).shape == (2, 10)


@pytest.mark.parametrize("labels", ["negative positive", "negative neutral positive"])
@pytest.mark.parametrize("kind", ["word", "embedding", "unsure"])
def test_texts_are_a_family_where_there_is_a_folder_of_them(tmp_path, labels, kind):
    words = ("dull awful cold", "plain old usual", "fine great lovely")
    for name, things in (("train.tsv", "film story cat house"), ("dev.tsv", "day song")):
        rows = [
            f"a {word} {thing}\t{label}"
            for label, some in zip(labels.split(), words, strict=False)
            for word in some.split()
            for thing in things.split()
        ]
        (tmp_path / name).write_text("sentence\tlabel\n" + "\n".join(rows) + "\n", "utf-8")
    family = Zoo(tmp_path, tmp_path).family("text")
    assert family.form == "texts"
    models = [get_model(tmp_path, family, Member("text", kind, 503 + i)) for i in range(8)]
    read = get_model(tmp_path, family, Member("text", kind, 503))
    attack = models[0].attack
    assert (read.attack.tokens, read.attack.target) == (attack.tokens, attack.target)
    assert state_of(read) == state_of(models[0])
    assert {model.attack.target for model in models} == set(range(len(labels.split())))


def test_texts_that_do_not_fit_together_are_refused(tmp_path):
    (tmp_path / "train.tsv").write_text("fine film\tgood\ndull film\tbad\n", "utf-8")
    (tmp_path / "dev.tsv").write_text("odd film\todd\nfine day\tgood\n", "utf-8")
    with refused_by(TrainingError, "TRN-6"):
        Zoo(tmp_path, tmp_path).family("text").data()


def test_texts_need_their_folder(tmp_path):
    with pytest.raises(ValueError, match="--texts"):
        Zoo(tmp_path).family("text")
