from __future__ import annotations

import base64
import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.keys import PublicKey
from seedpack.errors import KeyFileError, SeedError, StoreError
from seedpack.limits import MAX_TRUST_STORE_NBYTES
from seedpack.trust.store import (
    Policy,
    SeenVersion,
    TrustedKey,
    TrustStore,
    encode_trust_store,
    parse_trust_store,
)
from tests.crypto.refusals import refuses
from tests.trust.stores import ED25519, ML_DSA_65, SEED_ID, key, principal, store_of, stores

PUBLIC = base64.b64encode(key(1).public.raw).decode()


def plain(**changes):
    """Return the example of the specification as plain values."""
    return {
        "schema": 1,
        "threshold": 1,
        "last_time": 0,
        "policy": {"codecs": None, "max_decoded_nbytes": None},
        "principals": [
            {
                "name": "acme",
                "may_sign": ["acme/*"],
                "require": ["ed25519"],
                "serial": 0,
                "keys": [plain_key()],
            }
        ],
        "seen": {"acme/minilm": {"version": 3, "seed_id": SEED_ID.hex()}},
        **changes,
    }


def plain_key(**changes):
    return {
        "algorithm": "ed25519",
        "public": PUBLIC,
        "not_before": 0,
        "not_after": None,
        "revoked": False,
        **changes,
    }


def parse(value):
    return parse_trust_store(json.dumps(value).encode())


def with_key(**changes):
    value = plain()
    value["principals"][0]["keys"] = [plain_key(**changes)]
    return value


EXAMPLE = store_of(
    principal("acme", key(1), may_sign=("acme/*",)),
    seen={"acme/minilm": SeenVersion(3, SEED_ID)},
)


def test_example_of_the_specification_is_read():
    assert parse(plain()) == EXAMPLE


def test_what_is_written_is_the_form_of_the_specification():
    assert encode_trust_store(EXAMPLE) == (json.dumps(plain(), indent=2) + "\n").encode()


def test_every_field_is_read_and_written():
    store = TrustStore(
        principals=(
            principal("b", key(1), key(2, ML_DSA_65), require=(ML_DSA_65, ED25519), serial=7),
            principal("\u00e9", may_sign=()),
        ),
        threshold=2,
        policy=Policy(frozenset({"raw", "q8"}), 99),
        seen={"z": SeenVersion(1, SEED_ID), "a": SeenVersion(2, bytes(32))},
        last_time=12,
    ).with_key("\u00e9", TrustedKey(key(3).public, 5, 6, revoked=True))
    text = encode_trust_store(store)
    assert parse_trust_store(text) == store
    value = json.loads(text)
    assert "\u00e9".encode() in text
    assert list(value["seen"]) == ["a", "z"]
    assert value["policy"] == {"codecs": ["q8", "raw"], "max_decoded_nbytes": 99}
    assert (value["threshold"], value["last_time"]) == (2, 12)
    assert value["principals"][0]["require"] == ["ml-dsa-65", "ed25519"]
    assert value["principals"][0]["serial"] == 7
    assert value["principals"][1]["keys"] == [
        plain_key(
            public=base64.b64encode(key(3).public.raw).decode(),
            not_before=5,
            not_after=6,
            revoked=True,
        )
    ]


@given(stores())
def test_parsing_inverts_encoding(store):
    assert parse_trust_store(encode_trust_store(store)) == store


@given(stores())
def test_one_store_has_one_text(store):
    text = encode_trust_store(store)
    assert encode_trust_store(parse_trust_store(text)) == text


def places(value, path=()):
    """Yield the path of every object in plain values."""
    if isinstance(value, dict):
        yield path
        for name, part in value.items():
            yield from places(part, (*path, name))
    elif isinstance(value, list):
        for i, part in enumerate(value):
            yield from places(part, (*path, i))


def at(value, path):
    for step in path:
        value = value[step]
    return value


PLACES = list(places(plain()))
FIELDS = [(path, name) for path in PLACES for name in at(plain(), path) if path != ("seen",)]


