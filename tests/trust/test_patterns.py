from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.trust.patterns import matches

few = st.text("ab/.", max_size=8)
patterns = st.text("ab/*.", max_size=8)


@given(patterns, few)
def test_star_matches_any_run_and_nothing_else_is_special(pattern, name):
    expression = ".*".join(map(re.escape, pattern.split("*")))
    assert matches(pattern, name) == bool(re.fullmatch(expression, name, re.DOTALL))


@given(st.lists(few, min_size=1, max_size=4), st.lists(few, min_size=3, max_size=3))
def test_filling_the_stars_gives_a_match(pieces, fillings):
    name = pieces[0] + "".join(f + p for f, p in zip(fillings, pieces[1:], strict=False))
    assert matches("*".join(pieces[:4]), name)


@pytest.mark.parametrize(
    "pattern, name, expected",
    [
        ("acme/*", "acme/minilm", True),
        ("acme/*", "acme/", True),
        ("acme/*", "acme/a/b", True),
        ("acme/*", "acme", False),
        ("acme/*", "evil/acme/x", False),
        ("*", "", True),
        ("", "", True),
        ("", "a", False),
        ("acme", "acme", True),
        ("acme", "acme2", False),
        ("a?", "ab", False),
        ("a[b]", "ab", False),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("*ab*ab", "ab", False),
        ("*ab*ab", "abab", True),
        ("a*b*", "ab\n", True),
        ("ab*ba", "aba", False),
        ("*ab*ab*", "ab", False),
        ("*ab*ab*", "xabyabz", True),
        ("a*b*a*", "ab", False),
        ("a*a*", "a", False),
    ],
)
def test_cases(pattern, name, expected):
    assert matches(pattern, name) is expected


def test_hostile_pattern_takes_no_exponential_time():
    assert not matches("*a" * 100 + "b", "a" * 255)
