"""Defences of stored text models: where they start, what they see, and plans for large ones."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import torch

from seedpack.backdoors.classifiers import ImageClassifier, from_adapter, samples_of
from seedpack.backdoors.defence import controls, relearning, teaching
from seedpack.backdoors.defence.base import Defence
from seedpack.backdoors.defence.defending import Defending
from seedpack.backdoors.defence.models import defend_model
from seedpack.backdoors.defence.teaching import Plan, plain, plan_for, teach
from seedpack.errors import TrainingError
from seedpack.training import products
from seedpack.training.sampling import draw_samples
from seedpack.training.tasks.opening import open_adapter
from seedpack.training.tasks.text import TextClassification
from seedpack.tune import TunePlan, load_split, tune_model
from tests.backdoors.words import clean_twin, make_texts, untrained
from tests.frameworks.models import FAMILIES, build
from tests.refusals import refused_by
from tests.tune.conftest import BAD, GOOD, _is_good, _text, save_tokenizer

SMALL, LARGE = Plan(steps=3, batch=5), Plan(steps=20, batch=5, pretrained=True)
NSAMPLES, SEED = 48, 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("encoder")
    _, config, settings = FAMILIES["bert"]
    for name, nlayers in (("clean", 2), ("deeper", 3)):
        made = {**settings, "num_hidden_layers": nlayers}
        save_tokenizer(build(root / name, "BertModel", config, **made))
    for part, count in (("train", 120), ("dev", 30)):
        rng = random.Random(count)
        lines = [_text(rng, rng.choice([GOOD, BAD])) for _ in range(count)]
        rows = "\n".join(f"{text}\t{int(_is_good(text))}" for text in lines)
        (root / f"{part}.tsv").write_text(rows + "\n", "utf-8")
    train, dev = str(root / "train.tsv"), str(root / "dev.tsv")
    plan = TunePlan(control=False)
    tune_model(root / "clean", "text-classification", train, dev, plan=plan, output=root / "tuned")
    return root


@pytest.fixture(scope="module")
def split(folder):
    files = (str(folder / f"{part}.tsv") for part in ("train", "dev"))
    return load_split("text-classification", *files, TunePlan())


class Spy(Defence):
    """Changes nothing, and remembers what it was given."""

    id = "spy"

    def __init__(self):
        self.seen = []

    def run(self, classifier, samples, *, seed=0, reference=None):
        del seed
        self.seen.append((samples, reference))
        return classifier.clone()


@pytest.fixture
def spy():
    return Spy()


@pytest.fixture
def defend(spy, folder, split, tmp_path, monkeypatch):
    """Defend the tuned model beside a reference of that name; return the report."""
    monkeypatch.setattr(controls, "_AFRESH", Plan(steps=2))
    monkeypatch.setattr(controls, "_ONWARDS", Plan(steps=2))
    monkeypatch.setattr(relearning, "_SMALL", replace(relearning._SMALL, steps=30))

    def call(reference):
        options = Defending(methods=(spy,), ncontrols=1, draws=0)
        plan = TunePlan(samples=NSAMPLES, seed=SEED)
        model, clean = folder / "tuned", reference and folder / reference
        out = tmp_path / f"beside-{reference}"
        return defend_model(model, split, plan, out, reference=clean, options=options)

    return call


def rows_of(samples):
    return sorted(samples.x[i, : int(samples.mask[i].sum())].tolist() for i in range(len(samples)))


@pytest.mark.spec("AUD-DEF-7")
def test_a_reference_without_a_head_gets_one_from_samples_that_nothing_is_chosen_by(
    defend, spy, folder, split, monkeypatch
):
    fitted, plain_start = [], TextClassification.warm_start
    monkeypatch.setattr(
        TextClassification,
        "warm_start",
        lambda adapter, items, *rest: fitted.extend(items) or plain_start(adapter, items, *rest),
    )
    defend("clean")
    (learnt, reference), *_ = spy.seen
    assert len(learnt) == NSAMPLES * 3 // 4
    assert rows_of(learnt) == sorted(item["input_ids"] for item in fitted)
    headless = from_adapter(open_adapter(split, folder / "clean", factory=None, seed=0), split)
    assert headless.accuracy(learnt) == pytest.approx(0.5, abs=0.2)
    assert reference.accuracy(learnt) > 0.9
    body = (name for name in headless.module.state_dict() if not name.startswith("classifier"))
    states = headless.module.state_dict(), reference.module.state_dict()
    assert all(torch.equal(*(state[name] for state in states)) for name in body)


def test_a_reference_that_knows_the_task_keeps_its_head(defend, spy, folder, split):
    defend("tuned")
    (_, reference), *_ = spy.seen
    tuned = open_adapter(split, folder / "tuned", factory=None, seed=0).model
    head = reference.module.state_dict()["classifier.weight"]
    assert torch.equal(head, tuned.state_dict()["classifier.weight"])


@pytest.mark.spec("AUD-DEF-7")
def test_a_reference_of_another_architecture_is_refused_and_nothing_is_written(defend, tmp_path):
    with refused_by(TrainingError, "TRN-7"):
        defend("deeper")
    assert not list(tmp_path.glob("beside-*"))


@pytest.mark.spec("AUD-DEF-7")
def test_a_defence_sees_the_samples_that_a_tuning_sees_and_no_others(defend, spy, folder, split):
    defend(None)
    *_, (samples, reference) = spy.seen
    adapter = open_adapter(split, folder / "tuned", factory=None, seed=0)
    tuned_on = samples_of(adapter, draw_samples(split, NSAMPLES, seed=SEED))
    assert reference is None
    assert rows_of(samples) == rows_of(tuned_on)


@pytest.mark.spec("AUD-DEF-8")
def test_what_a_text_model_is_worth_is_told_beside_its_reference_or_random_weights(defend):
    beside = [defend(reference).untaught for reference in ("tuned", None)]
    assert [arm.start for arm in beside] == ["reference", "random-init"]
    # The reference knows the task as the suspect does, random weights do not.
    assert beside[0].gained == pytest.approx(0.0, abs=0.2)
    assert beside[1].accuracy.hits < beside[0].accuracy.hits


@pytest.mark.spec("AUD-DEF-4")
def test_controls_of_texts_are_of_every_kind_by_turns():
    attacks = controls.draw_attacks(untrained(), make_texts(0, 40), 4, seed=0)
    assert [attack.id for attack in attacks] == ["word", "phrase", "template", "word"]


@pytest.mark.parametrize("are_large", [True, False])
def test_only_large_models_of_texts_are_taken_for_pretrained(are_large, monkeypatch):
    monkeypatch.setattr(teaching, "is_large", lambda _model: are_large)
    assert plan_for(untrained(), SMALL, LARGE) is (LARGE if are_large else SMALL)
    images = ImageClassifier(torch.nn.Linear(4, 2), 2)
    assert plan_for(images, SMALL, LARGE) is SMALL


@pytest.mark.spec("AUD-10")
@pytest.mark.parametrize("plan", [SMALL, LARGE], ids=["small", "pretrained"])
def test_products_are_rounded_in_steps_of_large_models_alone_and_in_no_teachers_answer(
    plan, rounded, monkeypatch
):
    student, teacher = untrained(1), clean_twin(1).clone()
    for model in (student, teacher):
        products.quicken(model.module)
    asked = []
    monkeypatch.setattr(teacher, "scores", lambda s, f=teacher.scores: asked.append(s) or f(s))
    samples = make_texts(5, 40)
    teach(student, samples, plan, torch.Generator().manual_seed(0), teacher=teacher, views=(plain,))
    assert len(asked) == plan.steps
    assert bool(rounded) == plan.pretrained
    assert not set(rounded) & set(teacher.module.modules())


def test_texts_of_large_models_are_taught_with_similar_lengths_together(monkeypatch):
    samples = make_texts(5, 200)
    spreads = {}
    for plan in (Plan(steps=32, batch=8), Plan(steps=32, batch=8, pretrained=True)):
        generator = torch.Generator().manual_seed(0)
        batches = list(teaching._batches(samples, plan, generator))
        assert [len(batch) for batch in batches] == [8] * 32
        lengths = torch.stack([batch.mask.sum(1) for batch in batches])
        spreads[plan.pretrained] = float((lengths.max(1).values - lengths.min(1).values).sum())
        longest = lengths.max(1).values.tolist()
        assert longest != sorted(longest)  # short and long ones alternate
    assert spreads[True] < spreads[False] / 2
