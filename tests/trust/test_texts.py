from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import StoreError
from seedpack.trust.texts import check_text, quotable
from tests.crypto.refusals import refuses


@pytest.mark.parametrize("text", ["a", "a" * 255, "\u00e9" * 127, "with space, and: signs"])
def test_plain_text_passes(text):
    check_text(text, "somewhere")


@pytest.mark.parametrize("text", ["", "a" * 256, "\u00e9" * 128, "a\tb", "e\u0301", "\udfff"])
def test_other_text_is_refused(text):
    message = f"not a text of 1 to 255 printable bytes: {text!a:.60}"
    with refuses(StoreError, "TRU-1", where="somewhere", message=message):
        check_text(text, "somewhere")


def test_message_is_quoted_as_it_is_or_escaped_or_cut():
    assert quotable(ValueError("Expected `int` - at `$.a`")) == "Expected `int` - at `$.a`"
    assert quotable(ValueError("a\x1b[2J\u202e")) == "a\\x1b[2J\\u202e"
    assert quotable(ValueError("x" * 200)) == "x" * 200
    assert quotable(ValueError("x" * 201)) == "x" * 200


@given(st.text(st.characters()))
def test_quoted_message_cannot_fake_or_flood(text):
    quoted = quotable(ValueError(text))
    assert quoted.isascii()
    assert quoted.isprintable()
    assert len(quoted) <= 200
