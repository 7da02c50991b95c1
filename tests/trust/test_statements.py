from __future__ import annotations

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from seedpack.crypto.messages import statement_message
from seedpack.errors import (
    BadSignature,
    FormatError,
    KeyExpired,
    KeyFileError,
    KeyRevoked,
    PolicyRefused,
    Rollback,
    SeedError,
    StoreError,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.limits import MAX_INTEGER, MAX_STATEMENT_NBYTES, MAX_TIME
from seedpack.trust.model import Principal, TrustedKey
from seedpack.trust.statements import (
    apply_statement,
    load_statement,
    make_revocation,
    make_rotation,
    parse_statement,
)
from tests.crypto.refusals import refuses
from tests.trust.stores import ED25519, ML_DSA_65, NOW, key, names, principal, store_of, times

OLD, NEW, SPARE, OTHER = key(1), key(2), key(3), key(4)
STORE = store_of(principal("acme", OLD, SPARE, serial=5), principal("lab", OTHER))
ROTATION = make_rotation("acme", OLD, NEW, serial=6, created=NOW)
REVOCATION = make_revocation("acme", SPARE, [OLD.public.key_id], serial=6, created=NOW)

serials = st.integers(0, MAX_INTEGER)
ids = st.binary(min_size=32, max_size=32)


def key_id(private):
    return private.public.key_id


def named(private):
    return f"key {key_id(private).hex()}"


def apply(data, store=STORE, now=NOW):
    return apply_statement(store, parse_statement(data), now)


def rotate(old=OLD, new=NEW, *, who="acme", serial=6, created=NOW):
    return make_rotation(who, old, new, serial=serial, created=created)


def revoke(*revoked, signer=SPARE, who="acme", serial=6, created=NOW):
    return make_revocation(who, signer, list(map(key_id, revoked)), serial=serial, created=created)


def unpack(data):
    """Return body and signatures as plain values."""
    envelope = msgpack.unpackb(data)
    return msgpack.unpackb(envelope["body"]), envelope["signatures"]


def pack(body, signatures):
    return msgpack.packb({"body": msgpack.packb(body), "signatures": signatures})


def changed(data, **fields):
    """Return a statement with other fields and the signatures of the old ones."""
    body, signatures = unpack(data)
    return pack({**body, **fields}, signatures)


def signed_by(data, *signers):
    """Return a statement with good signatures by exactly these."""
    body = msgpack.unpackb(data)["body"]
    signatures = [
        [
            key_id(signer),
            signer.sign(
                statement_message(
                    algorithm=signer.public.algorithm, key_id=key_id(signer), body=body
                )
            ),
        ]
        for signer in signers
    ]
    return msgpack.packb({"body": body, "signatures": signatures})


def with_key(private, **fields):
    """Return a store in which acme's only key has that validity."""
    return store_of(Principal("acme", (TrustedKey(private.public, **fields),)))


# ---------------------------------------------------------------- form


def test_rotation_has_the_form_of_the_specification():
    body, signatures = unpack(ROTATION)
    assert body == {
        "algorithm": "ed25519",
        "created": NOW,
        "kind": "rotate",
        "principal": "acme",
        "public": NEW.public.raw,
        "replaced": key_id(OLD),
        "revoked": [],
        "schema": 1,
        "serial": 6,
    }
    assert list(body) == sorted(body)
    assert [entry[0] for entry in signatures] == [key_id(OLD), key_id(NEW)]


def test_revocation_has_the_form_of_the_specification():
    body, signatures = unpack(REVOCATION)
    assert body == {
        "algorithm": "",
        "created": NOW,
        "kind": "revoke",
        "principal": "acme",
        "public": b"",
        "replaced": b"",
        "revoked": [key_id(OLD)],
        "schema": 1,
        "serial": 6,
    }
    assert [entry[0] for entry in signatures] == [key_id(SPARE)]


@given(names, serials, times)
def test_parsing_inverts_making_a_rotation(who, serial, created):
    statement = parse_statement(rotate(who=who, serial=serial, created=created))
    body = statement.body
    assert (body.principal, body.serial, body.created) == (who, serial, created)
    assert (body.kind, body.replaced, statement.new_key) == ("rotate", key_id(OLD), NEW.public)
    assert list(statement.signatures) == [key_id(OLD), key_id(NEW)]


@given(names, st.lists(ids, min_size=1, max_size=4, unique=True), serials, times)
def test_parsing_inverts_making_a_revocation(who, revoked, serial, created):
    data = make_revocation(who, SPARE, revoked, serial=serial, created=created)
    statement = parse_statement(data)
    body = statement.body
    assert (body.principal, body.serial, body.created) == (who, serial, created)
    assert (body.kind, body.revoked, statement.new_key) == ("revoke", revoked, None)


@pytest.mark.spec("STA-1")
@given(st.sampled_from([ROTATION, REVOCATION]), st.data())
def test_no_second_encoding_is_accepted(data, draw):
    """Any change of the bytes is refused, or changes what is said."""
    place = draw.draw(st.integers(0, len(data) - 1))
    change = draw.draw(st.binary(max_size=3))
    cut = draw.draw(st.integers(0, 2))
    other = data[:place] + change + data[place + cut :]
    try:
        parsed = parse_statement(other)
    except SeedError:
        return
    assert (parsed == parse_statement(data)) == (other == data)


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize("data", [ROTATION, REVOCATION])
def test_each_truncation_and_each_excess_is_refused(data):
    for end in range(len(data)):
        with refuses(FormatError, "STA-1"):
            parse_statement(data[:end])
    with refuses(FormatError, "STA-1"):
        parse_statement(data + b"\0")


def as_map16(data):
    return b"\xde\x00" + bytes([data[0] & 0x0F]) + data[1:]


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize(
    "change",
    [
        lambda body, s: as_map16(pack(body, s)),
        lambda body, s: msgpack.packb({"body": as_map16(msgpack.packb(body)), "signatures": s}),
        lambda body, s: msgpack.packb({"signatures": s, "body": msgpack.packb(body)}),
        lambda body, s: pack(dict(reversed(body.items())), s),
        lambda body, s: pack({**body, "more": 1}, s),
        lambda body, s: msgpack.packb({"body": msgpack.packb(body), "signatures": s, "z": 1}),
        lambda body, s: pack({k: v for k, v in body.items() if k != "serial"}, s),
        lambda body, _: msgpack.packb({"body": msgpack.packb(body)}),
        lambda body, s: msgpack.packb({"body": body, "signatures": s}),
        lambda body, s: msgpack.packb({"body": msgpack.packb(body) + b"\0", "signatures": s}),
        lambda body, s: pack(body, [[*s[0], 1]]),
        lambda body, s: pack(body, [s[0][:1]]),
        lambda body, s: pack(body, [[s[0][0].hex(), s[0][1]]]),
        lambda body, s: pack(body, dict(s)),
        # one key twice, as msgpack and msgspec both read without a word
        lambda body, s: msgpack.packb(
            {"body": b"\x8a\xa6serial\x01" + msgpack.packb(body)[1:], "signatures": s}
        ),
        lambda body, s: b"\x83" + b"\xa4body\xc4\x00" + pack(body, s)[1:],
    ],
)
@pytest.mark.parametrize("data", [ROTATION, REVOCATION])
def test_other_forms_are_refused(data, change):
    with refuses(FormatError, "STA-1", where="statement"):
        parse_statement(change(*unpack(data)))


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize("data", [ROTATION, REVOCATION])
@pytest.mark.parametrize(
    "fields",
    [
        {"algorithm": "none"},
        {"algorithm": None},
        {"created": True},
        {"created": float(NOW)},
        {"created": str(NOW)},
        {"kind": "forget"},
        {"kind": ""},
        {"principal": b"acme"},
        {"public": "text"},
        {"replaced": None},
        {"revoked": None},
        {"revoked": "text"},
        {"schema": 0},
        {"schema": 2},
        {"schema": True},
        {"serial": 1.0},
        {"serial": False},
    ],
)
def test_values_have_exactly_their_types(data, fields):
    with refuses(FormatError, "STA-1", where="statement"):
        parse_statement(changed(data, **fields))


def test_what_is_no_statement_is_described():
    body, signatures = unpack(ROTATION)
    with refuses(FormatError, "STA-1", message="not canonical"):
        parse_statement(pack(dict(reversed(body.items())), signatures))
    message = "Object contains unknown field `\\x1b[2J`"
    with refuses(FormatError, "STA-1", message=message):
        parse_statement(pack({**body, "\x1b[2J": 1}, signatures))


def test_text_that_is_no_utf_8_is_refused():
    body, signatures = unpack(REVOCATION)
    packed = msgpack.packb(body).replace(b"\xa4acme", b"\xa4ac\xffe")
    with refuses(FormatError, "STA-1", where="statement"):
        parse_statement(msgpack.packb({"body": packed, "signatures": signatures}))


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize(
    "field, right, wrong",
    [
        ("created", [0, MAX_TIME], [-1, MAX_TIME + 1]),
        ("serial", [0, MAX_INTEGER], [-1, MAX_INTEGER + 1]),
        ("principal", ["a", "a" * 255], ["", "a" * 256, "a\n", "e\u0301", "a\u202eb"]),
    ],
)
def test_values_have_bounds(field, right, wrong):
    for data in (ROTATION, REVOCATION):
        for value in right:
            assert getattr(parse_statement(changed(data, **{field: value})).body, field) == value
        for value in wrong:
            message = {
                "created": f"created at {value}",
                "serial": f"serial {value}",
                "principal": f"not a text of 1 to 255 printable bytes: {value!a:.60}",
            }[field]
            with refuses(FormatError, "STA-1", where=field, message=message):
                parse_statement(changed(data, **{field: value}))


A_ROTATION = "a rotation names one key that is replaced, and a new one"
A_REVOCATION = "a revocation names keys that are revoked, and nothing else"


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize(
    "data, fields, message",
    [
        (ROTATION, {"revoked": [bytes(32)]}, A_ROTATION),
        (ROTATION, {"algorithm": ""}, A_ROTATION),
        (REVOCATION, {"revoked": []}, A_REVOCATION),
        (REVOCATION, {"replaced": bytes(32)}, A_REVOCATION),
        (REVOCATION, {"public": bytes(32)}, A_REVOCATION),
        (REVOCATION, {"algorithm": "ed25519"}, A_REVOCATION),
    ],
)
def test_each_kind_says_only_what_it_is_for(data, fields, message):
    with refuses(FormatError, "STA-1", where="statement", message=message):
        parse_statement(changed(data, **fields))


@pytest.mark.spec("STA-1")
@pytest.mark.parametrize(
    "data, fields, where",
    [
        (ROTATION, {"replaced": b""}, "replaced"),
        (ROTATION, {"replaced": bytes(31)}, "replaced"),
        (ROTATION, {"replaced": bytes(33)}, "replaced"),
        (REVOCATION, {"revoked": [bytes(31)]}, "revoked"),
        (REVOCATION, {"revoked": [bytes(32), bytes(33)]}, "revoked"),
        (REVOCATION, {"revoked": [bytes(32), bytes(32)]}, "revoked"),
    ],
)
def test_key_ids_have_32_bytes_and_stand_once(data, fields, where):
    message = "key ids have 32 bytes and stand once"
    with refuses(FormatError, "STA-1", where=where, message=message):
        parse_statement(changed(data, **fields))


@pytest.mark.parametrize("change", [lambda s: [*s, s[0]], lambda s: [[s[0][0][:-1], s[0][1]]]])
def test_attack_91_no_key_signs_a_statement_twice(change):
    body, signatures = unpack(ROTATION)
    with refuses(FormatError, "STA-1", where="signatures"):
        parse_statement(pack(body, change(signatures)))


@pytest.mark.spec("KEY-3", "KEY-4", "KEY-6")
@pytest.mark.parametrize(
    "public, rule",
    [(bytes(31), "KEY-6"), (bytes(32), "KEY-4"), (b"\xff" * 32, "KEY-3"), (b"", "KEY-6")],
)
def test_attacks_103_to_105_weak_key_does_not_come_by_rotation(public, rule):
    with refuses(KeyFileError, rule):
        parse_statement(changed(ROTATION, public=public))


@pytest.mark.spec("STA-1")
def test_statement_has_at_most_1_mib(tmp_path):
    assert MAX_STATEMENT_NBYTES == 1024 * 1024
    body, signatures = unpack(REVOCATION)
    spare = MAX_STATEMENT_NBYTES - len(pack(body, [*signatures, [bytes(32), bytes(70_000)]]))
    full = pack(body, [*signatures, [bytes(32), bytes(70_000 + spare)]])
    assert len(full) == MAX_STATEMENT_NBYTES
    path = tmp_path / "statement"
    path.write_bytes(full)
    assert load_statement(path) == parse_statement(full)
    larger = pack(body, [*signatures, [bytes(32), bytes(70_000 + spare + 1)]])
    path.write_bytes(larger)
    with refuses(StoreError, "STA-1", where=str(path)):
        load_statement(path)
    with refuses(
        FormatError,
        "STA-1",
        where="statement",
        message=(f"{MAX_STATEMENT_NBYTES + 1} bytes, at most {MAX_STATEMENT_NBYTES} are allowed"),
    ):
        parse_statement(larger)


@pytest.mark.parametrize(
    "make",
    [
        lambda: rotate(serial=-1),
        lambda: rotate(created=MAX_TIME + 1),
        lambda: rotate(who=""),
        lambda: rotate(OLD, OLD),  # one key cannot sign twice
        revoke,
        lambda: revoke(OLD, OLD),
    ],
)
def test_what_would_not_be_read_is_not_made(make):
    with refuses(FormatError, "STA-1"):
        make()


@given(st.binary(max_size=300))
def test_any_bytes_give_a_statement_or_a_refusal(data):
    try:
        parse_statement(data)
    except SeedError:
        return
    pytest.fail("random bytes are no statement")


# ---------------------------------------------------------------- rotation


@pytest.mark.spec("STA-2", "STA-4")
def test_rotation_ends_the_old_key_and_begins_the_new_one():
    expected = store_of(
        Principal(
            "acme",
            (
                TrustedKey(OLD.public, not_after=NOW),
                TrustedKey(SPARE.public),
                TrustedKey(NEW.public, not_before=NOW),
            ),
            serial=6,
        ),
        STORE.principals[1],
    )
    assert apply(ROTATION) == expected


def test_rotation_keeps_everything_else():
    rich = replace(
        STORE.principals[0], may_sign=("acme/*",), require=(ED25519, ML_DSA_65), serial=0
    )
    after = apply(ROTATION, store_of(rich, threshold=2, last_time=NOW)).principals[0]
    assert replace(after, keys=rich.keys, serial=0) == rich


def test_rotation_gives_the_old_key_no_more_time():
    ending = with_key(OLD, not_after=NOW + 10)
    later = apply(rotate(created=NOW + 20), ending)
    assert later.principals[0].keys[0].not_after == NOW + 10
    earlier = apply(rotate(created=NOW + 5), ending)
    assert earlier.principals[0].keys[0].not_after == NOW + 5


def test_chain_of_rotations_is_followed():
    store = apply(rotate(OLD, NEW, serial=6, created=NOW - 10))
    store = apply(rotate(NEW, key(8), serial=7, created=NOW), store)
    periods = {k.key_id: (k.not_before, k.not_after) for k in store.principals[0].keys}
    assert periods == {
        key_id(OLD): (0, NOW - 10),
        key_id(SPARE): (0, None),
        key_id(NEW): (NOW - 10, NOW),
        key_id(key(8)): (NOW, None),
    }


@pytest.mark.spec("STA-2")
def test_attack_113_chain_with_a_missing_link_is_refused():
    with refuses(
        UnknownSigner,
        "STA-2",
        message="replaces a key that is not this principal's",
        where=named(NEW),
        hint="apply the rotations before this one first",
    ):
        apply(rotate(NEW, key(8), serial=7))


@pytest.mark.spec("STA-2")
@pytest.mark.parametrize(
    "signers, missing",
    [((NEW,), OLD), ((OLD,), NEW), ((), OLD), ((SPARE, NEW), OLD), ((OLD, SPARE), NEW)],
)
def test_attack_114_rotation_is_signed_by_both_keys(signers, missing):
    with refuses(ThresholdNotMet, "STA-2", message="not signed by both keys", where=named(missing)):
        apply(signed_by(ROTATION, *signers))


@pytest.mark.spec("STA-2")
@pytest.mark.parametrize("bad", [0, 1])
def test_attack_114_both_signatures_of_a_rotation_verify(bad):
    body, signatures = unpack(ROTATION)
    signatures[bad][1] = bytes(64)
    with refuses(
        BadSignature,
        "STA-2",
        message="the signature does not verify",
        where=named((OLD, NEW)[bad]),
    ):
        apply(pack(body, signatures))


@pytest.mark.spec("STA-2")
@pytest.mark.parametrize(
    "fields", [{"created": NOW - 1}, {"serial": 7}, {"principal": "lab", "serial": 7}]
)
def test_changed_rotation_is_refused(fields):
    with pytest.raises((BadSignature, UnknownSigner)) as caught:
        apply(changed(ROTATION, **fields))
    assert caught.value.rule == "STA-2"


@pytest.mark.spec("STA-2")
@pytest.mark.parametrize(
    "fields, kind, message",
    [
        ({"revoked": True}, KeyRevoked, "signed by a revoked key"),
        ({"not_after": NOW}, KeyExpired, "signed by a key outside its validity"),
        ({"not_before": NOW + 1}, KeyExpired, "signed by a key outside its validity"),
    ],
)
def test_rotation_of_a_key_that_is_not_usable_is_refused(fields, kind, message):
    with refuses(kind, "STA-2", where=named(OLD), message=message):
        apply(ROTATION, with_key(OLD, **fields))


@pytest.mark.spec("STA-2")
def test_rotation_of_somebody_elses_key_is_refused():
    with refuses(UnknownSigner, "STA-2", where=named(OTHER)):
        apply(rotate(OTHER, NEW))
    with refuses(UnknownSigner, "STA-2", where="nobody", message="no such principal"):
        apply(rotate(who="nobody"))


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("new", [SPARE, OTHER])
def test_rotation_to_a_key_that_is_in_the_store_is_refused(new):
    with refuses(StoreError, "TRU-1", where="keys"):
        apply(rotate(OLD, new))


@pytest.mark.spec("STA-2")
def test_attack_98_rotation_cannot_move_a_key_into_the_other_half_of_a_hybrid():
    """Who has both Ed25519 keys must not get an ML-DSA-65 key in by rotating one of them."""
    hybrid = replace(STORE.principals[0], require=(ED25519, ML_DSA_65))
    new = key(7, ML_DSA_65)
    with refuses(
        PolicyRefused,
        "STA-2",
        message="the new key is of another algorithm",
        where=named(new),
        hint="add it by hand, if it came from the publisher by a safe way",
    ):
        apply(rotate(OLD, new), store_of(hybrid))


def test_ml_dsa_65_keys_rotate():
    old, new = key(5, ML_DSA_65), key(6, ML_DSA_65)
    store = store_of(principal("acme", old, require=(ML_DSA_65,)))
    assert apply(rotate(old, new), store).principals[0].keys[1] == TrustedKey(
        new.public, not_before=NOW
    )


# ---------------------------------------------------------------- revocation


@pytest.mark.spec("STA-3", "STA-4")
def test_revocation_revokes_what_it_names():
    acme = STORE.principals[0]
    expected = (TrustedKey(OLD.public, revoked=True), TrustedKey(SPARE.public))
    assert apply(REVOCATION) == STORE.with_changed(replace(acme, keys=expected, serial=6))


def test_key_may_revoke_itself_and_others():
    after = apply(revoke(SPARE, OLD))
    assert [k.revoked for k in after.principals[0].keys] == [True, True]


@pytest.mark.spec("STA-3")
def test_attack_115_revoked_key_revokes_nobody():
    store = STORE.with_revoked(key_id(SPARE))
    with refuses(KeyRevoked, "STA-3", where=named(SPARE)):
        apply(REVOCATION, store)


@pytest.mark.spec("STA-3")
@pytest.mark.parametrize("fields", [{"not_after": NOW}, {"not_before": NOW + 1}])
def test_key_outside_its_validity_revokes_nobody(fields):
    with refuses(KeyExpired, "STA-3", where=named(SPARE)):
        apply(revoke(SPARE), with_key(SPARE, **fields))


@pytest.mark.spec("STA-3")
@pytest.mark.parametrize("order", [1, -1])
def test_one_usable_signer_is_enough(order):
    store = STORE.with_revoked(key_id(OLD))
    after = apply(signed_by(REVOCATION, *(OLD, SPARE)[::order]), store)
    assert after.principals[0].serial == 6


@pytest.mark.spec("STA-3")
def test_revocation_by_somebody_else_is_refused():
    for data in (signed_by(REVOCATION, OTHER), signed_by(REVOCATION)):
        with refuses(UnknownSigner, "STA-3", message="not signed by this principal", where="acme"):
            apply(data)
    with refuses(UnknownSigner, "STA-3", where="nobody", message="no such principal"):
        apply(revoke(OLD, who="nobody"))


@pytest.mark.spec("STA-3")
def test_signature_of_a_stranger_is_no_obstacle():
    assert apply(signed_by(REVOCATION, OTHER, SPARE)) == apply(REVOCATION)


@pytest.mark.spec("STA-3")
@pytest.mark.parametrize("bad", [OLD, SPARE])
def test_every_signature_by_the_principal_verifies(bad):
    body, signatures = unpack(signed_by(REVOCATION, OLD, SPARE))
    for entry in signatures:
        if entry[0] == key_id(bad):
            entry[1] = bytes(64)
    with refuses(BadSignature, "STA-3", where=named(bad)):
        apply(pack(body, signatures))


@pytest.mark.spec("STA-3")
@pytest.mark.parametrize("revoked", [(OTHER,), (OLD, OTHER), (NEW,)])
def test_revocation_of_somebody_elses_key_is_refused(revoked):
    with refuses(
        PolicyRefused,
        "STA-3",
        message="revokes a key that is not this principal's",
        where=named(revoked[-1]),
    ):
        apply(revoke(*revoked))


# ---------------------------------------------------------------- serial and time


@pytest.mark.spec("STA-4")
@pytest.mark.parametrize("make", [rotate, lambda **fields: revoke(OLD, **fields)])
def test_attack_116_older_statement_is_refused(make):
    for serial in (5, 4, 0):
        with refuses(
            Rollback,
            "STA-4",
            message=f"serial {serial}, but 5 was applied before",
            where="acme",
        ):
            apply(make(serial=serial))
    assert apply(make(serial=MAX_INTEGER)).principals[0].serial == MAX_INTEGER


@pytest.mark.spec("STA-4")
@pytest.mark.parametrize("data", [ROTATION, REVOCATION])
def test_attack_116_statement_is_applied_once(data):
    with refuses(Rollback, "STA-4", message="serial 6, but 6 was applied before"):
        apply(data, apply(data))


@pytest.mark.spec("STA-5")
@pytest.mark.parametrize("make", [rotate, lambda **fields: revoke(OLD, **fields)])
def test_statement_from_the_future_is_refused(make):
    assert apply(make(created=NOW + 300)).principals[0].serial == 6
    with refuses(
        PolicyRefused,
        "STA-5",
        message=f"created at {NOW + 301}, which is yet to come",
        where="created",
        hint="check the clock",
    ):
        apply(make(created=NOW + 301))


@pytest.mark.spec("TRU-12")
def test_attack_109_clock_that_was_set_back_refuses_statements():
    store = replace(STORE, last_time=NOW)
    assert apply(rotate(created=NOW - 300), store, now=NOW - 300).last_time == NOW
    with refuses(PolicyRefused, "TRU-12"):
        apply(rotate(created=NOW - 301), store, now=NOW - 301)
