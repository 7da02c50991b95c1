from __future__ import annotations

import pytest

from seedpack.errors import PolicyRefused, Rollback, SeedExpired
from seedpack.trust.judge import Vouching, judge_policy
from seedpack.trust.model import Policy, SeenVersion
from tests.crypto.refusals import refuses
from tests.trust.stores import NOW, SEED_ID, facts, key, principal, store_of

ACME = principal("acme", key(1), may_sign=("acme/*",))
LAB = principal("lab", key(2), may_sign=("lab/*", "acme/minilm"))
STORE = store_of(ACME, LAB)
NAME = "acme/minilm"
OTHER_ID = bytes(32)


def judge(store=STORE, who=("acme",), now=NOW, **changes):
    judge_policy(store, Vouching(tuple(who), (), ()), facts(**changes), now=now)


def seen(version, seed_id=SEED_ID, name=NAME):
    return store_of(ACME, LAB, seen={name: SeenVersion(version, seed_id)})


def test_usual_seed_is_accepted():
    judge()


# ---------------------------------------------------------------- validity


@pytest.mark.spec("TRU-7")
def test_attack_107_seed_is_refused_from_its_expiry_on():
    judge(expires=NOW + 1)
    for now in (NOW, NOW + 1):
        with refuses(
            SeedExpired,
            "TRU-7",
            message=f"expired at {NOW}",
            where=NAME,
            hint="fetch a newer version",
        ):
            judge(expires=NOW, now=now)


@pytest.mark.spec("TRU-7")
def test_seed_may_expire_at_zero():
    with refuses(SeedExpired, "TRU-7", message="expired at 0"):
        judge(expires=0, created=0)


@pytest.mark.spec("TRU-7")
def test_attack_108_seed_is_refused_before_its_creation_but_for_300_s():
    judge(created=NOW + 300)
    with refuses(
        SeedExpired,
        "TRU-7",
        message=f"created at {NOW + 301}, which is yet to come",
        where=NAME,
        hint="check the clock",
    ):
        judge(created=NOW + 301)


# ---------------------------------------------------------------- names


@pytest.mark.spec("TRU-8")
def test_attack_117_principal_signs_only_the_names_that_it_may():
    judge(name="acme/other")
    judge(who=("lab",))
    for who, name in (("acme", "lab/x"), ("lab", "acme/other"), ("acme", "acme")):
        with refuses(
            PolicyRefused,
            "TRU-8",
            message=f"{who} may not sign seeds of this name",
            where=name,
            hint="add a pattern to may_sign in the trust store, if they should",
        ):
            judge(who=(who,), name=name)


@pytest.mark.spec("TRU-8")
def test_threshold_is_of_principals_that_may_sign_the_name():
    store = STORE.with_threshold(2)
    judge(store, who=("acme", "lab"))
    with refuses(PolicyRefused, "TRU-8", message="acme, lab may not sign seeds of this name"):
        judge(store, who=("acme", "lab"), name="acme/other")


@pytest.mark.spec("TRU-8")
def test_principal_that_may_sign_but_did_not_is_no_help():
    with refuses(PolicyRefused, "TRU-8", message="lab may not sign seeds of this name"):
        judge(who=("lab",), name="acme/other")


# ---------------------------------------------------------------- versions


@pytest.mark.spec("TRU-9")
def test_attack_110_version_lower_than_seen_is_refused():
    with refuses(
        Rollback,
        "TRU-9",
        message="version 3, but 4 was seen before",
        where=NAME,
        hint="fetch the newest; if that version was a mistake: seedpack trust forget NAME",
    ):
        judge(seen(4))


@pytest.mark.spec("TRU-9")
def test_version_as_seen_or_higher_is_accepted():
    judge(seen(3))
    judge(seen(2, OTHER_ID))
    judge(seen(2))


@pytest.mark.spec("TRU-10")
def test_attack_111_seen_version_with_another_seed_id_is_refused():
    with refuses(
        Rollback,
        "TRU-10",
        message=f"version 3 was seen before as another seed, {OTHER_ID.hex()}",
        where=NAME,
        hint="ask the publisher why there are two; do not use either before that",
    ):
        judge(seen(3, OTHER_ID))


def test_versions_are_counted_by_name():
    judge(seen(9, name="acme/other"))


def test_attack_112_forgotten_name_starts_anew():
    ahead = seen(2**53 - 1)
    with refuses(Rollback, "TRU-9"):
        judge(ahead)
    judge(ahead.without_seen(NAME))


# ---------------------------------------------------------------- codecs and budget


@pytest.mark.spec("TRU-11")
@pytest.mark.parametrize("allowed", [{"raw"}, {"raw", "q8"}])
def test_allowed_codecs_are_accepted(allowed):
    judge(STORE.with_policy(Policy(codecs=frozenset(allowed))))


@pytest.mark.spec("TRU-11")
def test_other_codecs_are_refused_by_name():
    store = STORE.with_policy(Policy(codecs=frozenset({"raw"})))
    with refuses(PolicyRefused, "TRU-11", message="codecs not allowed here: q4, q8", where=NAME):
        judge(store, codecs=frozenset({"raw", "q8", "q4"}))


@pytest.mark.spec("TRU-11")
def test_empty_list_of_codecs_allows_only_seeds_without_layers():
    store = STORE.with_policy(Policy(codecs=frozenset()))
    judge(store, codecs=frozenset())
    with refuses(PolicyRefused, "TRU-11"):
        judge(store)


@pytest.mark.spec("TRU-11")
@pytest.mark.parametrize("budget", [0, 1000])
def test_budget_is_the_most_that_is_decoded(budget):
    store = STORE.with_policy(Policy(max_decoded_nbytes=budget))
    judge(store, decoded_nbytes=budget)
    with refuses(
        PolicyRefused,
        "TRU-11",
        message=f"decodes to {budget + 1} bytes, {budget} are allowed",
        where=NAME,
    ):
        judge(store, decoded_nbytes=budget + 1)
