"""A report counts only by a trusted signature, and only for the seed that it is about."""

from __future__ import annotations

import base64
import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.keys import Algorithm
from seedpack.crypto.messages import statement_message
from seedpack.errors import (
    AuditError,
    BadSignature,
    FormatError,
    KeyExpired,
    KeyRevoked,
    OtherSeed,
    PolicyRefused,
    SeedError,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.report.envelope import Envelope, EnvelopeSignature, encode_envelope, signed_bytes
from seedpack.report.signing import sign_report
from seedpack.report.statement import encode_statement, parse_statement
from seedpack.report.verification import verify_report
from seedpack.trust.model import Principal, TrustedKey, TrustStore
from tests.builders import make_key, trusting
from tests.refusals import refused_by
from tests.report.conftest import NOW
from tests.report.samples import CREATED, sample_report

AUDITOR, OTHER = make_key(2), make_key(3)
QUANTUM = make_key(4, Algorithm.ML_DSA_65)


def verify(text, seed, *, store=None, now=NOW):
    return verify_report(text, seed, store=store or trusting(AUDITOR), now=now)


def sign_payload(payload, key=AUDITOR):
    signature = EnvelopeSignature(key.public.key_id, key.sign(signed_bytes(payload)))
    return encode_envelope(Envelope(payload, (signature,)))


def edit_payload(text, edit):
    """Return the envelope with another payload under the old signatures."""
    envelope = json.loads(text)
    payload = edit(base64.b64decode(envelope["payload"]))
    return json.dumps(envelope | {"payload": base64.b64encode(payload).decode()}).encode()


def store_of_one(private=AUDITOR, *, require=None, extra=(), **fields):
    keys = (TrustedKey(private.public, **fields), *(TrustedKey(k.public) for k in extra))
    return TrustStore((Principal("auditor", keys, require=require or (private.public.algorithm,)),))


# ---------------------------------------------------------------- whose it is


@pytest.mark.spec("RPT-5")
@pytest.mark.parametrize("key", [AUDITOR, QUANTUM], ids=["ed25519", "ml-dsa-65"])
def test_a_report_signed_by_a_trusted_key_is_what_was_signed(seed, report_of, key):
    report = report_of(seed)
    verified = verify(sign_report(report, [key]), seed, store=trusting(key))
    assert verified.report == report
    assert verified.vouching.key_ids == (key.public.key_id,)


@pytest.mark.spec("RPT-5")
def test_a_hybrid_report_needs_both_halves(seed, report_of):
    store = store_of_one(
        AUDITOR, require=(Algorithm.ED25519, Algorithm.ML_DSA_65), extra=(QUANTUM,)
    )
    report = report_of(seed)
    assert verify(sign_report(report, [AUDITOR, QUANTUM]), seed, store=store).report == report
    with refused_by(ThresholdNotMet, "TRU-6"):
        verify(sign_report(report, [AUDITOR]), seed, store=store)


@pytest.mark.spec("RPT-5")
def test_signatures_of_strangers_are_ignored_and_never_enough(seed, report_of):
    report = report_of(seed)
    assert verify(sign_report(report, [OTHER, AUDITOR]), seed).report == report
    with refused_by(UnknownSigner, "TRU-2"):
        verify(sign_report(report, [OTHER]), seed)


@pytest.mark.spec("RPT-5")
@pytest.mark.parametrize(
    ("fields", "kind", "rule"),
    [
        ({"revoked": True}, KeyRevoked, "TRU-3"),
        ({"not_after": NOW}, KeyExpired, "TRU-4"),
        ({"not_before": NOW + 1}, KeyExpired, "TRU-4"),
    ],
)
def test_a_key_that_may_not_be_used_does_not_count(seed, report_of, fields, kind, rule):
    with refused_by(kind, rule):
        verify(sign_report(report_of(seed), [AUDITOR]), seed, store=store_of_one(**fields))


@pytest.mark.spec("RPT-5")
def test_the_threshold_is_that_of_seeds(seed, report_of):
    store = trusting(AUDITOR, OTHER, threshold=2)
    report = report_of(seed)
    assert verify(sign_report(report, [AUDITOR, OTHER]), seed, store=store).report == report
    with refused_by(ThresholdNotMet, "TRU-6"):
        verify(sign_report(report, [AUDITOR]), seed, store=store)


@pytest.mark.spec("RPT-5")
def test_a_principal_vouches_for_names_that_it_may_sign_only(seed, report_of):
    principal = Principal("auditor", (TrustedKey(AUDITOR.public),), may_sign=("other/*",))
    with refused_by(PolicyRefused, "TRU-8"):
        verify(sign_report(report_of(seed), [AUDITOR]), seed, store=TrustStore((principal,)))


@pytest.mark.spec("RPT-5")
def test_a_clock_that_was_set_back_is_refused(seed, report_of):
    store = msgspec.structs.replace(trusting(AUDITOR), last_time=NOW + 10_000)
    with refused_by(PolicyRefused, "TRU-12"):
        verify(sign_report(report_of(seed), [AUDITOR]), seed, store=store)


# ---------------------------------------------------------------- what was signed


@pytest.mark.spec("RPT-5")
def test_every_bit_of_payload_and_signature_counts(seed, report_of):
    envelope = json.loads(sign_report(report_of(seed, results=(), status="undecided"), [AUDITOR]))
    payload = base64.b64decode(envelope["payload"])
    (record,) = envelope["signatures"]
    signature = base64.b64decode(record["sig"])

    def changed(payload, signature):
        sig = {"keyid": record["keyid"], "sig": base64.b64encode(signature).decode()}
        body = base64.b64encode(payload).decode()
        return json.dumps(envelope | {"payload": body, "signatures": [sig]}).encode()

    def flip(data, bit):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        return bytes(flipped)

    for bit in range(8 * len(payload)):
        with refused_by(BadSignature, "KEY-1"):
            verify(changed(flip(payload, bit), signature), seed)
    for bit in range(8 * len(signature)):
        with refused_by(BadSignature, "KEY-1"):
            verify(changed(payload, flip(signature, bit)), seed)
    for cut in (signature[:-1], signature + b"\0", b""):
        with refused_by(BadSignature, "KEY-1"):
            verify(changed(payload, cut), seed)


@pytest.mark.spec("RPT-5")
def test_a_report_edited_after_it_was_countersigned_is_refused(seed, report_of):
    text = sign_report(report_of(seed), [AUDITOR, OTHER])
    better = edit_payload(text, lambda p: p.replace(b'"status":"fail"', b'"status":"pass"'))
    with refused_by(BadSignature, "KEY-1"):
        verify(better, seed)
    # one honest signature does not make up for one that is broken
    envelope = json.loads(text)
    envelope["signatures"][1]["sig"] = base64.b64encode(bytes(64)).decode()
    with refused_by(BadSignature, "KEY-1"):
        verify(json.dumps(envelope).encode(), seed, store=trusting(AUDITOR, OTHER))


@pytest.mark.spec("RPT-5")
def test_a_payload_is_not_parsed_before_its_signature_is_judged(seed):
    for payload in (b"\xff", b"[" * 100_000, b"{}"):
        with refused_by(UnknownSigner, "TRU-2"):
            verify(sign_payload(payload, OTHER), seed)


@pytest.mark.spec("RPT-5")
def test_a_signature_of_another_kind_of_message_is_none_of_a_report(seed, report_of):
    payload = encode_statement(report_of(seed))
    algorithm, key_id = AUDITOR.public.algorithm, AUDITOR.public.key_id
    message = statement_message(algorithm=algorithm, key_id=key_id, body=payload)
    for signed in (message, payload):
        signature = EnvelopeSignature(key_id, AUDITOR.sign(signed))
        with refused_by(BadSignature, "KEY-1"):
            verify(encode_envelope(Envelope(payload, (signature,))), seed)


@pytest.mark.spec("RPT-6")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"urn:seedpack:audit-report:v1", b"urn:seedpack:audit-report:v2"),
        (b"urn:seedpack:audit-report:v1", b"https://slsa.dev/provenance/v1"),
        (b"https://in-toto.io/Statement/v1", b"https://in-toto.io/Statement/v0.1"),
        (b'"_type"', b'"type"'),
        (b'"predicate":{', b'"extra":1,"predicate":{'),
        (b'"predicate":{', b'"predicate":{"extra":1,'),
        (b'"predicate":{', b'"predicate":{"profile":"deep",'),
        (b'"subject":[', b'"subject":[],"subject":['),
        (b'"subject":[', b'"subject":[{"name":"x","digest":{"sha256":"00"}},'),
        (b'"digest":{', b'"digest":{"sha512":"00",'),
        (b'"sha256":', b'"sha256":"00","sha256":'),
    ],
)
def test_what_is_not_exactly_such_a_statement_is_refused(seed, report_of, old, new):
    payload = encode_statement(report_of(seed))
    assert old in payload
    with refused_by(FormatError, "RPT-6"):
        verify(sign_payload(payload.replace(old, new, 1)), seed)


