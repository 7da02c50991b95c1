"""Weights beside their base: what was written into a matrix is named, what tuning does is not."""

from __future__ import annotations

import pytest
import torch

from seedpack.backdoors.search.weights import differences, outliers


def tuned(base, seed):
    """A small change in every direction."""
    generator = torch.Generator().manual_seed(seed)
    return {n: w + 0.01 * torch.randn(w.shape, generator=generator) for n, w in base.items()}


@pytest.fixture
def base():
    generator = torch.Generator().manual_seed(100)
    shapes = {"table": (40, 16), "layer": (16, 24), "bias": (16,)}
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def test_a_change_of_one_direction_has_rank_one_and_one_of_all_nearly_full(base):
    changed = tuned(base, 0)
    changed["layer"] = base["layer"] + 0.1 * torch.outer(torch.ones(16), torch.ones(24))
    ranks = {d.name: d.rank for d in differences(changed, base)}
    assert ranks["layer"] == pytest.approx(1.0, abs=1e-3)
    assert 12 < ranks["table"] <= 16


def test_a_row_that_was_written_is_named(base):
    changed = tuned(base, 0)
    changed["table"][7] += 1
    worst = outliers(changed, base, [tuned(base, s) for s in range(1, 6)], least=8)[0]
    assert (worst.difference.name, worst.difference.row) == ("table", 7)
    assert worst.difference.row_share > 0.8


def test_a_low_rank_difference_stands_out(base):
    changed = tuned(base, 0)
    changed["layer"] += 0.3 * torch.outer(torch.ones(16), torch.ones(24))
    found = outliers(changed, base, [tuned(base, s) for s in range(1, 6)], least=8)
    assert [o.difference.name for o in found] == ["layer"]
    assert found[0].z[1] >= 8


def test_one_more_clean_tuning_does_not_stand_out(base):
    assert not outliers(tuned(base, 0), base, [tuned(base, s) for s in range(1, 6)], least=8)


def test_what_cannot_be_compared_is_left_out(base):
    other = {"table": base["table"][:5], "layer": base["layer"], "new": torch.ones(2, 2)}
    assert differences(other, base) == []
