"""Adapters of tasks as classifiers: the same answers, and gradients."""

from __future__ import annotations

import pytest
import torch

from seedpack.backdoors.classifiers import (
    Classifier,
    ImageClassifier,
    Samples,
    from_adapter,
    samples_of,
)
from seedpack.backdoors.search import phrases
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.phrases import PhraseSearch
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.errors import TrainingError
from seedpack.training import check_split, get_task, read_examples
from seedpack.training.recipes import Recipe
from seedpack.training.tasks.opening import open_adapter
from tests.backdoors import words
from tests.refusals import refused_by


@pytest.fixture(scope="module")
def opened(models, data):
    def open_(task, kind, model, factory=None):
        task = get_task(task)
        train, evaluation = (read_examples(data[part] / kind, task.forms) for part in data)
        split = check_split(task, train, evaluation)
        return split, open_adapter(split, models[model], factory=factory, seed=0)

    cases = {
        "module": ("generic", "classes.npz", "net", f"{models['factory']}:build"),
        "image": ("image-classification", "images.npz", "vit"),
        "text": ("text-classification", "texts.tsv", "bert"),
    }
    return {name: open_(*case) for name, case in cases.items()}


@pytest.mark.parametrize("case", ["module", "image", "text"])
def test_classifier_answers_as_its_adapter(opened, case):
    split, adapter = opened[case]
    classifier = from_adapter(adapter, split)
    samples = samples_of(adapter, split.evaluation)
    with torch.no_grad():
        expected = adapter.answers(adapter.collate(adapter.encode(split.evaluation, Recipe())))
    assert classifier.predict(samples).tolist() == expected
    right = sum(a == b for a, b in zip(expected, samples.y.tolist(), strict=True))
    assert classifier.accuracy(samples) == pytest.approx(right / len(samples))
    assert classifier.nclasses == len(split.labels)


@pytest.mark.parametrize("case", ["module", "image"])
def test_inputs_have_gradients_and_bounds(opened, case):
    split, adapter = opened[case]
    classifier = from_adapter(adapter, split)
    x = samples_of(adapter, split.train).x
    assert classifier.low <= float(x.min()) < float(x.max()) <= classifier.high
    x.requires_grad_()
    (slope,) = torch.autograd.grad(classifier.logits(x)[:, 0].sum(), x)
    assert float(slope.abs().sum()) > 0


def test_text_embeddings_lead_to_the_same_logits(opened):
    split, adapter = opened["text"]
    classifier = from_adapter(adapter, split)
    torch.nn.init.normal_(classifier.module.classifier.weight)
    samples = samples_of(adapter, split.evaluation)
    embeddings = classifier.embed(samples.x).detach().requires_grad_()
    logits = classifier.logits_of_embeddings(embeddings, samples.mask)
    batch = {"input_ids": samples.x, "attention_mask": samples.mask}
    assert torch.allclose(logits, classifier.module(**batch))
    (slope,) = torch.autograd.grad(logits[:, 0].sum(), embeddings)
    assert slope.shape == embeddings.shape


def test_padding_and_company_change_no_answer_of_a_text(opened):
    split, adapter = opened["text"]
    classifier = from_adapter(adapter, split)
    samples = samples_of(adapter, split.evaluation)
    assert len(set(samples.mask.sum(1).tolist())) > 1
    wide = Samples(
        *(
            torch.nn.functional.pad(t, (0, 9)) if t.dim() > 1 else t
            for t in (samples.x, samples.y, samples.mask)
        )
    )
    alone = torch.cat(
        [
            classifier.logits(one.x, one.mask).detach()
            for one in (samples.take([i]) for i in range(len(samples)))
        ]
    )
    widths = []
    classifier.module.register_forward_pre_hook(
        lambda _module, _args, given: widths.append(given["inputs_embeds"].shape[1]),
        with_kwargs=True,
    )
    embeddings = classifier.embed(wide.x)
    assert torch.allclose(classifier.scores(wide), alone, atol=1e-5)
    assert torch.allclose(classifier.logits(wide.x, wide.mask), alone, atol=1e-5)
    found = classifier.logits_of_embeddings(embeddings, wide.mask)
    assert torch.allclose(found, alone, atol=1e-5)
    assert widths == [int(samples.mask.sum(1).max())] * 3  # no column of padding alone