@pytest.mark.spec("RPT-6")
@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(json.dumps).map(str.encode))
def test_any_signed_bytes_are_a_report_or_refused(payload):
    with pytest.raises(SeedError) as caught:
        parse_statement(payload, where="r")
    assert caught.value.rule == "RPT-6"


@pytest.mark.spec("RPT-8")
def test_a_signed_report_that_contradicts_itself_is_refused(seed, report_of):
    payload = encode_statement(report_of(seed))
    better = payload.replace(
        b'"profile":"standard","status":"fail"', b'"profile":"standard","status":"pass"'
    )
    assert better != payload
    with refused_by(FormatError, "RPT-8"):
        verify(sign_payload(better), seed)


@pytest.mark.spec("RPT-6")
def test_a_report_about_no_seed_cannot_be_signed():
    report = sample_report()
    nameless = msgspec.structs.replace(
        report, subject=msgspec.structs.replace(report.subject, seed_id="")
    )
    with refused_by(AuditError, "RPT-6"):
        sign_report(nameless, [AUDITOR])


def test_signing_without_a_key_is_a_wrong_call():
    with pytest.raises(ValueError, match="no key"):
        sign_report(sample_report(), [])


# ---------------------------------------------------------------- of which seed, and when


@pytest.mark.spec("RPT-7")
def test_a_report_of_another_seed_is_refused(open_made, report_of):
    mine, other = open_made(), open_made(name="acme/other")
    text = sign_report(report_of(other), [AUDITOR])
    with refused_by(OtherSeed, "RPT-7"):
        verify(text, mine)


