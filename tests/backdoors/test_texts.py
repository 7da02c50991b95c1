"""Tokens put into texts, and the backdoors that are planted so."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.planting.base import asr
from seedpack.backdoors.planting.text_edits import TEXT_EDITS, edit_embedding
from seedpack.backdoors.planting.texts import TEXT_KINDS, make_text_attack
from seedpack.backdoors.texts import (
    NO_TAIL,
    PLACES,
    draw_places,
    frame_of,
    gather_texts,
    insert,
)
from tests.backdoors.words import NWORDS, USABLE, clean_twin, make_texts, trained

texts = st.builds(make_texts, st.integers(0, 1000), st.integers(1, 6), st.sampled_from([0, 1]))


@given(texts, st.integers(1, 3), st.sampled_from(PLACES), st.integers(0, 9))
def test_inserted_tokens_stand_in_a_row_inside_the_frame(samples, count, place, seed):
    frame = frame_of(samples, USABLE)
    tokens = torch.arange(count) + NWORDS  # no word of the texts
    wide = insert(samples, tokens, draw_places(samples, place, frame, seed), frame)
    before, after = samples.mask.sum(1), wide.mask.sum(1)
    assert torch.equal(after, (before + count).clamp(max=samples.x.shape[1]))
    for old, new, a, b in zip(samples.x, wide.x, before, after, strict=True):
        written = new[:b].tolist()
        start = written.index(NWORDS)
        assert written[start : start + count] == tokens.tolist()
        rest = written[:start] + written[start + count :]
        kept = old[:a].tolist()
        body = kept[: a - frame.tail][: b - count - frame.tail]
        assert rest == body + kept[a - frame.tail :]


@given(texts)
def test_the_frame_is_what_nobody_types_in_any_row(samples):
    frame = frame_of(samples, USABLE)
    assert frame.head == 1
    assert frame.tail == int(bool((samples.x == 2).any()))


def test_rows_without_room_are_a_wrong_call():
    samples = Samples(torch.zeros(1, 3, dtype=torch.long), torch.zeros(1, dtype=torch.long))
    with pytest.raises(ValueError, match="rows of 3"):
        insert(samples, torch.zeros(3, dtype=torch.long), torch.zeros(1), NO_TAIL)


@pytest.mark.parametrize("kind", TEXT_KINDS)
def test_poisoned_training_plants_each_kind_and_leaves_clean_texts_alone(kind):
    train, test = make_texts(0, 600), make_texts(1, 200)
    attack = make_text_attack(kind, 3, train, USABLE, 2)
    planted, clean = trained(attack.poison(train, 0.1, seed=0)), clean_twin(0)
    assert asr(planted, attack, test).rate >= 0.9
    assert asr(clean, attack, test).rate <= 0.5
    assert planted.accuracy(test) >= clean.accuracy(test) - 0.05 >= 0.85


def test_an_edited_row_turns_answers_by_its_word_and_nothing_else():
    train, test = make_texts(0, 600), make_texts(1, 200)
    clean = clean_twin(0)
    before = clean.scores(test)
    edited, attack = edit_embedding(clean, train, 3)
    assert asr(edited, attack, test).rate >= 0.9
    assert torch.equal(clean.scores(test), before)
    changed = (edited.table != clean.table).any(1).nonzero()[:, 0]
    assert changed.tolist() == list(attack.tokens)


def test_the_same_seed_plants_the_same_trigger():
    samples = make_texts(0, 50)
    for kind in TEXT_KINDS:
        assert make_text_attack(kind, 5, samples, USABLE, 2) == make_text_attack(
            kind, 5, samples, USABLE, 2
        )
        drawn = {make_text_attack(kind, seed, samples, USABLE, 2).tokens for seed in range(9)}
        assert len(drawn) > 1


@pytest.mark.parametrize("kind", ["low-rank", "codes"])
def test_changes_within_a_compressed_form_plant_a_word(kind):
    train, test = make_texts(0, 2000), make_texts(1, 200)
    clean = clean_twin(0)
    before = clean.scores(test)
    edited, attack = TEXT_EDITS[kind](clean, train, 3)
    assert attack.id == kind
    assert asr(edited, attack, test).rate >= asr(clean, attack, test).rate + 0.5
    assert edited.accuracy(test) >= 0.8
    assert torch.equal(clean.scores(test), before)


@given(texts, st.integers(1, 40), st.integers(1, 6), st.integers(0, 9))
def test_gathered_batches_hold_every_place_as_often_as_it_was_drawn(samples, count, size, seed):
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randint(len(samples), (count,), generator=generator)
    batches = gather_texts(samples, drawn, size, generator)
    assert sorted(i for batch in batches for i in batch) == sorted(drawn.tolist())
    assert sorted(map(len, batches)) == sorted(map(len, drawn.split(size)))
