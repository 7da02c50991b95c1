"""Figures of detectors, held against an independent implementation and their own laws."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.lab.metrics import (
    auc,
    auc_rate,
    share,
    threshold_at,
    tpr_at_fpr,
    tpr_rate,
)

# Few different values, so that ties are frequent.
scores = st.lists(st.integers(-5, 5), min_size=1, max_size=40).map(
    lambda values: np.array(values, np.float64)
)


@given(scores, scores)
def test_auc_is_sklearns(clean, planted):
    from sklearn.metrics import roc_auc_score

    labels = [0] * len(clean) + [1] * len(planted)
    assert auc(clean, planted) == pytest.approx(
        roc_auc_score(labels, np.concatenate([clean, planted]))
    )


@given(scores, scores)
def test_tpr_is_the_best_point_of_sklearns_curve(clean, planted):
    from sklearn.metrics import roc_curve

    labels = [0] * len(clean) + [1] * len(planted)
    fpr, tpr, _ = roc_curve(labels, np.concatenate([clean, planted]), drop_intermediate=False)
    assert tpr_at_fpr(clean, planted) == pytest.approx(tpr[fpr <= 0.05 + 1e-9].max())


@given(scores, st.floats(0, 0.99))
def test_no_more_false_alarms_than_allowed(clean, rate):
    assert (clean > threshold_at(clean, rate)).mean() <= rate + 1e-9


@given(scores, scores)
def test_swapping_sides_mirrors_auc(clean, planted):
    assert auc(clean, planted) == pytest.approx(1 - auc(planted, clean))


@given(scores, scores)
def test_order_is_all_that_counts(clean, planted):
    assert auc(3 * clean + 1, 3 * planted + 1) == auc(clean, planted)
    assert tpr_at_fpr(np.exp(clean), np.exp(planted)) == tpr_at_fpr(clean, planted)


def test_intervals_hold_their_value_and_narrow_with_more_models():
    rng = np.random.default_rng(0)
    widths = []
    for n in (10, 100):
        clean, planted = rng.normal(0, 1, n), rng.normal(1, 1, n)
        for figure in (auc_rate(clean, planted), tpr_rate(clean, planted)):
            assert 0 <= figure.low <= figure.value <= figure.high <= 1
            assert figure.n == n
            widths.append(figure.high - figure.low)
    assert widths[2] < widths[0]
    assert widths[3] < widths[1]


def test_all_found_is_not_certainty():
    figure = tpr_rate([0.0] * 20, [1.0] * 20)
    assert figure.value == 1
    assert figure.low < 0.9


def test_of_nothing_there_is_no_figure():
    assert auc_rate([], [1.0]) is None
    assert tpr_rate([1.0], []) is None
    assert share(0, 0) is None
    assert share(3, 4).value == 0.75
