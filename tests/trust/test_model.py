from __future__ import annotations

import pytest
from hypothesis import given
from msgspec.structs import replace

from seedpack.errors import StoreError
from seedpack.limits import MAX_INTEGER, MAX_TIME, MAX_VERSION
from seedpack.trust.model import Policy, Principal, SeenVersion, TrustedKey, TrustStore
from tests.crypto.refusals import refuses
from tests.trust.stores import ED25519, ML_DSA_65, NOW, SEED_ID, key, principal, store_of, stores

ACME = principal("acme", key(1), key(2))
LAB = principal("lab", key(3))


@pytest.fixture
def store():
    return store_of(ACME, LAB)


# ---------------------------------------------------------------- values that cannot exist


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize(
    "make, highest, where",
    [
        (lambda n: TrustedKey(key(1).public, not_before=n), MAX_TIME, "not_before"),
        (lambda n: TrustedKey(key(1).public, not_after=n), MAX_TIME, "not_after"),
        (lambda n: principal("acme", serial=n), MAX_INTEGER, "acme.serial"),
        (lambda n: Policy(max_decoded_nbytes=n), MAX_INTEGER, "policy.max_decoded_nbytes"),
        (lambda n: SeenVersion(n, SEED_ID), MAX_VERSION, "seen.version"),
        (lambda n: TrustStore(last_time=n), MAX_TIME, "last_time"),
    ],
)
def test_numbers_have_bounds(make, highest, where):
    make(0)
    make(highest)
    for wrong in (-1, highest + 1):
        message = f"{wrong} is not in 0 to {highest}"
        with refuses(StoreError, "TRU-1", where=where, message=message):
            make(wrong)


@pytest.mark.parametrize("threshold", [0, -1, MAX_INTEGER + 1])
def test_threshold_is_at_least_one(store, threshold):
    message = f"a threshold of {threshold}"
    with refuses(StoreError, "TRU-1", where="threshold", message=message):
        store.with_threshold(threshold)


@pytest.mark.parametrize("threshold", [1, 2, MAX_INTEGER])
def test_threshold_may_be_what_is_not_reached_yet(store, threshold):
    assert store.with_threshold(threshold) == replace(store, threshold=threshold)


@pytest.mark.parametrize("nbytes", [0, 31, 33])
def test_seed_id_has_32_bytes(nbytes):
    message = f"a seed id of {nbytes} bytes"
    with refuses(StoreError, "TRU-1", where="seen.seed_id", message=message):
        SeenVersion(1, bytes(nbytes))


BAD_TEXTS = [
    "",
    "a" * 256,
    "\u00e9" * 128,  # 256 bytes
    "a\n",
    "a\0",
    "a\u202eb",  # turns the reading direction
    "a\u200bb",  # takes no room
    "a\u00a0b",  # a space that is none
    "e\u0301",  # not NFC
    "\ud800",  # no character
]


@pytest.mark.parametrize("text", BAD_TEXTS)
@pytest.mark.parametrize(
    "make, where",
    [
        (lambda t: principal(t, key(1)), "principal"),
        (lambda t: principal("acme", key(1), may_sign=("ok", t)), "acme.may_sign"),
        (lambda t: Policy(codecs=frozenset({"ok", t})), "policy.codecs"),
        (lambda t: TrustStore(seen={t: SeenVersion(1, SEED_ID)}), "seen"),
    ],
)
def test_texts_show_as_what_they_are(make, where, text):
    message = f"not a text of 1 to 255 printable bytes: {text!a:.60}"
    with refuses(StoreError, "TRU-1", where=where, message=message):
        make(text)


@pytest.mark.parametrize("text", ["a", "a" * 255, "\u00e9" * 127, "Acme Research, Ltd.", "\u00e9"])
def test_usual_texts_are_names(text):
    assert principal(text, key(1)).name == text


@pytest.mark.parametrize("require", [(), (ED25519, ED25519)])
def test_principal_that_requires_nothing_cannot_exist(require):
    message = "require names each algorithm once, and at least one"
    with refuses(StoreError, "TRU-1", where="acme", message=message):
        principal("acme", key(1), require=require)


@pytest.mark.spec("TRU-1")
@pytest.mark.parametrize(
    "principals",
    [
        (principal("a", key(1), key(1)),),
        (principal("a", key(1)), principal("b", key(1))),
        (principal("a", key(1)), Principal("b", (TrustedKey(key(1).public, revoked=True),))),
    ],
)
def test_attack_92_one_key_cannot_stand_twice(principals):
    with refuses(StoreError, "TRU-1", where="keys"):
        store_of(*principals)


@pytest.mark.spec("TRU-1")
def test_names_of_principals_are_unique():
    message = "one stands here twice"
    with refuses(StoreError, "TRU-1", where="principals", message=message):
        store_of(principal("a", key(1)), principal("a", key(2)))


def test_new_store_is_empty_and_asks_for_one():
    assert TrustStore() == TrustStore((), 1, Policy(None, None), {}, 0)


# ---------------------------------------------------------------- validity


@pytest.mark.spec("TRU-3", "TRU-4")
@pytest.mark.parametrize(
    "not_before, not_after, revoked, expected",
    [
        (0, None, False, "usable"),
        (NOW, None, False, "usable"),
        (NOW + 1, None, False, "key expired"),
        (0, NOW + 1, False, "usable"),
        (0, NOW, False, "key expired"),
        (NOW, NOW, False, "key expired"),
        (0, 0, False, "key expired"),
        (0, None, True, "revoked"),
        (NOW + 1, NOW, True, "revoked"),
    ],
)
def test_key_is_valid_from_its_beginning_to_before_its_end(
    not_before, not_after, revoked, expected
):
    trusted = TrustedKey(key(1).public, not_before, not_after, revoked)
    assert trusted.standing(NOW) == expected


