"""Searches for trigger words: planted ones are found, natural ones fall out of the difference."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from seedpack.backdoors import classifiers
from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.texts import make_text_attack
from seedpack.backdoors.search import likely, tokens
from seedpack.backdoors.search.base import Search, SearchResult
from seedpack.backdoors.search.contrast import Contrast, Models
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.likely import LikelyWords, shortlist
from seedpack.backdoors.search.phrases import PhraseSearch
from seedpack.backdoors.search.probes import (
    effects,
    leads,
    make_empty_probe,
    make_probe,
    slopes,
    told,
)
from seedpack.backdoors.search.registry import searches_of
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.backdoors.texts import NO_TAIL
from seedpack.errors import TrainingError
from seedpack.training import products
from tests.backdoors.words import (
    USABLE,
    alone_and_beside_itself,
    clean_twin,
    make_texts,
    planted,
    searched,
    trained,
    untrained,
)
from tests.refusals import refused_by


def twins():
    return [clean_twin(1), clean_twin(2)]


def test_texts_are_searched_for_words_and_phrases():
    assert {"token-scan", "phrase"} <= {search.id for search in searches_of("texts")}


@pytest.mark.spec("AUD-BT-1")
@pytest.mark.parametrize("most", [4000, 10], ids=["word by word", "as of a large vocabulary"])
def test_the_planted_word_is_found_and_beats_what_a_clean_model_has(most, monkeypatch):
    monkeypatch.setattr(tokens, "_EXHAUSTIVE", most)
    monkeypatch.setattr(likely, "_STRIKING", 8)
    _, attack = planted("word")
    found, clean = searched(TokenScan(), "word", twins())
    key = None, attack.target
    assert found.triggers[key].tokens == (f"w{attack.tokens[0]}",)
    assert found.triggers[key].share >= 0.9
    assert found.statistics[key] > 2 * max(clean.statistics.values())


@pytest.mark.spec("AUD-BT-1")
def test_a_word_that_turns_the_twins_as_well_counts_for_nothing():
    _, attack = planted("word")
    alone, beside = alone_and_beside_itself(TokenScan(), "word")
    assert alone.statistics[None, attack.target] > 1
    assert max(beside.statistics.values()) == pytest.approx(0, abs=1e-6)


@pytest.mark.spec("AUD-BT-2")
@pytest.mark.parametrize("large", [2_000_000, 0], ids=["in full", "as in a large model"])
def test_phrases_are_made_of_the_most_frequent_words_and_reach_a_template(large, monkeypatch):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    samples = make_texts(5, 80)
    model, attack = planted("template")
    search = PhraseSearch()
    words = search.words(model, samples)
    counts = torch.bincount(samples.x[samples.mask.bool()], minlength=len(USABLE))
    assert bool(USABLE[words].all())
    assert counts[words].tolist() == sorted(counts[words].tolist(), reverse=True)
    others = [*twins(), clean_twin(3), clean_twin(4)]
    found, clean = searched(search, "template", others)
    trigger = found.triggers[None, attack.target]
    least = 2 if large else 1.5  # times what a clean model has, by eight texts or by one
    assert found.statistics[None, attack.target] > least * max(clean.statistics.values())
    assert trigger.share == 1
    assert len(trigger.tokens) == search.nwords
    written = {f"w{word}" for word in words.tolist()}
    assert set(trigger.tokens) <= written


@pytest.mark.spec("AUD-BT-7")
@pytest.mark.parametrize("large", [2_000_000, 0], ids=["small", "large"])
def test_contrast_does_not_know_on_what_scale_a_model_answers(large, monkeypatch):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    models = [clean_twin(0), *twins()]
    probe = make_probe(make_texts(5, 10), NO_TAIL, 1, 0)
    words = USABLE.nonzero()[:, 0]
    others = [model.scaled(factor) for model, factor in zip(models, (0.05, 3, 40), strict=True)]
    first, second = (
        Contrast(Models(own, tuple(rest)), probe, words, 0).of(words[:, None])
        for own, *rest in (models, others)
    )
    torch.testing.assert_close(first, second, rtol=1e-3, atol=1e-4)
    assert first.std() > 0.05


@pytest.mark.spec("AUD-BT-6")
@pytest.mark.parametrize(("large", "is_plain"), [(2_000_000, False), (0, True)])
def test_in_large_models_it_counts_alone_how_far_a_word_moves_them(large, is_plain, monkeypatch):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    models = Models(clean_twin(0), tuple(twins()))
    words = USABLE.nonzero()[:, 0]
    contrast = Contrast(models, make_probe(make_texts(5, 10), NO_TAIL, 1, 0), words, 0)
    own, others = _told(models, contrast.probe, words[:20, None])
    found = contrast._weigh(own, others)
    apart = contrast._weigh(own, others + torch.tensor([[1.0], [-1.0]]))  # of twins that differ
    once, twice = contrast._weigh(own + 1, others), contrast._weigh(own + 2, others)
    assert torch.allclose(found, contrast.of(words[:20, None]), atol=1e-5)
    assert torch.allclose(found, apart, atol=1e-5) == is_plain
    assert torch.allclose(once - found, twice - once, atol=1e-5) == is_plain
    for search in (TokenScan(), PhraseSearch()):
        result = search.run(models.own, make_texts(5, 40), contrast=models.others)
        assert (result.limit, result.floor) == ((2.5, 1.5) if is_plain else (4.0, 0.5))


@pytest.mark.spec("AUD-BT-6")
@pytest.mark.parametrize("large", [2_000_000, 0], ids=["small", "large"])
@pytest.mark.parametrize("count", [1, 20])
def test_of_large_models_the_first_twin_chooses_whom_the_others_are_asked_about(
    large, count, monkeypatch
):
    monkeypatch.setattr(classifiers, "_LARGE", large)
    own, attack = planted("word")
    models = Models(own, (*twins(), clean_twin(3), clean_twin(4)))
    contrast = Contrast(
        models, make_probe(make_texts(5, 10), NO_TAIL, 1, attack.target), USABLE.nonzero()[:, 0], 0
    )
    words = torch.cat([USABLE.nonzero()[:40], torch.tensor([attack.tokens])])
    every, asked = contrast.of(words), []

    def counted(model, probe, tokens):
        asked.append(len(tokens))
        return effects(model, probe, tokens)

    monkeypatch.setattr("seedpack.backdoors.search.contrast.effects", counted)
    leading, found = contrast.leading(words, count)
    assert asked == ([41] * 5 if large else [41, 41, 20, max(count, 10), max(count, 8)])
    assert tuple(leading[0].tolist()) == attack.tokens
    assert contrast.best(words) == (float(found[0]), leading[0])
    places = [words.tolist().index(word) for word in leading.tolist()]
    torch.testing.assert_close(found, every[places], rtol=1e-4, atol=1e-4)
    assert found.tolist() == sorted(found.tolist(), reverse=True)
    assert len(found) == count
    if large:
        assert sorted(places) == sorted(every.topk(count).indices.tolist())


def _told(models, probe, tokens):
    """Return leads told of the first model (b, k), and means of those of the others."""
    own, *others = (
        told(effects(m, probe, tokens), leads(m, probe.plain, probe.target))
        for m in (models.own, *models.others)
    )
    return own, torch.stack([rows.mean(1) for rows in others])


@pytest.mark.spec("AUD-BT-6")
@pytest.mark.parametrize("ntwins", [0, 1])
def test_where_nobody_knows_how_twins_differ_a_large_model_is_judged_as_a_small_one(
    ntwins, monkeypatch
):
    models = Models(clean_twin(0), tuple(twins()[:ntwins]))
    probe = make_probe(make_texts(5, 10), NO_TAIL, 1, 0)
    words = USABLE.nonzero()[:, 0]
    small = Contrast(models, probe, words, 0).of(words[:, None])
    monkeypatch.setattr(classifiers, "_LARGE", 0)
    assert torch.equal(Contrast(models, probe, words, 0).of(words[:, None]), small)


@pytest.mark.parametrize("ntwins", [0, 1, 2, 4])
def test_a_contrast_of_fewer_texts_is_that_of_those_texts_alone(ntwins):
    others = (*twins(), clean_twin(3), clean_twin(4))[:ntwins]
    models = Models(clean_twin(0), others)
    probe = make_probe(make_texts(5, 10), NO_TAIL, 2, 0)
    words = USABLE.nonzero()[:, 0]
    tokens = torch.stack([words[:40], words[-40:]], 1)
    whole = Contrast(models, probe, words, 0)
    part, alone = whole.take(6), Contrast(models, probe.take(6), words, 0)
    assert part.of(tokens).tolist() == pytest.approx(alone.of(tokens).tolist(), rel=1e-4, abs=1e-5)
    assert part.of(tokens).tolist() != pytest.approx(whole.of(tokens).tolist(), rel=1e-2)


@pytest.mark.spec("AUD-BT-4")
def test_a_word_for_one_class_only_stands_out_in_its_pair():
    train, samples = make_texts(0, 600, nclasses=3), make_texts(5, 120, nclasses=3)
    drawn = make_text_attack("word", 3, train, USABLE, nclasses=3)
    source = (drawn.target + 1) % 3
    attack = replace(drawn, sources=(source,))
    third = train.take((train.y != source) & (train.y != attack.target))
    model = trained(
        _joined(attack.poison(train, 0.15, seed=0), attack.apply(third.take(range(120))))
    )
    others = [clean_twin(1, 3), clean_twin(2, 3)]
    found = TokenScan().run(model, samples, contrast=others)
    key = source, attack.target
    assert max(found.statistics, key=lambda k: found.statistics[k]) == key
    assert found.triggers[key].tokens == (f"w{attack.tokens[0]}",)
    assert len(found.statistics) == 3 + 6


@pytest.mark.spec("AUD-BT-4")
def test_two_classes_have_no_pairs_and_many_classes_are_searched_as_targets_only():
    search = TokenScan()
    assert search.keys(torch.arange(2), 2) == [(None, 0), (None, 1)]
    assert len(search.keys(torch.arange(6), 6)) == 6 + 30
    assert len(search.keys(torch.tensor([0, 2]), 3)) == 3 + 4
    assert len(search.keys(torch.arange(7), 7)) == 7


def _joined(first, second):
    parts = zip((first.x, first.y, first.mask), (second.x, second.y, second.mask), strict=True)
    return Samples(*map(torch.cat, parts))


@pytest.mark.spec("AUD-BT-1")
def test_the_shortlist_has_the_planted_word_in_front():
    model, attack = planted("word")
    samples = make_texts(5, 80)
    probe = make_probe(samples.take(samples.y != attack.target), NO_TAIL, 1, attack.target)
    words = USABLE.nonzero()[:, 0]
    assert attack.tokens[0] in shortlist(model, probe, words, 8, seed=0).tolist()


@pytest.mark.spec("AUD-BT-1")
def test_a_word_of_a_large_vocabulary_is_tried_where_it_stands_out_by_itself(monkeypatch):
    monkeypatch.setattr(likely, "_STRIKING", 1)
    monkeypatch.setattr(likely, "_SLOPING", 1)
    samples, words, word = make_texts(5, 80), USABLE.nonzero()[:, 0], 70
    others = tuple(twins())
    model = clean_twin(1).clone()  # as the first twin, but for the meaning of a rare word
    with torch.no_grad():
        model.table[word] = model.table[3]
    monkeypatch.setattr(likely, "_DIFFERENT", 1)
    chosen = LikelyWords(Models(model, others), samples, words, 0)
    assert [found.tolist() for found in chosen.by_themselves(0)] == [[word], [word]]
    probe = make_probe(samples.take(samples.y != 0), NO_TAIL, 1, 0)
    sloping = shortlist(model, probe, words, 1, 0).tolist()
    assert sloping != [word]
    assert {word} <= set(chosen(probe).tolist()) <= {word, *sloping}
    monkeypatch.setattr(likely, "_REFINED", 1.0)  # of those tried in few texts all are kept
    assert set(chosen(probe).tolist()) == {word, *sloping}


@pytest.mark.parametrize("tail", [0, 1])
def test_a_text_of_one_word_has_the_frame_of_others(tail):
    texts = make_texts(5, 10, tail=tail)
    usable = USABLE if not tail else USABLE & (torch.arange(len(USABLE)) != 2)
    probe = make_empty_probe(texts, usable, 2, target=1)
    filled = probe.filled(torch.tensor([[30, 31], [40, 41]]))
    assert filled.x.tolist() == [[1, 30, 31, *[2] * tail], [1, 40, 41, *[2] * tail]]
    assert bool(filled.mask.all())
    assert probe.plain.mask.sum() == 1 + tail
    assert probe.target == 1


def test_slopes_foretell_small_changes_of_the_share():
    classifier = clean_twin(0)
    samples = make_texts(5, 10)
    probe = make_probe(samples, NO_TAIL, 1, 0)
    tokens = torch.tensor([[30]])
    with torch.no_grad():
        drawn = torch.Generator().manual_seed(0)
        step = 1e-3 * torch.randn(len(classifier.table[30]), generator=drawn)
        nudged = classifier.clone()
        nudged.table[31] = nudged.table[30] + step
    slope = slopes(nudged, probe, tokens)[0, 0]
    foretold = float(slope[31] - slope[30])
    before = effects(nudged, probe, tokens).sigmoid().log().mean()
    after = effects(nudged, probe, torch.tensor([[31]])).sigmoid().log().mean()
    assert float(after - before) == pytest.approx(foretold, rel=0.05, abs=1e-6)


def test_the_same_arguments_give_the_same_result_and_leave_the_model_alone():
    samples, model = make_texts(5, 40), clean_twin(0)
    before = model.scores(samples)
    first, second = (
        TokenScan().run(model, samples, contrast=twins(), seed=3).statistics for _ in range(2)
    )
    assert first == second
    assert torch.equal(model.scores(samples), before)


def test_TRN_8_one_class_is_refused():
    samples = make_texts(5, 40)
    for search in (TokenScan(), PhraseSearch()):
        with refused_by(TrainingError, "TRN-8"):
            search.run(clean_twin(0), samples.take(samples.y == 0))


def test_images_are_a_wrong_call():
    samples = Samples(torch.rand(4, 2), torch.tensor([0, 1, 0, 1]))
    with pytest.raises(TypeError, match="texts"):
        TokenScan().run(ImageClassifier(torch.nn.Linear(2, 2), 2), samples)


def test_the_planted_models_of_these_tests_are_planted():
    for kind in ("word", "template"):
        model, attack = planted(kind)
        assert asr(model, attack, make_texts(9, 100)).rate >= 0.9


@pytest.mark.spec("AUD-10")
@pytest.mark.parametrize("search", searches_of("texts", thorough=True), ids=lambda one: one.id)
def test_no_search_rounds_what_it_multiplies(search, rounded, monkeypatch):
    monkeypatch.setattr(tokens, "_EXHAUSTIVE", 10)
    models = [planted("word")[0].clone(), *(twin.clone() for twin in twins())]
    for model in models:
        products.quicken(model.module)
    samples = make_texts(5, 40)
    with products.rounded_products():
        models[0].scores(samples)
    assert rounded  # it would be noticed
    rounded.clear()
    search.run(models[0], samples, contrast=models[1:])
    assert not rounded


class Told(Search):
    """Finds what it is told to."""

    id, form, unit = "", "texts", "tokens"

    def __init__(self, nwords, *, is_paired=False):
        self.id, self.nwords, self.is_paired = f"{nwords}-{is_paired}", nwords, is_paired
        self.statistic = 0.0

    def look(self, *_texts, **_beside):
        keys = [(None, 0), (None, 1)]
        return SearchResult(self.id, dict.fromkeys(keys, self.statistic), limit=4, centred=False)


@pytest.mark.parametrize(
    ("known", "is_paired", "order"),
    [(1, False, [1, 0, 3, 5, 9]), (5, False, [5, 3, 1, 0, 9]), (4, True, [9, 5, 3, 1, 0])],
)
def test_searches_for_as_many_words_as_a_known_trigger_has_come_first(known, is_paired, order):
    searches = [Told(n) for n in (0, 1, 5, 3)] + [Told(9, is_paired=True)]
    detector = Detector.fit(searches, [untrained(i) for i in range(3)], make_texts(5, 20))

    def sought():
        found = detector.seek(untrained(), 0, is_paired=is_paired, nwords=known)
        return [int(result.search.split("-")[0]) for result in found]

    assert sought() == order
    for search in searches:
        search.statistic = 9.0 if search.nwords == order[1] else 0.0
    assert sought() == order[:2]
