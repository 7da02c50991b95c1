from __future__ import annotations

from typing import NamedTuple

import pytest

from seedpack.errors import (
    BadSignature,
    KeyExpired,
    KeyRevoked,
    PolicyRefused,
    SeedExpired,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.trust.judge import SignatureStatus, Vouching, judge_detached, judge_signatures
from seedpack.trust.model import Principal, TrustedKey, TrustStore
from tests.crypto.refusals import refuses
from tests.trust.stores import (
    ED25519,
    MANIFEST,
    ML_DSA_65,
    NOW,
    key,
    principal,
    sign,
    store_of,
)

HYBRID = (ED25519, ML_DSA_65)
STRANGER = key(99)


def judge(store, *records, manifest=MANIFEST, version=1, now=NOW):
    return judge_signatures(store, records, manifest=manifest, version=version, now=now)


def named(private):
    return f"key {private.public.key_id.hex()}"


def status(record, who, standing):
    return SignatureStatus(record.key_id, record.algorithm, record.expires, who, standing)


def with_key(private, **fields):
    """Return a store of one principal with one key of that validity."""
    return store_of(
        Principal(
            "acme", (TrustedKey(private.public, **fields),), require=(private.public.algorithm,)
        )
    )


# ---------------------------------------------------------------- who counts


@pytest.mark.parametrize("algorithm", [ED25519, ML_DSA_65])
def test_principal_whose_key_signed_vouches(algorithm):
    private = key(1, algorithm)
    record = sign(private, expires=NOW + 1)
    expected = Vouching(("acme",), (record.key_id,), (status(record, "acme", "counted"),))
    assert judge(with_key(private), record) == expected


def test_report_has_every_record_in_file_order_and_principals_in_store_order():
    store = store_of(
        principal("acme", key(1), key(2), key(3)),
        principal("lab", key(4)),
        principal("half", key(5), key(6, ML_DSA_65), require=HYBRID),
    ).with_revoked(key(3).public.key_id)
    records = [
        sign(key(4)),
        sign(STRANGER),
        sign(key(3)),
        sign(key(2), expires=NOW),
        sign(key(5), expires=NOW + 5),
        sign(key(1)),
    ]
    standings = ["counted", "unknown", "revoked", "signature expired", "incomplete", "counted"]
    names = ["lab", None, "acme", "acme", "half", "acme"]
    assert judge(store, *records) == Vouching(
        principals=("acme", "lab"),
        key_ids=(records[0].key_id, records[5].key_id),
        signatures=tuple(map(status, records, names, standings)),
    )


def test_attack_94_signature_of_a_stranger_is_no_obstacle_and_no_help():
    garbage = sign(STRANGER)._replace(signature=bytes(64))
    assert judge(with_key(key(1)), garbage, sign(key(1))).principals == ("acme",)
    with refuses(ThresholdNotMet, "TRU-6", where="signature area"):
        judge(with_key(key(1)).with_threshold(2), garbage, sign(key(1)))


@pytest.mark.spec("TRU-2")
@pytest.mark.parametrize("count", [0, 1, 2])
def test_attack_90_seed_without_a_known_key_is_refused(count):
    records = [sign(key(50 + i)) for i in range(count)]
    with refuses(
        UnknownSigner,
        "TRU-2",
        message=f"none of {count} signatures is by a key of the trust store",
        where="signature area",
        hint="add the signer's key: seedpack trust add",
    ):
        judge(with_key(key(1)), *records)


@pytest.mark.spec("TRU-2")
def test_store_without_principals_knows_nobody():
    with refuses(UnknownSigner, "TRU-2"):
        judge(TrustStore(), sign(key(1)))


# ---------------------------------------------------------------- signatures that do not verify


@pytest.mark.spec("KEY-1")
@pytest.mark.parametrize(
    "change",
    [
        lambda r: r._replace(signature=bytes(64)),
        lambda r: r._replace(signature=r.signature[:-1] + bytes([r.signature[-1] ^ 1])),
        lambda r: r._replace(expires=r.expires + 1),
        lambda r: r._replace(expires=0),
    ],
)
def test_attack_102_changed_record_is_refused(change):
    record = sign(key(1), expires=NOW + 10)
    with refuses(
        BadSignature,
        "KEY-1",
        message="the signature of acme does not verify",
        where=named(key(1)),
        hint="the file was changed after it was signed; fetch it again",
    ):
        judge(with_key(key(1)), change(record))


@pytest.mark.spec("KEY-1")
@pytest.mark.parametrize("manifest", [b"", MANIFEST[:-1], MANIFEST + b"\0", b"M" + MANIFEST[1:]])
def test_attacks_100_101_other_manifest_is_refused(manifest):
    with refuses(BadSignature, "KEY-1", where=named(key(1))):
        judge(with_key(key(1)), sign(key(1)), manifest=manifest)


@pytest.mark.spec("KEY-1")
def test_attack_87_signature_for_another_version_is_refused():
    with refuses(BadSignature, "KEY-1"):
        judge(with_key(key(1)), sign(key(1), version=2))
    assert judge(with_key(key(1)), sign(key(1), version=2), version=2).principals == ("acme",)


@pytest.mark.spec("KEY-1")
def test_attack_89_key_id_of_somebody_else_is_refused():
    spoofed = sign(STRANGER)._replace(key_id=key(1).public.key_id)
    with refuses(BadSignature, "KEY-1", where=named(key(1))):
        judge(with_key(key(1)), spoofed)


@pytest.mark.spec("KEY-1")
@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("fields", [{}, {"revoked": True}, {"not_after": NOW}])
def test_attack_94_bad_signature_of_a_known_key_refuses_whatever_the_others_say(order, fields):
    store = store_of(
        principal("good", key(1)), Principal("bad", (TrustedKey(key(2).public, **fields),))
    )
    records = [sign(key(1)), sign(key(2))._replace(signature=bytes(64))][::order]
    with refuses(BadSignature, "KEY-1", where=named(key(2))):
        judge(store, *records)


@pytest.mark.spec("KEY-2")
@pytest.mark.parametrize("algorithm", [0, 2, 3])
def test_attack_88_record_of_another_algorithm_than_its_key_is_refused(algorithm):
    record = sign(key(1))._replace(algorithm=algorithm)
    with refuses(
        BadSignature,
        "KEY-2",
        message=f"algorithm {algorithm}, but the key is ed25519",
        where=named(key(1)),
    ):
        judge(with_key(key(1)), record)


# ---------------------------------------------------------------- threshold


@pytest.mark.spec("TRU-6")
def test_threshold_is_of_principals():
    store = store_of(*(principal(f"p{i}", key(i)) for i in range(1, 4)))
    records = [sign(key(i)) for i in range(1, 4)]
    for threshold in (1, 2, 3):
        vouching = judge(store.with_threshold(threshold), *records[:threshold])
        assert vouching.principals == ("p1", "p2", "p3")[:threshold]
    for threshold in (2, 3, 4):
        with refuses(
            ThresholdNotMet,
            "TRU-6",
            message=f"{threshold - 1} principals count, {threshold} are asked for",
            where="signature area",
            hint="ask the others to sign; a principal may also be asked for a second algorithm",
        ):
            judge(store.with_threshold(threshold), *records[: threshold - 1])


@pytest.mark.spec("TRU-6")
def test_attacks_91_92_one_principal_counts_once():
    store = store_of(principal("acme", key(1), key(2)), principal("lab", key(3)), threshold=2)
    with refuses(ThresholdNotMet, "TRU-6"):
        judge(store, sign(key(1)), sign(key(2)))
    with refuses(ThresholdNotMet, "TRU-6"):
        judge(store, sign(key(1)), sign(key(1)))
    assert judge(store, sign(key(1)), sign(key(3))).principals == ("acme", "lab")


@pytest.mark.spec("TRU-6")
class TestHybrid:
    ED, PQ = key(1), key(2, ML_DSA_65)
    STORE = store_of(principal("acme", ED, PQ, require=HYBRID))

    def test_both_halves_make_it(self):
        assert judge(self.STORE, sign(self.PQ), sign(self.ED)).principals == ("acme",)

    def test_attack_98_stripped_halves_do_not(self):
        for half in (self.ED, self.PQ):
            with refuses(ThresholdNotMet, "TRU-6"):
                judge(self.STORE, sign(half))

    def test_two_of_one_half_do_not(self):
        store = self.STORE.with_key("acme", TrustedKey(key(3).public))
        with refuses(ThresholdNotMet, "TRU-6"):
            judge(store, sign(self.ED), sign(key(3)))

    def test_attacks_95_96_one_valid_half_does_not(self):
        for good, bad in ((self.ED, self.PQ), (self.PQ, self.ED)):
            forged = sign(bad)._replace(signature=bytes(bad.public.algorithm.signature_nbytes))
            with refuses(BadSignature, "KEY-1", where=named(bad)):
                judge(self.STORE, sign(good), forged)

    def test_attack_97_halves_of_two_messages_do_not(self):
        with refuses(BadSignature, "KEY-1", where=named(self.PQ)):
            judge(self.STORE, sign(self.ED), sign(self.PQ, b"another manifest"))

    def test_half_of_somebody_else_does_not(self):
        store = self.STORE.with_principal(principal("lab", key(4, ML_DSA_65), require=(ML_DSA_65,)))
        assert judge(store, sign(self.ED), sign(key(4, ML_DSA_65))).principals == ("lab",)

    def test_expired_half_does_not(self):
        with refuses(SeedExpired, "TRU-5"):
            judge(self.STORE, sign(self.ED), sign(self.PQ, expires=NOW))


# ---------------------------------------------------------------- revoked, expired


@pytest.mark.spec("TRU-3")
def test_attack_115_revoked_key_does_not_count():
    with refuses(
        KeyRevoked,
        "TRU-3",
        message="signed by a revoked key",
        where=f"{named(key(1))} of acme",
    ):
        judge(with_key(key(1), revoked=True), sign(key(1)))


@pytest.mark.spec("TRU-4")
@pytest.mark.parametrize(
    "not_before, not_after, good",
    [
        (NOW, None, True),
        (NOW + 1, None, False),
        (0, NOW + 1, True),
        (0, NOW, False),
    ],
)
def test_key_outside_its_validity_does_not_count(not_before, not_after, good):
    store = with_key(key(1), not_before=not_before, not_after=not_after)
    if good:
        assert judge(store, sign(key(1))).principals == ("acme",)
        return
    with refuses(
        KeyExpired,
        "TRU-4",
        message=f"signed by a key that is valid from {not_before} to {not_after}",
        where=f"{named(key(1))} of acme",
    ):
        judge(store, sign(key(1)))


@pytest.mark.spec("TRU-5")
def test_expired_signature_does_not_count():
    store = with_key(key(1))
    for expires in (0, NOW + 1):
        assert judge(store, sign(key(1), expires=expires)).principals == ("acme",)
    for expires in (1, NOW):
        with refuses(
            SeedExpired,
            "TRU-5",
            message=f"the signature expired at {expires}",
            where=f"{named(key(1))} of acme",
        ):
            judge(store, sign(key(1), expires=expires))


def test_what_does_not_count_is_no_harm_where_others_do():
    store = store_of(
        Principal("old", (TrustedKey(key(2).public, revoked=True),)), principal("acme", key(1))
    )
    assert judge(store, sign(key(2)), sign(key(1))).principals == ("acme",)


DECIDING = {
    "revoked": (KeyRevoked, "TRU-3"),
    "key expired": (KeyExpired, "TRU-4"),
    "signature expired": (SeedExpired, "TRU-5"),
}


@pytest.mark.spec("TRU-3", "TRU-4", "TRU-5", "TRU-6")
@pytest.mark.parametrize("first", DECIDING)
@pytest.mark.parametrize("second", DECIDING)
def test_first_record_that_did_not_count_decides(first, second):
    fields = {"revoked": {"revoked": True}, "key expired": {"not_after": NOW}}
    expires = {"signature expired": NOW}
    store = store_of(
        principal("half", key(3), key(4, ML_DSA_65), require=HYBRID),  # incomplete: decides nothing
        *(
            Principal(f"p{i}", (TrustedKey(key(i).public, **fields.get(reason, {})),))
            for i, reason in ((1, first), (2, second))
        ),
    )
    kind, rule = DECIDING[first]
    with refuses(kind, rule, where=f"{named(key(1))} of p1"):
        judge(
            store,
            sign(STRANGER),
            sign(key(3)),
            sign(key(1), expires=expires.get(first, 0)),
            sign(key(2), expires=expires.get(second, 0)),
        )


def test_one_record_is_judged_revoked_before_key_expired_before_signature_expired():
    expired = sign(key(1), expires=NOW)
    with refuses(KeyRevoked, "TRU-3"):
        judge(with_key(key(1), not_after=NOW, revoked=True), expired)
    with refuses(KeyExpired, "TRU-4"):
        judge(with_key(key(1), not_after=NOW), expired)


# ---------------------------------------------------------------- clock


@pytest.mark.spec("TRU-12")
def test_attack_109_clock_that_was_set_back_refuses_everything():
    store = store_of(principal("acme", key(1)), last_time=NOW)
    assert judge(store, sign(key(1)), now=NOW - 300).principals == ("acme",)
    with refuses(
        PolicyRefused,
        "TRU-12",
        message=f"the clock says {NOW - 301}, but a seed was accepted at {NOW} already",
        where="last_time",
        hint="set the clock right; if it once was ahead, correct last_time in the trust store",
    ):
        judge(store, sign(key(1)), now=NOW - 301)


def test_clock_is_judged_before_anything_else():
    with refuses(PolicyRefused, "TRU-12"):
        judge(TrustStore(last_time=NOW), now=NOW - 301)


# ---------------------------------------------------------------- signatures beside what they sign


def test_detached_signatures_are_judged_as_those_of_seeds():
    store = store_of(principal("acme", key(1)), principal("lab", key(2, ML_DSA_65)), threshold=1)
    mine = Detached(key(1).public.key_id, key(1).sign(b"message"))
    foreign = Detached(STRANGER.public.key_id, STRANGER.sign(b"message"))
    vouching = judge_detached(store, [foreign, mine], message=b"message", now=NOW)
    assert vouching == Vouching(
        ("acme",),
        (mine.key_id,),
        (
            SignatureStatus(foreign.key_id, 0, 0, None, "unknown"),
            SignatureStatus(mine.key_id, int(ED25519), 0, "acme", "counted"),
        ),
    )
    with refuses(BadSignature, "KEY-1"):
        judge_detached(store, [mine], message=b"massage", now=NOW)
    with refuses(UnknownSigner, "TRU-2", where="signatures"):
        judge_detached(store, [foreign], message=b"message", now=NOW)
    with refuses(ThresholdNotMet, "TRU-6", where="signatures"):
        judge_detached(store.with_threshold(2), [mine], message=b"message", now=NOW)


class Detached(NamedTuple):
    key_id: bytes
    signature: bytes
