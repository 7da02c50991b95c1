"""The trust stores by which the vectors are judged."""

from __future__ import annotations

import hashlib
from typing import Any

from .keys import (
    ALICE,
    ALICE_PQ,
    BOB,
    CAROL,
    ED25519,
    FUTURE,
    LAPSED,
    ML_DSA_65,
    REVOKED,
    Key,
    store_key,
)
from .writer import NOW, Draft, pack

Map = dict[str, Any]

P = 2**255 - 19
Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7


def point(y: int, sign: int = 0) -> bytes:
    """Return the encoding of a point by its y and the sign of its x."""
    return (y | sign << 255).to_bytes(32, "little")


SMALL_ORDER = {  # the 8 points in canonical encodings: one each
    "order-1": point(1),
    "order-2": point(P - 1),
    "order-4-a": point(0),
    "order-4-b": point(0, 1),
    "order-8-a": point(Y8),
    "order-8-b": point(Y8, 1),
    "order-8-c": point(P - Y8),
    "order-8-d": point(P - Y8, 1),
}
SMALL_ORDER_NOT_CANONICAL = {  # the other 6 of 14 encodings
    "order-1-sign": point(1, 1),
    "order-2-sign": point(P - 1, 1),
    "order-1-above": point(P + 1),
    "order-1-above-sign": point(P + 1, 1),
    "order-4-above": point(P),
    "order-4-above-sign": point(P, 1),
}
NOT_CANONICAL = {"y-above-p": point(P + 3), "y-highest": point(2**255 - 1)}


def principal(name: str, *keys: Map, **changes: object) -> Map:
    """Return a principal that may sign acme/* with an Ed25519 key."""
    fields = {"name": name, "may_sign": ["acme/*"], "require": ["ed25519"], "serial": 0}
    return fields | changes | {"keys": list(keys)}


def known(key: Key, **changes: object) -> Map:
    """Return a key as it stands in a store."""
    return store_key(key.algorithm, key.public, **changes)


ACME = principal("acme", known(ALICE))
LAB = principal("lab", known(BOB))
OTHER = principal("other", known(CAROL), may_sign=["other/*"])


def store(*principals: Map, **changes: object) -> Map:
    """Return a store of these principals."""
    fields = {
        "schema": 1,
        "threshold": 1,
        "last_time": 0,
        "policy": {"codecs": None, "max_decoded_nbytes": None},
    }
    return fields | changes | {"principals": list(principals), "seen": changes.get("seen", {})}


def seen(version: int, seed_id: str) -> Map:
    """Return what a store remembers of acme/tiny."""
    return {"acme/tiny": {"version": version, "seed_id": seed_id}}


SEED_ID = hashlib.sha256(pack(Draft().manifest())).hexdigest()  # of preamble/good.seed
EVERYONE = (
    ACME,
    LAB,
    OTHER,
    principal("old", known(REVOKED, revoked=True)),
    principal("late", known(LAPSED, not_after=NOW)),
    principal("early", known(FUTURE, not_before=NOW + 1)),
)
TEAM = principal("team", known(ALICE), known(BOB))
HYBRID = principal("acme", known(ALICE), known(ALICE_PQ), require=["ed25519", "ml-dsa-65"])
STORES: dict[str, Map] = {
    "default": store(*EVERYONE),
    "two": store(*EVERYONE, threshold=2),
    "three": store(*EVERYONE, threshold=3),
    "team-of-two-keys": store(TEAM, OTHER, threshold=2),
    "hybrid": store(HYBRID, LAB),
    "ml-dsa": store(principal("acme", known(ALICE_PQ), require=["ml-dsa-65"])),
    "some-may-sign": store(ACME, principal("lab", known(BOB), may_sign=["lab/*"]), threshold=2),
    "exact-name": store(principal("acme", known(ALICE), may_sign=["acme/tiny"])),
    "any-name": store(principal("acme", known(ALICE), may_sign=["*"])),
    "special-characters": store(principal("acme", known(ALICE), may_sign=["acme/tin?", "[a]*"])),
    "no-name": store(principal("acme", known(ALICE), may_sign=[])),
    "seen-lower": store(*EVERYONE, seen=seen(6, "00" * 32)),
    "seen-same": store(*EVERYONE, seen=seen(7, SEED_ID)),
    "seen-higher": store(*EVERYONE, seen=seen(8, "00" * 32)),
    "seen-other": store(*EVERYONE, seen=seen(7, "00" * 32)),
    "only-q8": store(*EVERYONE, policy={"codecs": ["q8"], "max_decoded_nbytes": None}),
    "only-raw": store(*EVERYONE, policy={"codecs": ["raw"], "max_decoded_nbytes": None}),
    "budget-7": store(*EVERYONE, policy={"codecs": None, "max_decoded_nbytes": 7}),
    "budget-8": store(*EVERYONE, policy={"codecs": None, "max_decoded_nbytes": 8}),
    "clock-300-ahead": store(*EVERYONE, last_time=NOW + 300),
    "clock-301-ahead": store(*EVERYONE, last_time=NOW + 301),
}
STORES |= {
    f"key-{name}": store(ACME, principal("weak", store_key(ED25519, public)))
    for name, public in (SMALL_ORDER | SMALL_ORDER_NOT_CANONICAL | NOT_CANONICAL).items()
}
T1_ZERO = ALICE_PQ.public[:32] + bytes(1920)  # w = A z for any z: anybody can sign
STORES["key-t1-zero"] = store(ACME, principal("weak", store_key(ML_DSA_65, T1_ZERO)))
