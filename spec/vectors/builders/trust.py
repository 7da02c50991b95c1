"""Vectors of `trust-store.md`: who signed, when, and what the consumer has seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .codec_q8 import GOOD as Q8_LAYER
from .keys import ALICE, ALICE_PQ, BOB, CAROL, FUTURE, LAPSED, REVOKED, STRANGER, STRANGER_PQ, Key
from .writer import CREATED, NOW, Draft, assemble, pack, place, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

DRAFT = Draft()
MANIFEST = pack(DRAFT.manifest())


def by(*signers: Key | tuple[Key, int], manifest: bytes = MANIFEST) -> bytes:
    """Return a good file signed by these keys, each with an expiry if one stands beside it."""
    records = [
        sign(one, manifest) if isinstance(one, Key) else sign(one[0], manifest, expires=one[1])
        for one in signers
    ]
    return assemble(place(records), manifest, b"", DRAFT.payload())


def of(**fields: object) -> bytes:
    """Return a file signed by Alice with these fields of the manifest."""
    return Draft(fields=fields).build()


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _signers()
    yield from _unusable()
    yield from _threshold()
    yield from _times()
    yield from _names()
    yield from _versions()
    yield from _policy()


def _signers() -> Iterator[Vector]:
    cases = {
        "nobody": (by(), "no signature at all", (90,), False),
        "stranger": (by(STRANGER), "only a signer whom nobody knows", (89,), False),
        "two-strangers": (by(STRANGER, STRANGER_PQ), "two such signers", (), True),
    }
    for name, (data, about, attack, hedged) in cases.items():
        yield refused(f"trust/{name}", data, "TRU-2", about, attack=attack, hedged=hedged)
    about = "ours, but for a consumer who knows only the post-quantum key"
    yield refused(
        "trust/other-key-of-ours", by(ALICE), "TRU-2", about, attack=(92,), trust="ml-dsa"
    )


def _unusable() -> Iterator[Vector]:
    cases = {
        "revoked": (by(REVOKED), "TRU-3", "the key is revoked", (115,)),
        "key-lapsed": (by(LAPSED), "TRU-4", "the key's validity ends now", (107,)),
        "key-early": (by(FUTURE), "TRU-4", "the key's validity begins in a second", (108,)),
        "signature-expired": (by((ALICE, NOW)), "TRU-5", "the signature expires now", (107,)),
        "signature-long-expired": (by((ALICE, 1)), "TRU-5", "it expired in 1970", (107,)),
        "revoked-and-stranger": (by(STRANGER, REVOKED), "TRU-3", "a stranger beside it", (115,)),
        "revoked-then-expired": (by(REVOKED, (ALICE, NOW)), "TRU-3", "the first decides", (115,)),
        "expired-then-revoked": (by((ALICE, NOW), REVOKED), "TRU-5", "the first decides", (107,)),
        "revoked-and-expired": (by((REVOKED, 1)), "TRU-3", "revoked before expired", (115,)),
    }
    for name, (data, rule, about, attack) in cases.items():
        yield refused(f"trust/{name}", data, rule, about, attack=attack)
    usable = {
        "revoked-beside-good": (by(REVOKED, ALICE), "TRU-3", NOW),
        "lapsed-beside-good": (by(LAPSED, ALICE), "TRU-4", NOW),
        "expired-beside-good": (by((BOB, NOW), ALICE), "TRU-5", NOW),
        "expires-in-a-second": (by((ALICE, NOW + 1)), "TRU-5", NOW),
        "key-lapses-in-a-second": (by(LAPSED), "TRU-4", NOW - 1),
        "key-begins-now": (by(FUTURE), "TRU-4", NOW + 1),
    }
    for name, (data, rule, now) in usable.items():
        about = name.replace("-", " ")
        yield accepted(f"trust/{name}", data, about, shows=(rule,), now=now)


def _threshold() -> Iterator[Vector]:
    two = {
        "one-of-two": (by(ALICE), "two", (91,)),
        "one-and-a-stranger": (by(ALICE, STRANGER), "two", (92,)),
        "two-of-three": (by(ALICE, BOB), "three", ()),
        "two-keys-of-one": (by(ALICE, BOB), "team-of-two-keys", (92, 93)),
    }
    for name, (data, store, attack) in two.items():
        about = f"fewer principals than asked for: {name.replace('-', ' ')}"
        yield refused(f"trust/{name}", data, "TRU-6", about, attack=attack, trust=store)
    about = "one of two signatures is revoked"
    yield refused("trust/two-one-revoked", by(ALICE, REVOKED), "TRU-3", about, trust="two")
    data = by(ALICE, BOB)
    yield accepted("trust/two-of-two", data, "two principals", shows=("TRU-6",), trust="two")
    data = by(BOB, STRANGER, ALICE)
    yield accepted("trust/two-and-a-stranger", data, "and one more", shows=("TRU-6",), trust="two")
    about = "a principal without the post-quantum half beside one that needs only Ed25519"
    data = by(ALICE, BOB)
    yield accepted("trust/half-hybrid-and-other", data, about, shows=("TRU-6",), trust="hybrid")
    about = "the post-quantum half of one and the Ed25519 half of nobody"
    data = by(ALICE_PQ, CAROL)
    yield refused(
        "trust/halves-of-two", data, "TRU-6", about, attack=(96,), trust="hybrid", hedged=True
    )


def _times() -> Iterator[Vector]:
    cases = {
        "expires-now": ({"expires": NOW}, NOW, (107,)),
        "expired": ({"expires": CREATED + 1}, NOW, (107,)),
        "created-in-301-s": ({"created": NOW + 301}, NOW, (108,)),
        "created-in-9999": ({"created": 253_402_300_798}, NOW, (108,)),
    }
    for name, (fields, now, attack) in cases.items():
        about = f"the seed at the wrong time: {name.replace('-', ' ')}"
        yield refused(f"trust/seed-{name}", of(**fields), "TRU-7", about, attack=attack, now=now)
    good = {"expires-in-a-second": {"expires": NOW + 1}, "created-in-300-s": {"created": NOW + 300}}
    for name, fields in good.items():
        about = f"the seed just in time: {name.replace('-', ' ')}"
        yield accepted(f"trust/seed-{name}", of(**fields), about, shows=("TRU-7",))
    about = "now is 301 s before the time last seen"
    data = by(ALICE)
    yield refused("trust/clock-back", data, "TRU-12", about, attack=(109,), trust="clock-301-ahead")
    about = "now is 300 s before the time last seen"
    yield accepted("trust/clock-back-300", data, about, shows=("TRU-12",), trust="clock-300-ahead")


def _names() -> Iterator[Vector]:
    other, tiny = of(name="other/tiny"), by(ALICE)
    about = "a known signer who may not sign this name"
    cases = {
        "name-of-others": (other, "default"),
        "name-by-carol": (by(CAROL), "default"),
        "name-prefix": (of(name="acmeother/tiny"), "default"),
        "name-without-slash": (of(name="acme"), "default"),
        "name-exact": (of(name="acme/tiny2"), "exact-name"),
        "name-exact-deeper": (of(name="acme/tiny/2"), "exact-name"),
        "name-question-mark": (tiny, "special-characters"),
        "name-no-pattern": (tiny, "no-name"),
        "name-one-of-two": (by(ALICE, BOB), "some-may-sign"),
    }
    for name, (data, store) in cases.items():
        yield refused(f"trust/{name}", data, "TRU-8", about, attack=(117,), trust=store)
    good = {
        "name-of-exact": (tiny, "exact-name"),
        "name-deep": (of(name="acme/a/b/c"), "default"),
        "name-any": (of(name="x"), "any-name"),
    }
    for name, (data, store) in good.items():
        yield accepted(
            f"trust/{name}", data, "a name that may be signed", shows=("TRU-8",), trust=store
        )


def _versions() -> Iterator[Vector]:
    data = by(ALICE)
    about = "version 7 after version 8"
    yield refused("trust/rollback", data, "TRU-9", about, attack=(110,), trust="seen-higher")
    lowest = of(version=0)
    about = "version 0 after version 8"
    yield refused("trust/rollback-to-0", lowest, "TRU-9", about, attack=(110,), trust="seen-higher")
    about = "version 7 of another content"
    yield refused("trust/equivocation", data, "TRU-10", about, attack=(111,), trust="seen-other")
    again = Draft(fields={"created": CREATED + 1}).build()
    about = "version 7, built again a second later"
    yield refused("trust/rebuilt", again, "TRU-10", about, attack=(111,), trust="seen-same")
    yield accepted(
        "trust/seen-same", data, "what was seen before", shows=("TRU-10",), trust="seen-same"
    )
    yield accepted(
        "trust/seen-lower", data, "newer than seen", shows=("TRU-9",), trust="seen-lower"
    )
    co_signed = by(ALICE, BOB)
    about = "what was seen before, with one more signature"
    yield accepted("trust/seen-co-signed", co_signed, about, shows=("TRU-10",), trust="seen-same")
    other = of(name="acme/unseen", version=1)
    about = "another name has versions of its own"
    yield accepted("trust/seen-other-name", other, about, shows=("TRU-9",), trust="seen-higher")


def _policy() -> Iterator[Vector]:
    data = by(ALICE)
    about = "a codec outside the policy"
    yield refused("trust/codec-not-allowed", data, "TRU-11", about, trust="only-q8")
    both = Draft([Q8_LAYER.layer(), Draft().layers[0].change(name="v")]).build()
    yield refused("trust/one-codec-not-allowed", both, "TRU-11", about, trust="only-raw")
    about = "decodes to a byte more than the policy allows"
    yield refused("trust/budget", data, "TRU-11", about, attack=(66,), trust="budget-7")
    yield accepted("trust/budget-exact", data, "just allowed", shows=("TRU-11",), trust="budget-8")
    yield accepted("trust/codec-allowed", data, "just allowed", shows=("TRU-11",), trust="only-raw")
