from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st

from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.crypto.pkcs8 import _field, _integer, encrypt_private_key

DER = (
    serialization.Encoding.DER,
    serialization.PrivateFormat.PKCS8,
    serialization.NoEncryption(),
)


# ITU-T X.690, sections 8.1.3 and 10.1: the shortest form of each length
@pytest.mark.parametrize(
    "nbytes, head",
    [
        (0, "0400"),
        (1, "0401"),
        (0x7F, "047f"),
        (0x80, "048180"),
        (0xFF, "0481ff"),
        (0x100, "04820100"),
        (0xFFFF, "0482ffff"),
        (0x10000, "0483010000"),
    ],
)
def test_lengths_are_the_shortest_of_der(nbytes, head):
    content = b"\x5a" * nbytes
    assert _field(b"\x04", content) == bytes.fromhex(head) + content


# ITU-T X.690, section 8.3: two's complement in as few bytes as it needs
@pytest.mark.parametrize(
    "value, encoded",
    [
        (0, "020100"),
        (5, "020105"),
        (127, "02017f"),
        (128, "02020080"),
        (255, "020200ff"),
        (256, "02020100"),
        (0x7FFF, "02027fff"),
        (0x8000, "0203008000"),
        (2**63, "0209008000000000000000"),
    ],
)
def test_integers_are_the_shortest_of_der(value, encoded):
    assert _integer(value) == bytes.fromhex(encoded)


@settings(max_examples=6)  # each costs what guessing costs
@given(st.sampled_from(Algorithm), st.binary(min_size=1, max_size=100))
def test_decryption_inverts_encryption(algorithm, passphrase):
    der = private_key_from_secret(algorithm, bytes(32)).handle.private_bytes(*DER)
    pem = encrypt_private_key(der, passphrase)
    assert serialization.load_pem_private_key(pem, passphrase).private_bytes(*DER) == der