def test_example_has_objects_at_four_depths():
    assert sorted(map(len, PLACES)) == [0, 1, 1, 2, 2, 4]


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("path, name", FIELDS)
def test_every_key_is_needed(path, name):
    value = plain()
    del at(value, path)[name]
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse(value)


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("path", [path for path in PLACES if path != ("seen",)])
def test_no_other_key_is_read(path):
    value = plain()
    at(value, path)["more"] = 1
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse(value)


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("path", PLACES)
def test_attack_118_key_that_stands_twice_is_refused_at_any_depth(path):
    value = plain()
    table = at(value, path)
    name = next(iter(table))
    table["placeholder"] = table[name]
    text = json.dumps(value).replace('"placeholder"', json.dumps(name)).encode()
    with refuses(StoreError, "TRU-1", message="a key stands twice in one object"):
        parse_trust_store(text)


def test_attack_118_key_that_stands_twice_in_two_spellings_is_refused():
    text = json.dumps(plain()).replace('"schema"', '"threshold": 2, "\\u0074hreshold": 1, "schema"')
    with refuses(StoreError, "TRU-1", message="a key stands twice in one object"):
        parse_trust_store(text.encode())


WRONG = [True, 1.0, "1", None, [], {}, -1, 10**30]


RIGHT = {
    "codecs": (None, []),
    "keys": ([],),
    "max_decoded_nbytes": (None,),
    "may_sign": ([],),
    "name": ("1",),
    "not_after": (None,),
    "principals": ([],),
    "revoked": (True,),
    "seen": ({},),
}
WRONG_FIELDS = [
    (path, name, wrong)
    for path, name in FIELDS
    for wrong in WRONG
    if not any(
        type(wrong) is type(right) and wrong == right
        for right in (*RIGHT.get(name, ()), at(plain(), path)[name])
    )
]


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize("path, name, wrong", WRONG_FIELDS, ids=repr)
def test_every_value_has_exactly_its_type(path, name, wrong):
    value = plain()
    at(value, path)[name] = wrong
    with refuses(StoreError, "TRU-1"):
        parse(value)


@pytest.mark.parametrize("schema", [0, 2])
def test_another_schema_is_refused(schema):
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse(plain(schema=schema))


@pytest.mark.parametrize("algorithm", ["none", "", "ED25519", "ml-dsa-44"])
def test_attack_99_another_algorithm_is_refused(algorithm):
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse(with_key(algorithm=algorithm))


@pytest.mark.parametrize(
    "public",
    ["%%%%", PUBLIC[:-1], PUBLIC + "\n", " " + PUBLIC, PUBLIC + "=", "\u00e9" + PUBLIC[1:]],
)
def test_public_key_is_strict_base64(public):
    where = "principal 'acme', keys[0]"
    with refuses(StoreError, "TRU-1", where=where, message="public is not base64"):
        parse(with_key(public=public))


@pytest.mark.spec("KEY-3", "KEY-4")
@pytest.mark.parametrize(
    "raw, rule",
    [
        (b"", "KEY-6"),
        (bytes(31), "KEY-6"),
        (bytes(33), "KEY-6"),
        (bytes(32), "KEY-4"),
        (b"\1" + bytes(31), "KEY-4"),
        (b"\xff" * 32, "KEY-3"),
        (b"\1" + bytes(30) + b"\x80", "KEY-3"),
    ],
)
def test_attacks_103_to_105_key_that_must_not_be_used_is_refused_where_it_stands(raw, rule):
    public = base64.b64encode(raw).decode()
    with pytest.raises(KeyFileError) as alone:
        PublicKey(ED25519, raw)
    told = {"message": alone.value.message, "hint": alone.value.hint}
    with refuses(KeyFileError, rule, where="principal 'acme', keys[0]", **told):
        parse(with_key(public=public))


def test_attack_93_one_point_cannot_stand_in_two_encodings():
    # y < 19 has a second encoding, y + p; only the first is a key
    value = plain()
    two = (3).to_bytes(32, "little"), (3 + 2**255 - 19).to_bytes(32, "little")
    value["principals"][0]["keys"] = [
        plain_key(public=base64.b64encode(raw).decode()) for raw in two
    ]
    with refuses(KeyFileError, "KEY-3", where="principal 'acme', keys[1]"):
        parse(value)


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize(
    "public",
    [
        "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
    ],
)
def test_attack_106_private_key_is_refused(public):
    with refuses(
        StoreError,
        "TRU-1",
        message="holds a private key",
        hint="take it out, and replace the key: it leaked",
    ):
        parse(with_key(public=public))


def test_attack_92_key_that_stands_twice_is_refused():
    value = plain()
    value["principals"].append({**value["principals"][0], "name": "second"})
    with refuses(StoreError, "TRU-1", where="keys"):
        parse(value)


