from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives import serialization as s
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.keys import Algorithm, private_key_from_secret
from seedpack.crypto.publicfiles import encode_public_key, parse_public_key
from seedpack.errors import KeyFileError, SeedError
from tests.crypto.refusals import refuses

KEYS = {a: private_key_from_secret(a, bytes([9]) * 32) for a in Algorithm}
ED25519 = KEYS[Algorithm.ED25519].public
PEM = encode_public_key(ED25519)
SSH_BLOB = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + ED25519.raw)
SSH = b"ssh-ed25519 " + SSH_BLOB + b"\n"

secrets = st.binary(min_size=32, max_size=32)


@given(st.sampled_from(Algorithm), secrets)
def test_parsing_inverts_encoding(algorithm, secret):
    public = private_key_from_secret(algorithm, secret).public
    assert parse_public_key(encode_public_key(public), where="k") == public


@given(st.sampled_from(Algorithm), secrets)
def test_encoding_is_that_of_cryptography(algorithm, secret):
    private = private_key_from_secret(algorithm, secret)
    spki = (s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    assert encode_public_key(private.public) == private.handle.public_key().public_bytes(*spki)


@given(secrets)
def test_line_of_openssh_is_read(secret):
    private = private_key_from_secret(Algorithm.ED25519, secret)
    line = private.handle.public_key().public_bytes(s.Encoding.OpenSSH, s.PublicFormat.OpenSSH)
    assert parse_public_key(line, where="k") == private.public


@pytest.mark.parametrize(
    "text",
    [
        PEM,
        PEM.rstrip(),
        PEM + b"\n\n",
        PEM.replace(b"\n", b"\r\n"),
        PEM.replace(b"AAA", b"AAA", 1),
        SSH,
        SSH.rstrip(),
        SSH.replace(b"\n", b"\r\n"),
        SSH.rstrip() + b" me@host, work key\n",
        SSH.rstrip() + b" \n",
    ],
)
def test_usual_variants_are_read(text):
    assert parse_public_key(text, where="k") == ED25519


@pytest.mark.spec("KEY-6")
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n" + PEM,
        b"# mine\n" + PEM,
        PEM + b"# mine\n",
        PEM + PEM,
        PEM + SSH,
        SSH + SSH,
        SSH + PEM,
        PEM[:-5],
        PEM.replace(b"PUBLIC", b"RSA PUBLIC"),
        PEM.replace(b"\nM", b"\nM=", 1),
        PEM.replace(b"=\n", b"\n"),
        PEM.replace(b"\nMC", b"\nMD", 1),
        b"-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PUBLIC KEY-----\n====\n-----END PUBLIC KEY-----\n",
        b" " + SSH,
        b"no-pty " + SSH,
        b"ssh-rsa " + SSH_BLOB,
        b"ssh-ed25519\n",
        b"ssh-ed25519  " + SSH_BLOB,
        b"ssh-ed25519 " + SSH_BLOB[:-1],
        b"ssh-ed25519 " + base64.b64encode(b"\0\0\0\x0bssh-ed25518\0\0\0\x20" + ED25519.raw),
    ],
)
def test_attack_105_text_without_exactly_one_key_is_refused(text):
    with refuses(
        KeyFileError,
        "KEY-6",
        message="not exactly one Ed25519 or ML-DSA-65 public key",
        where="some.pub",
        hint="pass a PEM file (BEGIN PUBLIC KEY) or one line of OpenSSH (ssh-ed25519 ...)",
    ):
        parse_public_key(text, where="some.pub")


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw + b"\0"])
def test_attack_105_key_of_another_length_is_refused(change):
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + change(ED25519.raw))
    with refuses(KeyFileError, "KEY-6", where="some.pub"):
        parse_public_key(b"ssh-ed25519 " + blob, where="some.pub")


@pytest.mark.spec("KEY-4")
def test_attack_103_weak_key_is_refused_with_the_name_of_the_file():
    blob = base64.b64encode(b"\0\0\0\x0bssh-ed25519\0\0\0\x20" + bytes(32))
    with refuses(
        KeyFileError,
        "KEY-4",
        message="an Ed25519 public key of small order, for which anybody can sign",
        where="some.pub",
        hint="do not trust whoever gave you this key",
    ):
        parse_public_key(b"ssh-ed25519 " + blob, where="some.pub")


@pytest.mark.spec("KEY-5")
@pytest.mark.parametrize("kind", [s.PrivateFormat.PKCS8, s.PrivateFormat.OpenSSH])
def test_private_key_where_a_public_one_is_asked_for_is_refused(kind):
    handle = KEYS[Algorithm.ED25519].handle
    pem = handle.private_bytes(s.Encoding.PEM, kind, s.NoEncryption())
    with refuses(
        KeyFileError,
        "KEY-5",
        message="a private key where a public one is asked for",
        where="some.key",
        hint="pass the .pub file, and show the private one to nobody",
    ):
        parse_public_key(pem, where="some.key")


@pytest.mark.parametrize("text", [PEM, SSH])
def test_each_truncation_is_refused_or_only_lacks_white_space(text):
    for end in range(len(text.rstrip())):
        with pytest.raises(KeyFileError) as caught:
            parse_public_key(text[:end], where="k")
        assert caught.value.rule == "KEY-6"


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: SSH[:12] + tail))
def test_any_bytes_give_a_key_or_a_refusal(text):
    try:
        public = parse_public_key(text, where="k")
    except SeedError:
        return
    assert parse_public_key(encode_public_key(public), where="k") == public
