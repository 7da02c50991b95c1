"""Calibration on clean twins: made-up statistics, whose right verdicts are known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.search.base import SearchResult, Trigger
from seedpack.backdoors.search.calibration import (
    JOINT,
    MANY,
    Calibration,
    judge_all,
    leave_one_out,
)

LIMIT = 5.0
KEYS = [(None, target) for target in range(10)]


def results(values, name="mask", **options):
    """One result per row of ``values`` (models, keys)."""
    keys = [(None, target) for target in range(values.shape[1])]
    rows = [dict(zip(keys, map(float, row), strict=True)) for row in values]
    return [SearchResult(name, row, **options, limit=LIMIT) for row in rows]


def clean(seed, nmodels, nkeys=10, shift=1.0):
    """Statistics of clean models: each key and each model has a level of its own."""
    random = np.random.default_rng(seed)
    levels = random.normal(size=(1, nkeys)) + shift * random.normal(size=(nmodels, 1))
    return levels + 0.1 * random.normal(size=(nmodels, nkeys))


@pytest.mark.spec("AUD-BD-3")
@given(st.integers(0, 50), st.permutations(range(10)))
def test_relabelling_the_classes_changes_no_verdict_but_its_key(seed, order):
    values = clean(seed, 6)
    *twins, model = results(values)
    before = Calibration.fit(twins).judge(model)
    *twins, model = results(values[:, list(order)])
    after = Calibration.fit(twins).judge(model)
    assert math.isclose(before.z, after.z, rel_tol=1e-9, abs_tol=1e-9)
    assert order[after.key[1]] == before.key[1]


@pytest.mark.spec("AUD-BD-3")
@given(st.integers(0, 50), st.floats(-5, 5), st.floats(0.1, 10))
def test_neither_unit_nor_level_of_a_statistic_changes_z(seed, level, unit):
    values = clean(seed, 6)
    *twins, model = results(values)
    before = Calibration.fit(twins).judge(model).z
    *twins, model = results(unit * values + level)
    after = Calibration.fit(twins).judge(model).z
    assert math.isclose(before, after, rel_tol=1e-6, abs_tol=1e-6)


def test_a_key_that_stands_out_is_named_with_its_trigger():
    values = clean(0, 6)
    values[5, 3] += 3
    *twins, model = results(values)
    found = Trigger(share=1.0, n=45, norm=2.0)
    model = SearchResult("mask", model.statistics, {(None, 3): found}, limit=LIMIT)
    verdict = Calibration.fit(twins).judge(model)
    assert verdict.suspicious
    assert verdict.key == (None, 3)
    assert verdict.trigger is found


def test_a_model_whose_every_key_is_higher_does_not_stand_out_where_keys_are_many():
    values = clean(1, 6, shift=0.0)
    values[5] += 3
    *twins, model = results(values)
    assert not Calibration.fit(twins).judge(model).suspicious


@pytest.mark.spec("AUD-BD-7")
def test_what_all_searches_by_pairs_find_counts_more_than_what_one_of_them_finds():
    names = ("pair-mask", "pair-added", "pair-apart")
    keys = [(s, t) for s in range(4) for t in range(4) if s != t]
    columns = []
    for i, name in enumerate(names):
        values = clean(i, 9, len(keys))
        values[6, i] += 0.8  # of one model each search stands out somewhere else
        values[7, 5] += 0.8  # of another all of them at one pair
        rows = [dict(zip(keys, map(float, row), strict=True)) for row in values]
        columns.append([SearchResult(name, row, limit=100.0) for row in rows])
    fitted = {column[0].search: Calibration.fit(column[:6]) for column in columns}
    apart, together = (judge_all(fitted, [c[i] for c in columns]) for i in (6, 7))
    assert together.verdicts[0].search == JOINT
    assert together.verdicts[0].key == keys[5]
    assert together.verdicts[0].z > 1.3 * max(v.z for v in together.verdicts[1:])
    assert apart.verdicts[0].z < max(v.z for v in apart.verdicts[1:])
    alone = judge_all(fitted, [columns[0][7]])
    assert [v.search for v in alone.verdicts] == ["pair-mask"]


def many(values, latitude=0.3):
    """What is said of the last row's keys one by one, and of most of them together."""
    *twins, model = results(values, latitude=latitude)
    judgement = judge_all({"mask": Calibration.fit(twins)}, [model])
    said = {v.search: v for v in judgement.verdicts}
    return said["mask"], said[MANY[False]]


@pytest.mark.spec("AUD-BD-10")
@given(st.integers(0, 50), st.integers(4, 10), st.permutations(range(10)))
def test_triggers_for_many_classes_stand_out_although_no_class_does(seed, count, order):
    values = clean(seed, 9, shift=0.05)
    values[8, list(order[:count])] += 2
    _, together = many(values)
    assert together.suspicious
    assert together.key[1] in order[:count]


@pytest.mark.spec("AUD-BD-10")
@given(st.integers(0, 50))
def test_half_of_the_classes_hide_from_what_takes_the_median_off(seed):
    values = clean(seed, 9, shift=0.05)
    values[8, :6] += 0.7
    alone, together = many(values, latitude=0.1)
    assert not alone.suspicious
    assert together.suspicious


