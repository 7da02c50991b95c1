"""Layout of parity: who protects whom (spec: section 10)."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.stripes import Stripe, count_parity, stripe_layout

sizes = st.lists(st.integers(1, 5 << 20), max_size=60)
widths = st.integers(1, 20)
percents = st.integers(1, 1000)


@pytest.mark.spec("PAR-3")
def test_the_layout_is_the_one_that_the_specification_words_describe():
    # Bit lengths 7, 4, 7, 7, 4, 7, 7: a class of two, then one of five in three stripes.
    layout = stripe_layout([100, 9, 127, 64, 15, 90, 65], 2, 50)
    assert layout == (
        Stripe(members=(1, 4), shard_nbytes=15, nparity=1, first_parity=0),
        Stripe(members=(0, 5), shard_nbytes=100, nparity=1, first_parity=1),
        Stripe(members=(2, 6), shard_nbytes=127, nparity=1, first_parity=2),
        Stripe(members=(3,), shard_nbytes=64, nparity=1, first_parity=3),
    )


@pytest.mark.spec("PAR-3")
@pytest.mark.parametrize(
    ("nmembers", "percent", "nparity"),
    [(1, 1, 1), (16, 25, 4), (16, 26, 5), (100, 1, 1), (101, 1, 2), (3, 1000, 30), (20, 5, 1)],
)
def test_parity_is_rounded_up_without_floats(nmembers, percent, nparity):
    assert count_parity(nmembers, percent) == nparity


def test_no_chunks_have_no_stripes():
    assert stripe_layout([], 16, 20) == ()


@given(sizes, widths, percents)
def test_every_chunk_is_in_exactly_one_stripe(stored, width, percent):
    members = [
        index for stripe in stripe_layout(stored, width, percent) for index in stripe.members
    ]
    assert sorted(members) == list(range(len(stored)))


@given(sizes, widths, percents)
def test_stripes_keep_their_limits_and_waste_less_than_half(stored, width, percent):
    for stripe in stripe_layout(stored, width, percent):
        nbytes = [stored[index] for index in stripe.members]
        assert 1 <= len(stripe.members) <= width
        assert stripe.members == tuple(sorted(stripe.members))
        assert stripe.shard_nbytes == max(nbytes) < 2 * min(nbytes)
        assert stripe.nparity == count_parity(len(stripe.members), percent)


@given(sizes, widths, percents)
def test_parity_chunks_are_numbered_without_gaps(stored, width, percent):
    layout = stripe_layout(stored, width, percent)
    assert not layout or layout[0].first_parity == 0
    for stripe, following in pairwise(layout):
        assert following.first_parity == stripe.first_parity + stripe.nparity


def test_neighbours_of_one_size_are_in_different_stripes():
    layout = stripe_layout([1000] * 10, 4, 20)
    assert [stripe.members for stripe in layout] == [(0, 3, 6, 9), (1, 4, 7), (2, 5, 8)]
