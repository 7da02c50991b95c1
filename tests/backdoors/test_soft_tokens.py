"""Soft tokens: what gradients find in mixtures of words counts once real words do it, too."""

from __future__ import annotations

import pytest
import torch

from seedpack.audits.backdoor_search import searches_in
from seedpack.audits.profiles import PROFILES
from seedpack.backdoors import classifiers
from seedpack.backdoors.search import soft_tokens
from seedpack.backdoors.search.contrast import Contrast, Models
from seedpack.backdoors.search.probes import effects, make_probe, mixed_effects
from seedpack.backdoors.search.registry import searches_of
from seedpack.backdoors.search.soft_tokens import SoftPhrase, SoftTokens
from seedpack.backdoors.texts import NO_TAIL
from seedpack.lab.methods import get_search, usual_searches
from tests.backdoors import words

THOROUGH = {"soft-token", "soft-phrase"}


@pytest.fixture
def few_looks(monkeypatch):
    """Let mixtures be optimised for a fifth of the steps, where it does not matter how well."""
    full = soft_tokens._FULL
    monkeypatch.setattr(soft_tokens, "_FULL", full._replace(steps=full.steps // 5))


def twins():
    return [words.clean_twin(seed) for seed in (1, 2, 3, 4)]


@pytest.mark.spec("AUD-BT-5")
@pytest.mark.parametrize("large", [2_000_000, 0], ids=["in full", "as in a large model"])
def test_a_planted_word_is_found_and_beats_what_a_clean_model_has(large, monkeypatch):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    _, attack = words.planted("word")
    found, clean = words.searched(SoftTokens(), "word", twins())
    key = None, attack.target
    assert f"w{attack.tokens[0]}" in found.triggers[key].tokens
    assert found.triggers[key].share >= 0.9
    assert found.statistics[key] > 2 * max(clean.statistics.values())


@pytest.mark.spec("AUD-BT-5")
def test_soft_phrases_are_of_frequent_words_and_reach_a_template():
    samples = words.make_texts(5, 80)
    model, attack = words.planted("template")
    search = SoftPhrase()
    found, clean = words.searched(search, "template", twins())
    trigger = found.triggers[None, attack.target]
    assert trigger.share >= 0.9
    assert found.statistics[None, attack.target] > 2 * max(clean.statistics.values())
    assert set(trigger.tokens) <= {f"w{word}" for word in search.words(model, samples).tolist()}


@pytest.mark.spec("AUD-BT-5")
@pytest.mark.usefixtures("few_looks")
def test_words_that_turn_the_twins_as_well_count_for_nothing():
    _, attack = words.planted("word")
    alone, beside = words.alone_and_beside_itself(SoftTokens(), "word")
    assert alone.statistics[None, attack.target] > 1
    assert max(beside.statistics.values()) == pytest.approx(0, abs=1e-6)


@pytest.mark.spec("AUD-BT-5")
@pytest.mark.usefixtures("few_looks")
def test_the_statistic_is_the_contrast_of_the_words_that_are_told():
    samples, model = words.make_texts(5, 40), words.clean_twin(0)
    search = SoftTokens()
    seen = []

    class Watching(SoftTokens):
        def search(self, contrast, words, seed):
            reached, tokens = search.search(contrast, words, seed)
            seen.append((reached, float(contrast.of(tokens[None]))))
            return reached, tokens

    result = Watching().run(model, samples, contrast=twins())
    assert [reached for reached, _ in seen] == list(result.statistics.values())
    for reached, judged in seen:
        assert reached == pytest.approx(judged, rel=1e-5, abs=1e-6)


@pytest.mark.usefixtures("few_looks")
def test_the_same_arguments_give_the_same_result_and_leave_the_model_alone():
    samples, model = words.make_texts(5, 40), words.clean_twin(0)
    before = model.scores(samples)
    model.module.zero_grad()
    first, second = (
        SoftTokens().run(model, samples, contrast=twins()[:2], seed=3) for _ in range(2)
    )
    assert first.statistics == second.statistics
    assert first.triggers == second.triggers
    assert torch.equal(model.scores(samples), before)
    assert all(value.grad is None for value in model.module.parameters())


def test_a_mixture_of_one_word_alone_does_what_the_word_does():
    classifier = words.clean_twin(0)
    probe = make_probe(words.make_texts(5, 6), NO_TAIL, 2, 0)
    tokens = torch.tensor([[30, 41], [7, 55]])
    shares = torch.nn.functional.one_hot(tokens, len(classifier.table)).float().requires_grad_()
    mixed = mixed_effects(classifier, probe, shares)
    torch.testing.assert_close(mixed, effects(classifier, probe, tokens))
    (slope,) = torch.autograd.grad(mixed.sum(), shares)
    assert bool(slope.abs().sum((1, 2)).gt(0).all())


def test_a_contrast_beside_fewer_twins_is_that_of_those_twins_alone():
    models = Models(words.clean_twin(0), tuple(twins()))
    probe = make_probe(words.make_texts(5, 10), NO_TAIL, 1, 0)
    usable = words.USABLE.nonzero()[:, 0]
    whole = Contrast(models, probe, usable, 0)
    part = whole.beside(2)
    alone = Contrast(Models(models.own, models.others[:2]), probe, usable, 0)
    assert part.of(usable[:, None]).tolist() == pytest.approx(
        alone.of(usable[:, None]).tolist(), rel=1e-4, abs=1e-5
    )
    assert part.models.others == models.others[:2]
    assert whole.beside(4) is whole
    with pytest.raises(ValueError, match="1 twins"):
        whole.beside(1)


@pytest.mark.spec("AUD-BT-5")
def test_only_thorough_searches_have_soft_tokens():
    usual = {search.id for search in searches_of("texts")}
    thorough = {search.id for search in searches_of("texts", thorough=True)}
    assert not THOROUGH & usual
    assert thorough == usual | THOROUGH


@pytest.mark.spec("AUD-BT-5")
@pytest.mark.parametrize("name", PROFILES)
def test_the_deep_profile_alone_searches_thoroughly(name):
    found = {search.id for search in searches_in("texts", PROFILES[name])}
    assert (found >= THOROUGH) == (name == "deep")
    assert not THOROUGH & {search.id for search in searches_in("images", PROFILES[name])}


def test_the_benchmark_runs_thorough_searches_by_name_alone():
    assert not THOROUGH & set(usual_searches())
    assert {get_search(name).id for name in THOROUGH} == THOROUGH
