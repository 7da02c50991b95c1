"""Random numbers from seed and index: the published sequence, exact units (spec/codecs/prng.md)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs.prng import below, derive_seed, units, words

MASK = (1 << 64) - 1
seeds = st.integers(0, MASK)


def splitmix64(seed, count):
    """Return what the generator of the paper yields, state by state."""
    drawn = []
    for _ in range(count):
        seed = (seed + 0x9E3779B97F4A7C15) & MASK
        z = ((seed ^ (seed >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        drawn.append(z ^ (z >> 31))
    return drawn


@pytest.mark.spec("COD-PRNG-1")
@pytest.mark.parametrize(
    ("seed", "start", "expected"),
    [
        (0, 0, [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]),
        (0, 1 << 40, [0x1937167E168D9372, 0x0B9F1C6E4CAD87C8]),
        (MASK, 0, [0xE4D971771B652C20]),
        (1234567, 0, [6457827717110365317, 3203168211198807973, 9817491932198370423]),
    ],
)
def test_words_are_those_of_the_page(seed, start, expected):
    assert words(seed, start, len(expected)).tolist() == expected


@pytest.mark.spec("COD-PRNG-1")
@given(seeds, st.integers(0, 50))
def test_words_are_the_sequence_of_splitmix64(seed, count):
    assert words(seed, 0, count).tolist() == splitmix64(seed, count)


@given(seeds, st.integers(0, MASK), st.integers(0, 70_000), st.integers(0, 70_000))
def test_any_stretch_can_be_computed_alone(seed, start, skip, count):
    whole = words(seed, start, skip + count)
    assert np.array_equal(whole[skip:], words(seed, start + skip, count))


def test_a_derived_seed_is_a_word():
    assert derive_seed(1234567, 1) == 3203168211198807973


@pytest.mark.spec("COD-PRNG-2")
@given(seeds)
def test_units_are_exact_multiples_of_2_to_the_minus_23(word):
    (unit,) = units(np.array([word], np.uint64))
    assert Fraction(float(unit)) == Fraction((word >> 40) - (1 << 23), 1 << 23)


@pytest.mark.spec("COD-PRNG-2")
def test_units_reach_their_ends():
    drawn = units(np.array([0, 1 << 40, 1 << 63, MASK], np.uint64))
    assert drawn.dtype == np.float32
    assert drawn.tolist() == [-1.0, -1 + 2**-23, 0.0, 1 - 2**-23]


@pytest.mark.spec("COD-PRNG-3")
@given(seeds, st.integers(1, 1 << 32))
def test_integers_are_scaled_high_halves(word, bound):
    (drawn,) = below(np.array([word], np.uint64), bound).tolist()
    assert drawn == ((word >> 32) * bound) >> 32
    assert 0 <= drawn < bound


@pytest.mark.spec("COD-PRNG-3")
def test_integers_of_seed_0_are_those_of_the_page():
    assert below(words(0, 0, 3), 10).tolist() == [8, 4, 0]


@pytest.mark.parametrize("bound", [0, -1, (1 << 32) + 1])
def test_a_bound_out_of_range_is_a_wrong_call(bound):
    with pytest.raises(ValueError, match="bound"):
        below(words(0, 0, 1), bound)


def test_units_have_the_moments_of_the_uniform_distribution():
    drawn = units(words(7, 0, 1 << 16)).astype(np.float64)
    assert abs(drawn.mean()) < 5 / np.sqrt(3 * drawn.size)
    assert abs((drawn**2).mean() - 1 / 3) < 5 * np.sqrt(4 / 45 / drawn.size)
    assert abs((drawn[1:] * drawn[:-1]).mean()) < 5 / 3 / np.sqrt(drawn.size)