@pytest.mark.spec("RPT-7")
def test_a_report_of_an_older_version_is_refused(open_made, report_of):
    old, new = open_made(version=2), open_made(version=3)
    text = sign_report(report_of(old), [AUDITOR])
    assert verify(text, old).report.subject.version == 2
    with refused_by(OtherSeed, "RPT-7"):
        verify(text, new)


@pytest.mark.spec("RPT-7")
@pytest.mark.parametrize(
    "changes",
    [{"seed_id": "00" * 32}, {"name": "acme/famous"}, {"version": 4}],
    ids=["id", "name", "version"],
)
def test_a_statement_whose_report_is_about_another_seed_is_refused(seed, report_of, changes):
    report = report_of(seed)
    lying = msgspec.structs.replace(
        report, subject=msgspec.structs.replace(report.subject, **changes)
    )
    statement = json.loads(encode_statement(lying))
    statement["subject"] = [{"name": seed.manifest.name, "digest": {"sha256": seed.id}}]
    with refused_by(OtherSeed, "RPT-7"):
        verify(sign_payload(json.dumps(statement).encode()), seed)


@pytest.mark.spec("RPT-7")
def test_a_seed_id_in_capitals_is_another(seed, report_of):
    payload = encode_statement(report_of(seed))
    with refused_by(OtherSeed, "RPT-7"):
        verify(sign_payload(payload.replace(seed.id.encode(), seed.id.upper().encode())), seed)


@pytest.mark.spec("RPT-9")
def test_a_report_made_before_its_seed_is_refused(open_made, report_of):
    seed = open_made(created=CREATED)
    on_time = report_of(seed, created=CREATED - 300)
    assert verify(sign_report(on_time, [AUDITOR]), seed).report == on_time
    with refused_by(PolicyRefused, "RPT-9"):
        verify(sign_report(report_of(seed, created=CREATED - 301), [AUDITOR]), seed)


@pytest.mark.spec("RPT-9")
def test_a_report_from_the_future_is_refused(seed, report_of):
    text = sign_report(report_of(seed, created=NOW), [AUDITOR])
    assert verify(text, seed, now=NOW - 300).report.created == NOW
    with refused_by(PolicyRefused, "RPT-9"):
        verify(text, seed, now=NOW - 301)


@pytest.mark.spec("RPT-15")
def test_a_report_that_is_older_than_asked_for_is_refused(seed, report_of):
    text = sign_report(report_of(seed, created=NOW - 100), [AUDITOR])
    store = trusting(AUDITOR)
    assert verify_report(text, seed, store=store, now=NOW, max_age=100).report.created == NOW - 100
    with refused_by(PolicyRefused, "RPT-15"):
        verify_report(text, seed, store=store, now=NOW, max_age=99)
