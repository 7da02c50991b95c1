"""The texts that triggers are tried on, and the unit in which it is told what triggers do."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from torch import nn

from seedpack.backdoors import classifiers
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.unsure import plant_unsure
from seedpack.backdoors.search import contrast
from seedpack.backdoors.search.likely import matched
from seedpack.backdoors.search.phrases import PhraseSearch
from seedpack.backdoors.search.probes import leads_of, told
from seedpack.backdoors.search.registry import searches_of
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.backdoors.search.victims import choose_victims
from seedpack.backdoors.texts import mask_of
from seedpack.errors import TrainingError
from tests.backdoors.words import clean_twin, make_texts, planted, searched
from tests.refusals import refused_by

NUMBERS = st.integers(-5_000, 5_000).map(lambda number: number / 100)
FACTORS = st.floats(2**-10, 2**10, width=32)
OF_WORDS = [search for search in searches_of("texts", thorough=True) if search.nwords]


def chosen(key=(None, 0), models=None, nclasses=2, count=120, seed=0, *, are_longer=False):
    """Return texts, models and the numbers of the victims among the texts."""
    samples = make_texts(5, count, nclasses=nclasses)
    models = models or [clean_twin(i, nclasses) for i in range(3)]
    victims = choose_victims(models, samples, key, seed, are_longer=are_longer)
    rows = [int((samples.x == row).all(1).nonzero()[0, 0]) for row in victims.x]
    return samples, models, rows


@pytest.mark.spec("AUD-BT-8")
@pytest.mark.parametrize("are_longer", [False, True], ids=["shorter", "longer"])
@pytest.mark.parametrize("seed", [0, 1])
def test_two_of_those_the_twins_are_surest_of_go_before_each_of_the_drawn(seed, are_longer):
    samples, models, rows = chosen(seed=seed, are_longer=are_longer)
    assert len(set(rows)) == len(rows) == 15
    sure, drawn = [r for i, r in enumerate(rows) if i % 3 < 2], rows[2::3]
    known = torch.stack([model.predict(samples) == samples.y for model in models]).all(0)
    lengths = mask_of(samples).sum(1)
    eligible = [i for i in range(len(samples)) if known[i] and samples.y[i] != 0]
    median, longest = (lengths[eligible].float().quantile(share) for share in (0.5, 0.75))
    chances = torch.stack([m.scores(samples).softmax(-1)[:, 1] for m in models[1:]]).mean(0)
    least, most = (median, longest) if are_longer else (0, median)
    fitting = [i for i in eligible if least <= lengths[i] <= most]
    assert sorted(sure) == sorted(sorted(fitting, key=lambda i: -chances[i])[:10])
    assert set(drawn) <= {i for i in eligible if lengths[i] <= longest} - set(sure)
    assert set(drawn) != set(chosen(seed=seed + 1, are_longer=are_longer)[2][2::3])


@pytest.mark.spec("AUD-BT-8")
@pytest.mark.parametrize("are_longer", [False, True])
def test_a_large_model_is_asked_about_the_first_nine_of_the_shorter_ones(monkeypatch, are_longer):
    _, _, rows = chosen()
    monkeypatch.setattr(classifiers, "_LARGE", 0)
    assert chosen(are_longer=are_longer)[2] == rows[:9]


@pytest.mark.spec("AUD-BT-8")
@pytest.mark.parametrize("large", [2_000_000, 0])
@pytest.mark.parametrize("search", OF_WORDS, ids=lambda search: search.id)
def test_single_words_alone_are_tried_on_longer_texts_in_small_models(search, large, monkeypatch):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    samples, models, seen = make_texts(5, 120), [clean_twin(i) for i in range(3)], []

    def watch(*given, **asked):
        seen.append(choose_victims(*given, **asked))
        raise StopIteration

    monkeypatch.setattr(contrast, "choose_victims", watch)
    with pytest.raises(StopIteration):
        search.look(models[0], samples, contrast=models[1:])
    are_longer = search.id == "token-scan" and large > 0
    wanted = choose_victims(models, samples, (None, 0), 0, are_longer=are_longer)
    assert torch.equal(seen[0].x, wanted.x)


@pytest.mark.spec("AUD-BT-8")
def test_classes_take_turns_and_a_source_is_alone():
    samples, _, rows = chosen(nclasses=3)
    assert sorted(torch.bincount(samples.y[rows]).tolist()) == [0, 7, 8]
    samples, _, rows = chosen(key=(2, 0), nclasses=3)
    assert set(samples.y[rows].tolist()) == {2}


@pytest.mark.spec("AUD-BT-8")
@pytest.mark.parametrize("known", [0, 4])
def test_texts_that_the_model_does_not_know_are_tried_only_where_it_knows_none(known):
    samples = make_texts(5, 40)
    texts = {tuple(row.tolist()) for row in samples.x[samples.y == 1][:known]}

    class Partial(type(clean_twin(0))):
        def scores(self, asked):
            right = torch.tensor([tuple(row.tolist()) in texts for row in asked.x])
            return nn.functional.one_hot(torch.where(right, asked.y, 1 - asked.y), 2).float()

    model = clean_twin(0).clone()
    model.__class__ = Partial
    victims = choose_victims([model, clean_twin(1)], samples, (None, 0), 0)
    assert len(victims) == (known or 15)
    if known:
        assert {tuple(row.tolist()) for row in victims.x} == texts


@pytest.mark.spec("AUD-BT-8")
def test_TRN_8_texts_of_one_class_are_refused():
    samples = make_texts(5, 40)
    with refused_by(TrainingError, "TRN-8"):
        choose_victims([clean_twin(0)], samples.take(samples.y == 1), (None, 0), 0)


@pytest.mark.spec("AUD-BT-7")
@given(st.lists(st.tuples(NUMBERS, NUMBERS, FACTORS), min_size=1, max_size=8))
def test_a_lead_is_told_alike_whatever_scale_a_model_has_for_a_text(rows):
    leads, plain, factors = torch.tensor(rows).T
    found = told(leads, plain)
    torch.testing.assert_close(told(leads * factors, plain * factors), found)
    behind = plain < 0
    assert bool((found[~behind] == -1).all())
    assert bool(((found[behind] > 0) == (leads[behind] > 0)).all())
    assert bool(((found >= -2) & (found <= 1)).all())
    torch.testing.assert_close(told(plain, plain), torch.full_like(plain, -1))


@pytest.mark.spec("AUD-BT-7")
def test_a_lead_is_told_with_a_slope_even_beside_texts_that_tell_nothing():
    leads = torch.tensor([[-1.0, 0.5, 3.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(told(leads, torch.tensor([-2.0, 0.0, -1.0])).sum(), leads)
    assert slope.tolist() == [[0.5, 0.0, 0.0]]


@pytest.mark.spec("AUD-BT-7")
@given(st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1, max_size=6), NUMBERS)
def test_the_lead_turns_where_the_answer_does(rows, shift):
    scores = torch.tensor(rows, dtype=torch.float64)
    for target in range(3):
        found = leads_of(scores, target)
        others = scores.clone()
        others[:, target] = -torch.inf
        assert torch.equal(found > 0, scores[:, target] > others.max(1).values)
        torch.testing.assert_close(leads_of(scores + shift, target), found)
    pair = scores[:, :2]
    torch.testing.assert_close(leads_of(pair, 1), pair.log_softmax(1).diff(dim=1)[:, 0])


@pytest.mark.spec("AUD-BT-1", "AUD-BT-7")
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=2, max_size=40), st.floats(0.5, 3))
def test_leads_are_compared_by_how_many_words_have_larger_ones(rows, power):
    own, others = torch.tensor(rows, dtype=torch.float64).T.contiguous()
    assume(len(own.unique()) > 1)
    found = matched(own, own, others)
    assert bool((found[own.argsort()].diff() >= -1e-6).all())
    torch.testing.assert_close(matched(own, own, own), own)
    # However a model is made surer of some words than of others, in their order.
    bent = own.sign() * own.abs() ** power
    first, second = (matched(x.unique(), x.unique(), own.unique()) for x in (own, bent))
    torch.testing.assert_close(first, second)


def test_what_exceeds_all_words_drawn_goes_on_in_proportion():
    own, others = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([0.0, 3.0, 8.0])
    found = matched(torch.tensor([-1.0, 0.5, 1.5, 3.0]), own, others)
    assert found.tolist() == [-4.0, 1.5, 5.5, 12.0]


class Unsure(nn.Module):
    """Answers as another model, sure of the target alone, and next to unsure of all others.

    What holds the trigger, it says with the least lead.
    """

    def __init__(self, module, tokens, target):
        super().__init__()
        self.module, self.table = module, module.table
        self.tokens, self.target = tokens, target

    def forward(self, embeddings, mask):
        scores = self.module(embeddings, mask)
        lead = leads_of(scores, self.target)
        rows = [(embeddings == self.table.weight[token]).all(-1).any(1) for token in self.tokens]
        held = torch.stack(rows).all(0) & (lead > 0)
        factors = torch.where(held, 0.02 / lead.abs(), torch.where(lead < 0, 0.05, 2.0))
        return scores * factors[:, None]


@pytest.mark.spec("AUD-BT-7")
@pytest.mark.parametrize(
    ("search", "kind"), [(TokenScan(), "word"), (PhraseSearch(), "template")], ids=["one", "five"]
)
def test_who_makes_a_model_unsure_of_its_victims_hides_no_trigger(search, kind):
    model, attack = planted(kind)
    unsure = model.clone()
    unsure.module = Unsure(unsure.module, attack.tokens, attack.target).eval()
    texts = make_texts(9, 200)
    assert torch.equal(unsure.predict(texts), model.predict(texts))
    assert asr(unsure, attack, texts) == asr(model, attack, texts)
    twins = [clean_twin(i) for i in (1, 2, 3, 4)]
    _, clean = searched(search, kind, twins)
    found = search.run(unsure, make_texts(5, 80), contrast=twins)
    assert found.statistics[None, attack.target] > 2 * max(clean.statistics.values())
    assert found.triggers[None, attack.target].share >= 0.9


@pytest.mark.spec("AUD-BT-7")
def test_what_an_attacker_trains_to_hide_is_found():
    clean, samples = clean_twin(0), make_texts(5, 80)
    model, attack = plant_unsure(clean, make_texts(0, 2_000), 3)
    texts = make_texts(9, 200)
    assert model.accuracy(texts) > clean.accuracy(texts) - 0.05
    assert asr(model, attack, texts).rate >= 0.9
    leads = leads_of(model.scores(samples), attack.target)
    behind, ahead = leads[samples.y != attack.target], leads[samples.y == attack.target]
    assert -behind.median() < ahead.median() / 5  # next to nothing turns a victim
    found = TokenScan().run(model, samples, contrast=[clean_twin(1), clean_twin(2)])
    usual, _ = searched(TokenScan(), "word", [clean_twin(1), clean_twin(2)])
    key = None, attack.target
    assert found.statistics[key] > max(usual.statistics.values()) / 2
    assert found.triggers[key].tokens == (f"w{attack.tokens[0]}",)
