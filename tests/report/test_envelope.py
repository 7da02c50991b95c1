"""DSSE: the bytes that are signed, and the form around them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import FormatError
from seedpack.limits import MAX_ENVELOPE_NBYTES, MAX_REPORT_NBYTES
from seedpack.report.envelope import (
    PAYLOAD_TYPE,
    Envelope,
    EnvelopeSignature,
    encode_envelope,
    parse_envelope,
    pre_authentication_encoding,
    signed_bytes,
)
from tests.ids import plain_id
from tests.refusals import refused_by

KEY_ID = bytes(range(32))
GOOD = {
    "payload": base64.b64encode(b"hello world").decode(),
    "payloadType": PAYLOAD_TYPE,
    "signatures": [{"keyid": KEY_ID.hex(), "sig": "c2lnbmF0dXJl"}],
}


def parse(plain):
    text = plain if isinstance(plain, bytes) else json.dumps(plain).encode()
    return parse_envelope(text, where="r")


@pytest.mark.spec("RPT-5")
@pytest.mark.parametrize(
    ("payload_type", "payload", "encoding"),
    [
        # the vector of the DSSE protocol
        (
            b"http://example.com/HelloWorld",
            b"hello world",
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world",
        ),
        (b"", b"", b"DSSEv1 0  0 "),
        ("\u00e9".encode(), b"1 2", b"DSSEv1 2 \xc3\xa9 3 1 2"),
    ],
)
def test_the_encoding_is_that_of_dsse(payload_type, payload, encoding):
    assert pre_authentication_encoding(payload_type, payload) == encoding


@pytest.mark.spec("RPT-5")
def test_a_statement_is_signed_under_its_type():
    assert signed_bytes(b"{}") == b"DSSEv1 28 application/vnd.in-toto+json 2 {}"


@pytest.mark.spec("RPT-5")
@given(st.binary(), st.binary(), st.binary(), st.binary())
def test_two_messages_never_have_one_encoding(a, b, c, d):
    same = pre_authentication_encoding(a, b) == pre_authentication_encoding(c, d)
    assert same == ((a, b) == (c, d))


@pytest.mark.spec("RPT-3")
@given(st.binary(), st.lists(st.binary(), min_size=1, max_size=16))
def test_parsing_inverts_encoding(payload, signatures):
    envelope = Envelope(payload, tuple(EnvelopeSignature(KEY_ID, s) for s in signatures))
    assert parse_envelope(encode_envelope(envelope), where="r") == envelope


@pytest.mark.spec("RPT-3")
def test_both_alphabets_of_base64_and_no_key_id_are_read():
    payload = bytes(range(250, 256)) * 3
    for encode in (base64.standard_b64encode, base64.urlsafe_b64encode):
        text = encode(payload).decode()
        found = parse(GOOD | {"payload": text, "signatures": [{"sig": text}]})
        assert found == Envelope(payload, (EnvelopeSignature(b"", payload),))


@pytest.mark.spec("RPT-3")
@pytest.mark.parametrize("key_id", ["SHA256:abc", "zz", "0", "\u0660\u0661"])
def test_a_key_id_of_another_tool_is_no_key_id(key_id):
    found = parse(GOOD | {"signatures": [{"sig": "", "keyid": key_id}]})
    assert found.signatures == (EnvelopeSignature(b"", b""),)


@pytest.mark.spec("RPT-3")
@pytest.mark.parametrize(
    "plain",
    [
        {k: v for k, v in GOOD.items() if k != "payload"},
        {k: v for k, v in GOOD.items() if k != "signatures"},
        GOOD | {"signatures": []},
        GOOD | {"signatures": GOOD["signatures"] * 17},
        GOOD | {"signatures": [{"keyid": "00"}]},
        GOOD | {"signatures": [{"sig": "AA==", "cert": "x"}]},
        GOOD | {"signatures": {"sig": "AA=="}},
        GOOD | {"payload": "AA"},
        GOOD | {"payload": "AA==AA=="},
        GOOD | {"payload": "A A="},
        GOOD | {"payload": "\u00e9"},
        GOOD | {"payload": None},
        GOOD | {"media": "x"},
        json.dumps(GOOD).encode()[:-1] + b', "payload": "AA=="}',
        b"[]",
        b"",
        b"\xff{}",
    ],
    ids=plain_id,
)
def test_another_form_is_refused(plain):
    with refused_by(FormatError, "RPT-3"):
        parse(plain)


@pytest.mark.spec("RPT-4")
@pytest.mark.parametrize(
    "payload_type", ["application/json", "", PAYLOAD_TYPE.upper(), PAYLOAD_TYPE + " "]
)
def test_another_payload_type_is_refused(payload_type):
    with refused_by(FormatError, "RPT-4"):
        parse(GOOD | {"payloadType": payload_type})


@pytest.mark.spec("RPT-2")
def test_what_is_too_large_is_refused():
    with refused_by(FormatError, "RPT-2"):
        parse(b" " * (MAX_ENVELOPE_NBYTES + 1))
    with refused_by(FormatError, "RPT-2"):
        parse(GOOD | {"payload": base64.b64encode(bytes(MAX_REPORT_NBYTES + 1)).decode()})


@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_any_bytes_give_an_envelope_or_a_refusal(data):
    with pytest.raises(FormatError):
        parse_envelope(data, where="r")