def test_principal_may_sign_what_any_of_its_patterns_matches():
    who = principal("acme", key(1), may_sign=("acme/*", "shared"))
    names = ("acme/a", "shared", "shared2", "lab/a")
    assert [who.allows(name) for name in names] == [True, True, False, False]
    assert not principal("none", key(1), may_sign=()).allows("acme/a")
    assert principal("all", key(1)).allows("acme/a")


# ---------------------------------------------------------------- a store of keys


def test_store_of_keys_has_a_principal_for_each():
    public = [key(1).public, key(2, ML_DSA_65).public]
    store = TrustStore.of_keys(public, threshold=2)
    assert [p.name for p in store.principals] == [k.key_id.hex() for k in public]
    assert [p.require for p in store.principals] == [(ED25519,), (ML_DSA_65,)]
    assert [p.keys for p in store.principals] == [(TrustedKey(k),) for k in public]
    assert all(p.allows("any/name") for p in store.principals)
    assert (store.threshold, store.seen, store.last_time) == (2, {}, 0)
    assert TrustStore.of_keys(public).threshold == 1


def test_attack_91_key_given_twice_is_no_second_principal():
    with refuses(StoreError, "TRU-1", where="principals"):
        TrustStore.of_keys([key(1).public, key(1).public], threshold=2)


# ---------------------------------------------------------------- changes


def test_change_leaves_the_store_as_it_was(store):
    changed = store.with_revoked(key(1).public.key_id)
    assert changed != store
    assert store == store_of(ACME, LAB)


def test_principal_is_found_by_name(store):
    assert store.find_principal("lab") is LAB
    assert store.find_principal("nobody") is None


def test_keys_are_found_by_id(store):
    assert store.keys_by_id() == {
        key(1).public.key_id: (ACME, ACME.keys[0]),
        key(2).public.key_id: (ACME, ACME.keys[1]),
        key(3).public.key_id: (LAB, LAB.keys[0]),
    }


def test_principal_is_added_and_removed(store):
    more = principal("more", key(4))
    assert store.with_principal(more).principals == (ACME, LAB, more)
    assert store.without_principal("acme").principals == (LAB,)
    with refuses(StoreError, "TRU-1", where="principals"):
        store.with_principal(principal("lab", key(4)))
    with refuses(StoreError, "TRU-1", where="nobody", message="no such principal"):
        store.without_principal("nobody")


def test_principal_is_changed_in_its_place(store):
    changed = principal("acme", key(5))
    assert store.with_changed(changed).principals == (changed, LAB)
    with refuses(StoreError, "TRU-1", where="nobody", message="no such principal"):
        store.with_changed(principal("nobody", key(5)))
    with refuses(StoreError, "TRU-1", where="keys"):
        store.with_changed(principal("acme", key(3)))


def test_key_is_added(store):
    new = TrustedKey(key(6).public, not_before=NOW)
    assert store.with_key("lab", new).principals == (ACME, Principal("lab", (*LAB.keys, new)))
    with refuses(StoreError, "TRU-1", where="nobody", message="no such principal"):
        store.with_key("nobody", new)
    with refuses(StoreError, "TRU-1", where="keys"):
        store.with_key("lab", ACME.keys[0])


def test_key_is_revoked_for_good(store):
    revoked = store.with_revoked(key(2).public.key_id)
    assert [k.revoked for p in revoked.principals for k in p.keys] == [False, True, False]
    assert revoked.with_revoked(key(2).public.key_id) == revoked
    unknown = key(9).public.key_id
    with refuses(StoreError, "TRU-1", where=unknown.hex(), message="no such key"):
        store.with_revoked(unknown)


def test_policy_is_changed(store):
    policy = Policy(frozenset({"raw"}), 5)
    assert store.with_policy(policy) == replace(store, policy=policy)


@pytest.mark.spec("TRU-13")
def test_seen_version_and_time_are_remembered(store):
    one, two = SeenVersion(1, SEED_ID), SeenVersion(2, bytes(32))
    later = store.with_seen("a", one, NOW).with_seen("b", one, NOW - 1).with_seen("a", two, NOW)
    assert later.seen == {"a": two, "b": one}
    assert later.last_time == NOW
    assert later.with_seen("a", two, NOW + 1).last_time == NOW + 1


def test_attack_112_fast_forward_is_forgotten_on_demand(store):
    ahead = store.with_seen("a", SeenVersion(MAX_VERSION, SEED_ID), NOW)
    assert ahead.without_seen("a").seen == {}
    assert ahead.without_seen("a").last_time == NOW
    with refuses(StoreError, "TRU-1", where="b", message="nothing of this name was seen"):
        ahead.without_seen("b")


def test_what_was_seen_cannot_be_changed_in_place():
    mine = {"a": SeenVersion(1, SEED_ID)}
    store = TrustStore(seen=mine)
    mine.clear()
    assert store.seen == {"a": SeenVersion(1, SEED_ID)}
    with pytest.raises(TypeError):
        store.seen["b"] = SeenVersion(1, SEED_ID)
    with pytest.raises(AttributeError):
        store.threshold = 0


@given(stores())
def test_every_key_of_a_store_is_found_where_it_stands(store):
    found = store.keys_by_id()
    assert [found[k.key_id] for p in store.principals for k in p.keys] == [
        (p, k) for p in store.principals for k in p.keys
    ]