@pytest.mark.spec("AUD-BD-10")
@given(st.integers(0, 50), st.floats(-5, 1))
def test_a_model_moved_as_a_whole_by_no_more_than_other_training_does_stays_quiet(seed, moved):
    values = clean(seed, 9, shift=0.05)
    values[8] += moved
    _, together = many(values)
    assert not together.suspicious


@pytest.mark.spec("AUD-BD-10")
@given(st.integers(0, 50), st.floats(1, 1_000))
def test_classes_made_hard_to_turn_hide_no_trigger_of_another(seed, moved):
    values = clean(seed, 9, shift=0.05)
    values[8, :5] -= moved
    values[8, 9] += 2
    alone, _ = many(values)
    assert alone.by_key[None, 9] >= LIMIT


@pytest.mark.spec("AUD-BD-12")
def test_ease_is_how_far_most_keys_are_moved_and_least_where_all_are_hard_to_turn():
    values = clean(0, 9, shift=0.0)
    values[8] -= 1.5
    *twins, model = results(values, latitude=0.3)
    fitted = {"mask": Calibration.fit(twins)}
    hard, usual = (judge_all(fitted, [one]) for one in (model, twins[0]))
    assert -6 < hard.ease < -3
    assert -1 < usual.ease < 1
    assert not hard.suspicious
    *twins, model = results(values, latitude=0.0)
    assert math.isnan(judge_all({"mask": Calibration.fit(twins)}, [model]).ease)


@pytest.mark.spec("AUD-BD-10")
def test_one_class_alone_is_left_to_the_search_itself():
    values = clean(0, 9, shift=0.05)
    values[8, 3] += 5
    alone, together = many(values)
    assert alone.suspicious
    assert together.z < 1


@pytest.mark.spec("AUD-BD-10")
def test_searches_with_the_same_keys_speak_of_many_together_and_others_not_at_all():
    keys = [(s, t) for s in range(4) for t in range(4) if s != t]
    columns = []
    for name, latitude in {"pair-mask": 0.1, "pair-added": 0.3, "pair-apart": 0.0}.items():
        rows = [dict.fromkeys(keys, 0.0) for _ in range(4)]
        rows[3] = dict.fromkeys(keys, 0.9)
        columns.append([SearchResult(name, r, latitude=latitude, limit=9.0) for r in rows])
    columns.append(results(np.zeros((4, 10)), "mask", latitude=0.3))
    uncentred = [SearchResult("recall", r.statistics, centred=False, limit=9.0) for r in columns[3]]
    columns.append(uncentred)
    fitted = {column[0].search: Calibration.fit(column[:3]) for column in columns}
    judgement = judge_all(fitted, [column[3] for column in columns])
    said = {v.search: v.z for v in judgement.verdicts}
    assert math.isclose(said[MANY[True]], (9.0 + 3.0) / 2)
    assert said[MANY[False]] == 0.0
    assert len(said) == 5 + 1 + 2  # each search, pairs together, many pairs and many targets


def test_with_two_keys_the_level_of_the_model_itself_counts():
    values = clean(2, 6, nkeys=2, shift=0.0)
    values[5] += 3
    *twins, model = results(values)
    assert Calibration.fit(twins).judge(model).suspicious


@pytest.mark.spec("AUD-BD-3")
def test_five_twins_of_ten_classes_raise_few_false_alarms():
    alarms = 0
    for seed in range(400):
        *twins, model = results(clean(seed, 6))
        alarms += Calibration.fit(twins).judge(model).suspicious
    assert alarms <= 4


def test_differences_below_the_floor_mean_nothing():
    values = np.zeros((6, 10))
    values[5, 3] = 0.01
    *twins, model = results(values, floor=0.05)
    assert Calibration.fit(twins).judge(model).z < 1


def test_the_worst_search_by_its_own_limit_comes_first():
    quiet, loud = clean(3, 6), clean(4, 6)
    loud[5, 0] += 5
    columns = [results(quiet, "mask"), results(loud, "additive")]
    fitted = {column[0].search: Calibration.fit(column[:5]) for column in columns}
    judgement = judge_all(fitted, [column[5] for column in columns])
    assert judgement.verdicts[0].search == "additive"
    assert judgement.suspicious
    assert judgement.score == judgement.verdicts[0].z / LIMIT


def test_each_twin_is_judged_by_the_others():
    values = clean(5, 6)
    values[2, 7] += 5
    judgements = leave_one_out([[r] for r in results(values)])
    assert [j.suspicious for j in judgements] == [i == 2 for i in range(6)]


def test_too_few_twins_or_other_keys_are_a_wrong_call():
    with pytest.raises(ValueError, match="at least 3"):
        Calibration.fit(results(clean(0, 2)))
    with pytest.raises(ValueError, match="different"):
        Calibration.fit([*results(clean(0, 3)), *results(clean(0, 1), "additive")])
    fitted = Calibration.fit(results(clean(0, 3)))
    with pytest.raises(ValueError, match="other keys"):
        fitted.judge(results(clean(0, 1, nkeys=9))[0])
