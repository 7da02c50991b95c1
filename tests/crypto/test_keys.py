from __future__ import annotations

import hashlib

import msgspec
import pytest

from seedpack.crypto.keys import (
    Algorithm,
    PrivateKey,
    PublicKey,
    generate_private_key,
    private_key_from_secret,
)
from seedpack.errors import KeyFileError
from tests.crypto.refusals import refuses

SECRET = bytes(range(32))
KEYS = {algorithm: private_key_from_secret(algorithm, SECRET) for algorithm in Algorithm}
MESSAGE = b"what is signed"


def test_algorithms_are_those_of_the_signature_area():
    table = [(a.value, a.label, a.public_nbytes, a.signature_nbytes) for a in Algorithm]
    assert table == [(1, "ed25519", 32, 64), (2, "ml-dsa-65", 1952, 3309)]


@pytest.mark.parametrize("algorithm", Algorithm)
def test_label_and_algorithm_name_each_other(algorithm):
    assert Algorithm.of_label(algorithm.label) is algorithm


@pytest.mark.parametrize("label", ["none", "", "ED25519", "rsa"])
def test_attack_99_there_is_no_algorithm_none(label):
    with refuses(
        KeyFileError,
        "KEY-6",
        message=f"unknown key algorithm {label!r}",
        where="algorithm",
        hint="use ed25519, ml-dsa-65",
    ):
        Algorithm.of_label(label)


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("excess", [-1, 1])
def test_attack_105_key_of_another_length_is_refused(algorithm, excess):
    right = algorithm.public_nbytes
    raw = bytes([2]) * (right + excess)
    message = f"{len(raw)} bytes are no {algorithm.label} public key, which has {right}"
    with refuses(KeyFileError, "KEY-6", where="public key", message=message):
        PublicKey(algorithm, raw)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_attack_105_key_of_the_other_algorithm_is_refused(algorithm):
    other = next(a for a in Algorithm if a is not algorithm)
    with refuses(KeyFileError, "KEY-6"):
        PublicKey(algorithm, KEYS[other].public.raw)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_key_id_is_as_specified(algorithm):
    public = KEYS[algorithm].public
    preimage = b"seedpack-key-v1\0" + bytes([algorithm, 0]) + public.raw
    assert public.key_id == hashlib.sha256(preimage).digest()


def test_public_key_is_a_value():
    public = KEYS[Algorithm.ED25519].public
    again = PublicKey(Algorithm.ED25519, bytes(public.raw))
    assert {public: 1}[again] == 1
    with pytest.raises(AttributeError):
        public.raw = bytes(32)
    with pytest.raises(KeyFileError):  # no way around the checks
        msgspec.structs.replace(public, raw=bytes(32))


def test_ed25519_signs_as_in_rfc_8032():
    # section 7.1, TEST 2
    secret = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    private = private_key_from_secret(Algorithm.ED25519, secret)
    assert private.public.raw.hex() == (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    )
    assert private.sign(b"\x72").hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


def test_ed25519_signs_the_same_each_time_and_ml_dsa_65_is_hedged():
    ed25519, ml_dsa_65 = KEYS[Algorithm.ED25519], KEYS[Algorithm.ML_DSA_65]
    assert ed25519.sign(MESSAGE) == ed25519.sign(MESSAGE)
    assert ml_dsa_65.sign(MESSAGE) != ml_dsa_65.sign(MESSAGE)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_signature_verifies_by_its_key_over_its_message_only(algorithm):
    private, other = KEYS[algorithm], generate_private_key(algorithm)
    signature = private.sign(MESSAGE)
    assert len(signature) == algorithm.signature_nbytes
    assert private.public.verifies(MESSAGE, signature)
    assert not private.public.verifies(MESSAGE + b"\0", signature)
    assert not private.public.verifies(MESSAGE[:-1], signature)
    assert not other.public.verifies(MESSAGE, signature)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_attack_88_signature_by_the_other_algorithm_does_not_verify(algorithm):
    other = next(a for a in Algorithm if a is not algorithm)
    assert not KEYS[algorithm].public.verifies(MESSAGE, KEYS[other].sign(MESSAGE))


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("change", [lambda s: s[:0], lambda s: s[:-1], lambda s: s + b"\0"])
def test_signature_of_another_length_does_not_verify(algorithm, change):
    signature = KEYS[algorithm].sign(MESSAGE)
    assert not KEYS[algorithm].public.verifies(MESSAGE, change(signature))


def test_attack_84_each_of_the_512_bits_of_a_signature_counts():
    private = KEYS[Algorithm.ED25519]
    signature = int.from_bytes(private.sign(MESSAGE), "big")
    survivors = [
        bit
        for bit in range(512)
        if private.public.verifies(MESSAGE, (signature ^ 1 << bit).to_bytes(64, "big"))
    ]
    assert survivors == []


def test_attack_84_each_of_the_3309_bytes_of_an_ml_dsa_65_signature_counts():
    private = KEYS[Algorithm.ML_DSA_65]
    signature = private.sign(MESSAGE)
    survivors = [
        i
        for i in range(len(signature))
        if private.public.verifies(
            MESSAGE, signature[:i] + bytes([signature[i] ^ 1 << i % 8]) + signature[i + 1 :]
        )
    ]
    assert survivors == []


def test_attack_85_s_of_the_group_order_or_more_does_not_verify():
    order = 2**252 + 27742317777372353535851937790883648493  # RFC 8032, section 5.1
    private = KEYS[Algorithm.ED25519]
    signature = private.sign(MESSAGE)
    s = int.from_bytes(signature[32:], "little")
    malleated = signature[:32] + (s + order).to_bytes(32, "little")
    assert not private.public.verifies(MESSAGE, malleated)


@pytest.mark.parametrize("algorithm", Algorithm)
def test_new_keys_differ_and_are_of_the_algorithm(algorithm):
    one, two = generate_private_key(algorithm), generate_private_key(algorithm)
    assert one.public != two.public
    assert one.public.algorithm is two.public.algorithm is algorithm


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("nbytes", [0, 31, 33])
def test_secret_of_another_length_is_a_wrong_call(algorithm, nbytes):
    with pytest.raises(ValueError, match=f"a secret of {nbytes} bytes"):
        private_key_from_secret(algorithm, bytes(nbytes))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_private_key_shows_no_secret_and_takes_no_attribute(algorithm):
    private = KEYS[algorithm]
    assert SECRET.hex() not in repr(private)
    assert repr(SECRET)[2:-1] not in repr(private)
    assert not hasattr(private, "__dict__")
    assert isinstance(private, PrivateKey)


@pytest.mark.spec("KEY-4")
def test_an_ml_dsa_key_with_a_zero_t1_is_anybodys():
    nbytes = Algorithm.ML_DSA_65.public_nbytes
    for rho in (bytes(32), bytes(range(32))):
        with pytest.raises(KeyFileError) as caught:
            PublicKey(Algorithm.ML_DSA_65, rho.ljust(nbytes, b"\0"))
        assert (caught.value.rule, caught.value.where) == ("KEY-4", "public key")
        assert caught.value.message == (
            "an ML-DSA-65 public key whose t1 is zero, for which anybody can sign"
        )
        assert caught.value.hint == "do not trust whoever gave you this key"
    for place in (32, nbytes - 1):
        raw = bytearray(nbytes)
        raw[place] = 1
        assert PublicKey(Algorithm.ML_DSA_65, bytes(raw)).raw == bytes(raw)
