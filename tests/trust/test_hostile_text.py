"""What a refusal repeats of a file cannot fake, hide or end anything (spec: TRU-1, STA-1)."""

import json

import msgpack
import pytest

from seedpack.errors import FormatError, StoreError
from seedpack.trust.statements import parse_statement
from seedpack.trust.store import parse_trust_store

ESCAPE = "\x1b[2K\u202e" + "x" * 5000


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("key", [ESCAPE, "\ud800"], ids=["escape", "lone-surrogate"])
def test_an_unknown_key_of_a_store_is_shown_escaped_and_cut(key):
    with pytest.raises(StoreError) as caught:
        parse_trust_store(json.dumps({key: 1}).encode())
    assert caught.value.rule == "TRU-1"
    assert caught.value.message.isprintable()
    assert caught.value.message.isascii()
    assert len(caught.value.message) <= 200


@pytest.mark.spec("STA-1")
def test_an_unknown_key_of_a_statement_is_shown_escaped_and_cut():
    with pytest.raises(FormatError) as caught:
        parse_statement(msgpack.packb({ESCAPE: 1}))
    shown = "Object contains unknown field `\\x1b[2K\\u202exxx"
    assert caught.value.rule == "STA-1"
    assert caught.value.message.startswith(shown)
    assert len(caught.value.message) == 200
