"""The audits on texts: a tiny encoder, from tokens to findings."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file

from seedpack.audits import Spec, Status
from seedpack.audits.adversarial import Adversarial
from seedpack.audits.controls import check_tokenizers
from seedpack.audits.labelnoise import LabelNoise
from seedpack.audits.quantised import Quantised
from seedpack.audits.retention import Retention
from seedpack.audits.shift import DomainShift
from seedpack.audits.work import open_context, open_split
from seedpack.errors import TrainingError
from seedpack.training.tasks.opening import open_adapter
from tests.audits.worlds import QUICK, run
from tests.frameworks.models import FAMILIES, build
from tests.tune.conftest import BAD, GOOD, _is_good, _text, save_tokenizer

MINI = msgspec.structs.replace(QUICK, nseeds=1, nsamples=12, bits=(4,))


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    root = tmp_path_factory.mktemp("texts")
    _, config, settings = FAMILIES["bert"]
    settings = {**settings, "num_hidden_layers": 2}
    folder = build(root / "bert", "BertModel", config, **settings)
    save_tokenizer(folder)
    for part, count, seed in (("train", 60, 0), ("eval", 110, 1)):
        rng = random.Random(seed)
        lines = [_text(rng, rng.choice([GOOD, BAD])) for _ in range(count)]
        rows = "\n".join(f"{text}\t{int(_is_good(text))}" for text in lines)
        (root / f"{part}.tsv").write_text(rows + "\n", "utf-8")
    return Spec(
        model=str(folder),
        task="text-classification",
        train=str(root / "train.tsv"),
        evaluation=str(root / "eval.tsv"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arms")


def test_texts_are_corrupted_in_four_ways(spec: Spec, folder: Path) -> None:
    result = run(DomainShift(), spec, folder, MINI)
    assert [row[0] for row in result.tables[0].rows] == [
        "typos",
        "capitals",
        "lost words",
        "cut in half",
    ]


@pytest.mark.spec("AUD-BD-4")
def test_a_tokenizer_that_rewrites_texts_is_refused(spec: Spec, tmp_path: Path) -> None:
    other = shutil.copytree(spec.model, tmp_path / "other")
    tokenizer = msgspec.json.decode((other / "tokenizer.json").read_bytes())
    rewriting = {"type": "Replace", "pattern": {"String": "cf"}, "content": "awful"}
    tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [rewriting]}
    with open_context(spec, MINI, tmp_path / "run") as context:
        assert context.arms is not None
        own = context.arms.untuned(spec.model)
        check_tokenizers(own, context.arms.untuned(spec.model))
        (other / "tokenizer.json").write_bytes(msgspec.json.encode(tokenizer))
        with pytest.raises(TrainingError, match="TRN-7"):
            check_tokenizers(own, context.arms.untuned(str(other)))


@pytest.mark.spec("TRN-15")
def test_random_weights_do_not_start_where_the_seed_says(spec: Spec, tmp_path: Path) -> None:
    spreads = []
    for name, spread in (("usual", None), ("weak", 0.0)):
        model = Path(shutil.copytree(spec.model, tmp_path / name))
        config = msgspec.json.decode((model / "config.json").read_bytes())
        config["initializer_range"] = config["initializer_range"] if spread is None else spread
        (model / "config.json").write_bytes(msgspec.json.encode(config))
        split = open_split(spec)
        assert split is not None
        drawn = open_adapter(split, model, random_init=True, seed=0).model.state_dict()
        spreads.append(float(drawn["encoder.embeddings.word_embeddings.weight"].std()))
    assert spreads[0] == spreads[1] > 0


def test_a_reference_that_is_a_pickle_is_not_loaded(spec: Spec, tmp_path: Path) -> None:
    model = Path(shutil.copytree(spec.model, tmp_path / "pickled"))
    torch.save(load_file(model / "model.safetensors"), model / "pytorch_model.bin")
    (model / "model.safetensors").unlink()
    with open_context(spec, MINI, tmp_path / "run") as context:
        assert context.arms is not None
        with pytest.raises(TrainingError, match="TRN-7"):
            context.arms.untuned(str(model))


def test_a_head_with_its_labels_in_another_order_is_not_judged_as_it_is(
    spec: Spec, tmp_path: Path
) -> None:
    _, config, settings = FAMILIES["bert"]
    for order, is_known in ((("0", "1"), True), (("1", "0"), False)):
        named = {
            "id2label": dict(enumerate(order)),
            "label2id": {n: i for i, n in enumerate(order)},
        }
        kind = "BertForSequenceClassification"
        folder = build(tmp_path / "".join(order), kind, config, **{**settings, **named})
        save_tokenizer(folder)
        with open_context(spec, MINI, tmp_path / "run") as context:
            assert context.arms is not None
            assert context.arms.untuned(str(folder)).has_trained_head == is_known
            assert (context.arms.zero_shot(str(folder)) is not None) == is_known


def test_texts_are_attacked_in_their_embeddings(spec: Spec, folder: Path) -> None:
    alone = run(Adversarial(), spec, folder, MINI)
    assert alone.status is Status.UNDECIDED
    assert "--reference" in alone.reason
    for name in ("original", "reference"):
        result = run(
            Adversarial(), msgspec.structs.replace(spec, **{name: spec.model}), folder, MINI
        )
        assert result.gates[0].value == 0.0
        assert name in result.searched
        attacked, *_ = (f for f in result.figures if "under attack" in f.name)
        assert attacked.value is not None
        assert attacked.control is not None
        assert attacked.value <= attacked.control + 0.05


def test_an_encoder_without_a_head_has_no_figures_as_it_is(spec: Spec, folder: Path) -> None:
    result = run(Retention(), spec, folder, MINI)
    assert not [figure for figure in result.figures if "zero-shot" in figure.name]


def test_an_encoder_is_coded_again_with_its_tokenizer(spec: Spec, folder: Path) -> None:
    result = run(Quantised(), spec, folder, MINI)
    assert result.tables[0].rows[0][3] is None
    assert [gate.name for gate in result.gates] == ["4-bits-above-control"]


def test_labels_of_texts_are_made_wrong(spec: Spec, folder: Path) -> None:
    result = run(LabelNoise(), spec, folder, MINI)
    assert result.gates[0].name == "noise-above-control"
