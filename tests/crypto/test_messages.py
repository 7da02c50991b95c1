from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from seedpack.crypto.keys import Algorithm
from seedpack.crypto.messages import signed_message, statement_message

KEY_ID = bytes(range(32))

key_ids = st.binary(min_size=32, max_size=32)
signature_fields = st.fixed_dictionaries(
    {
        "version": st.integers(0, 2**16 - 1),
        "algorithm": st.sampled_from(Algorithm),
        "expires": st.integers(0, 2**64 - 1),
        "key_id": key_ids,
        "manifest": st.binary(max_size=100),
    }
)
statement_fields = st.fixed_dictionaries(
    {"algorithm": st.sampled_from(Algorithm), "key_id": key_ids, "body": st.binary(max_size=200)}
)


def test_message_of_a_signature_is_as_specified():
    message = signed_message(
        version=0x0102,
        algorithm=Algorithm.ML_DSA_65,
        expires=0x0102030405060708,
        key_id=KEY_ID,
        manifest=b"manifest",
    )
    assert message == (
        b"seedpack-signature-v1\0"
        b"\x02\x01"
        b"\x02\x00"
        b"\x08\x07\x06\x05\x04\x03\x02\x01" + KEY_ID + b"\x08\0\0\0\0\0\0\0"
        b"manifest"
    )


def test_message_of_a_statement_is_as_specified():
    message = statement_message(algorithm=Algorithm.ED25519, key_id=KEY_ID, body=b"body")
    assert message == b"seedpack-statement-v1\0\x01\x00" + KEY_ID + b"body"


@given(signature_fields, signature_fields)
def test_attack_87_two_signatures_sign_one_message_only_if_all_fields_are_equal(a, b):
    assert (signed_message(**a) == signed_message(**b)) == (a == b)


@pytest.mark.parametrize("field", ["version", "algorithm", "expires", "key_id", "manifest"])
@given(a=signature_fields, b=signature_fields)
def test_attack_87_each_field_of_a_signature_changes_the_message(field, a, b):
    assume(a[field] != b[field])
    assert signed_message(**a) != signed_message(**{**a, field: b[field]})


@pytest.mark.parametrize("field", ["algorithm", "key_id", "body"])
@given(a=statement_fields, b=statement_fields)
def test_attack_87_each_field_of_a_statement_changes_the_message(field, a, b):
    assume(a[field] != b[field])
    assert statement_message(**a) != statement_message(**{**a, field: b[field]})


@given(signature_fields, statement_fields)
def test_attack_87_no_statement_is_a_signature(a, b):
    one, two = signed_message(**a), statement_message(**b)
    assert not one.startswith(two[:22])


@given(signature_fields, st.binary(min_size=1, max_size=100), st.data())
def test_attack_101_message_of_a_prefix_is_no_prefix_of_the_message(fields, manifest, data):
    cut = data.draw(st.integers(0, len(manifest) - 1))
    prefix = signed_message(**{**fields, "manifest": manifest[:cut]})
    assert not signed_message(**{**fields, "manifest": manifest}).startswith(prefix)


@pytest.mark.parametrize("nbytes", [0, 31, 33])
def test_key_id_of_another_length_is_a_wrong_call(nbytes):
    key_id = bytes(nbytes)
    with pytest.raises(ValueError, match=f"a key id of {nbytes} bytes"):
        signed_message(
            version=1, algorithm=Algorithm.ED25519, expires=0, key_id=key_id, manifest=b""
        )
    with pytest.raises(ValueError, match=f"a key id of {nbytes} bytes"):
        statement_message(algorithm=Algorithm.ED25519, key_id=key_id, body=b"")