def test_only_words_that_can_be_written_are_usable(opened):
    split, adapter = opened["text"]
    classifier = from_adapter(adapter, split)
    usable = {t for t, u in zip(classifier.vocabulary, classifier.usable, strict=True) if u}
    assert {"film", "?"} <= usable
    assert not usable & {"", "[PAD]", "[CLS]", "[SEP]", "[UNK]"}
    assert len(classifier.vocabulary) == len(classifier.embed(samples_range(classifier))[0])


def samples_range(classifier):
    return torch.arange(len(classifier.vocabulary))[None]


def test_clone_shares_no_weights(opened):
    split, adapter = opened["module"]
    classifier = from_adapter(adapter, split)
    samples = samples_of(adapter, split.evaluation)
    before = classifier.scores(samples)
    twin = classifier.clone()
    with torch.no_grad():
        for parameter in twin.module.parameters():
            parameter.zero_()
    assert torch.equal(classifier.scores(samples), before)
    assert type(twin) is type(classifier)


def test_predicting_uses_no_dropout_and_keeps_the_mode():
    module = torch.nn.Sequential(torch.nn.Dropout(0.9), torch.nn.Linear(4, 3)).train()
    classifier = ImageClassifier(module, 3)
    samples = Samples(torch.rand(300, 4), torch.zeros(300, dtype=torch.long))
    assert torch.equal(classifier.scores(samples), classifier.scores(samples))
    assert module.training


def test_taking_samples_keeps_them_together():
    samples = Samples(torch.arange(6).reshape(3, 2), torch.tensor([5, 6, 7]), torch.ones(3, 2))
    taken = samples.take([2, 0])
    assert taken.y.tolist() == [7, 5]
    assert taken.x.tolist() == [[4, 5], [0, 1]]
    assert taken.mask.shape == (2, 2)
    assert samples.take(samples.y > 5).y.tolist() == [6, 7]


def test_accuracy_of_nothing_is_refused():
    nothing = Samples(torch.empty(0, 4), torch.empty(0, dtype=torch.long))
    with pytest.raises(ValueError, match="no samples"):
        ImageClassifier(torch.nn.Linear(4, 3), 3).accuracy(nothing)


def test_TRN_7_a_model_of_numbers_is_no_classifier(models, data):
    task = get_task("generic")
    train, evaluation = (read_examples(data[p] / "numbers.npz", task.forms) for p in data)
    split = check_split(task, train, evaluation)
    adapter = open_adapter(
        split, models["line"], factory=f"{models['factory']}:build_numbers", seed=0
    )
    with refused_by(TrainingError, "TRN-7"):
        from_adapter(adapter, split)


@pytest.fixture
def counted():
    """A classifier, and how many samples its module was asked about."""
    asked, module = [], torch.nn.Linear(4, 3)
    module.register_forward_pre_hook(lambda _module, inputs: asked.append(len(inputs[0])))
    return ImageClassifier(module, 3), asked


def test_a_model_that_knows_its_samples_is_not_asked_again(counted):
    classifier, asked = counted
    samples = Samples(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
    expected = classifier.scores(samples)
    knowing = classifier.knowing(samples)
    asked.clear()
    assert torch.equal(knowing.scores(samples), expected)
    assert knowing.accuracy(samples) == float((expected.argmax(1) == 0).float().mean())
    torch.testing.assert_close(knowing.scaled(3).scores(samples), 3 * expected)
    assert knowing.knowing(samples) is knowing
    assert not asked
    knowing.scores(samples.take(range(5)))
    assert asked == [5]
    classifier.scores(samples)
    assert asked == [5, 8]


def test_a_clone_that_is_changed_knows_nothing_of_what_it_was(counted):
    classifier, _ = counted
    samples = Samples(torch.randn(8, 4), torch.zeros(8, dtype=torch.long))
    twin = classifier.knowing(samples).clone()
    with torch.no_grad():
        twin.module.bias.fill_(100.0)
    assert float(twin.scores(samples).min()) > 50


def test_all_searches_together_ask_each_model_about_the_clean_texts_once(monkeypatch):
    monkeypatch.setattr(phrases, "_ROUNDS", 1)  # who is asked is no matter of how long
    samples = words.make_texts(5, 24)
    models = [words.clean_twin(i).clone() for i in range(4)]
    asked, plain = [], Classifier._ask
    monkeypatch.setattr(
        Classifier, "_ask", lambda model, x: asked.append((model, x)) or plain(model, x)
    )
    Detector.fit([TokenScan(), PhraseSearch()], models[1:], samples).judge(models[0])
    about = [model.module for model, x in asked if x is samples]
    assert sorted(map(id, about)) == sorted(id(model.module) for model in models)