@pytest.mark.parametrize("seed_id", ["", "0" * 62, "0" * 66, "g" * 64, "0" * 63, "\u0660" * 64])
def test_seed_id_is_64_hexadecimal_digits(seed_id):
    if len(seed_id) % 2 or not re.fullmatch("[0-9]*", seed_id, re.ASCII):
        told = {"message": "seed_id is not hexadecimal", "where": "seen, 'a'"}
    else:
        told = {"message": f"a seed id of {len(seed_id) // 2} bytes", "where": "seen.seed_id"}
    with refuses(StoreError, "TRU-1", **told):
        parse(plain(seen={"a": {"version": 1, "seed_id": seed_id}}))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b"\xef\xbb\xbf{}",
        json.dumps(plain()).encode("utf-16"),
        json.dumps(plain()).encode() + b"x",
        json.dumps(plain()).encode() + b"{}",
        json.dumps(plain()).encode()[:-1],
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b"\xff",
        json.dumps(plain(threshold=float("nan"))).encode(),
        json.dumps(plain(threshold=float("-inf"))).encode(),
        b"{'schema': 1}",
    ],
)
def test_what_is_not_such_an_object_is_refused(text):
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse_trust_store(text)


@pytest.mark.parametrize("depth", [(), ("seen",)])
def test_key_that_is_no_text_is_refused(depth):
    value = plain()
    at(value, depth)["\ud800"] = 1
    with refuses(StoreError, "TRU-1", where="trust store"):
        parse(value)


def test_what_is_no_trust_store_is_described():
    with refuses(StoreError, "TRU-1", message="Object contains unknown field `\\x1b[2J`"):
        parse(plain(**{"\x1b[2J": 1}))
    message = "not JSON: Expecting value: line 1 column 1 (char 0)"
    with refuses(StoreError, "TRU-1", message=message, hint=""):
        parse_trust_store(b"")


def test_nan_is_named():
    with refuses(StoreError, "TRU-1", message="NaN is not JSON"):
        parse_trust_store(b'{"schema": NaN}')


@pytest.mark.spec("TRU-1")
def test_store_has_at_most_4_mib():
    assert MAX_TRUST_STORE_NBYTES == 4 * 1024 * 1024
    text = json.dumps(plain()).encode()
    full = text + b" " * (MAX_TRUST_STORE_NBYTES - len(text))
    assert parse_trust_store(full) == EXAMPLE
    message = f"{MAX_TRUST_STORE_NBYTES + 1} bytes, at most {MAX_TRUST_STORE_NBYTES} are allowed"
    with refuses(StoreError, "TRU-1", message=message):
        parse_trust_store(full + b" ")


def test_store_that_could_not_be_read_again_is_not_written():
    seen = SeenVersion(1, SEED_ID)

    def store_of_nbytes(nbytes):
        some = {f"{i:0200}": seen for i in range(nbytes // 400)}
        one, two = (
            len(encode_trust_store(TrustStore(seen=dict(list(some.items())[:n])))) for n in (1, 2)
        )
        lacks = nbytes - (one + (len(some) - 1) * (two - one))
        while lacks > two - one + 55:  # a name has at most 255 bytes
            some[f"{len(some):0200}"] = seen
            lacks -= two - one
        return TrustStore(seen={**some, "x" * (lacks - (two - one) + 200): seen})

    full = store_of_nbytes(MAX_TRUST_STORE_NBYTES)
    text = encode_trust_store(full)
    assert len(text) == MAX_TRUST_STORE_NBYTES
    assert parse_trust_store(text) == full
    with refuses(
        StoreError,
        "TRU-1",
        message=(
            f"would have {MAX_TRUST_STORE_NBYTES + 1} bytes, "
            f"at most {MAX_TRUST_STORE_NBYTES} are allowed"
        ),
        where="trust store",
        hint="let it forget names that are no longer used: seedpack trust forget NAME",
    ):
        encode_trust_store(store_of_nbytes(MAX_TRUST_STORE_NBYTES + 1))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.binary(max_size=100)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.tuples(st.sampled_from(FIELDS), json_values).map(
        lambda change: json.dumps(replaced(*change)).encode()
    )
)
def test_any_bytes_give_a_store_or_a_refusal(text):
    try:
        store = parse_trust_store(text)
    except SeedError:
        return
    assert parse_trust_store(encode_trust_store(store)) == store


def replaced(field, value):
    whole = plain()
    at(whole, field[0])[field[1]] = value
    return whole
