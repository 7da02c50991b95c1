"""Vectors of section 5: signatures and keys."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .keys import ALICE, ALICE_PQ, BOB, ED25519, ML_DSA_65, STRANGER, Key, key_id
from .stores import NOT_CANONICAL, SMALL_ORDER, SMALL_ORDER_NOT_CANONICAL
from .writer import Draft, assemble, message, pack, place, record, sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

DRAFT = Draft()
MANIFEST = pack(DRAFT.manifest())
OTHER_MANIFEST = pack(Draft(fields={"version": 6}).manifest())
L = 2**252 + 27742317777372353535851937790883648493  # order of Ed25519's base point


def around(*records: bytes, manifest: bytes = MANIFEST) -> bytes:
    """Return a good file with these records."""
    return assemble(place([*records]), manifest, b"", DRAFT.payload())


def signed(text: bytes, key: Key = ALICE, *, algorithm: int | None = None) -> bytes:
    """Return a record with a signature over `text`, whatever that is."""
    return record(algorithm or key.algorithm, key.id, key.private.sign(text))


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _false_signatures()
    yield from _other_messages()
    yield from _algorithms()
    yield from _weak_keys()
    yield from _hybrid()


def _false_signatures() -> Iterator[Vector]:
    true = ALICE.private.sign(message(ALICE.id, ED25519, 0, MANIFEST))
    s = int.from_bytes(true[32:], "little")
    y_above = (2**255 - 18).to_bytes(32, "little")  # y = 1 in a second encoding
    flipped = bytearray(true)
    flipped[0] ^= 1
    last = bytearray(true)
    last[63] ^= 0x80
    cases = {
        "first-bit": (bytes(flipped), "the first bit of the signature changed", (84,)),
        "last-bit": (bytes(last), "the last bit of the signature changed", (84, 85)),
        "zero": (bytes(64), "a signature of zero bytes", (84,)),
        "s-plus-l": (true[:32] + (s + L).to_bytes(32, "little"), "S is not reduced", (85,)),
        "s-is-l": (true[:32] + L.to_bytes(32, "little"), "S is the group's order", (85,)),
        "r-not-canonical": (y_above + true[32:], "R is not canonical", (86,)),
        "halves-swapped": (true[32:] + true[:32], "S stands before R", (84,)),
    }
    for name, (signature, about, attack) in cases.items():
        data = around(record(ED25519, ALICE.id, signature))
        yield refused(f"keys/signature-{name}", data, "KEY-1", about, attack=attack)
    true_bob = sign(BOB, MANIFEST)
    false = record(ED25519, ALICE.id, bytes(64))
    for name, records in {"first": [false, true_bob], "second": [true_bob, false]}.items():
        about = f"a false signature of a known key stands {name} beside a true one"
        data = around(*records)
        yield refused(f"keys/false-{name}-of-two", data, "KEY-1", about, attack=(94,))
    spoof = record(ED25519, ALICE.id, sign(STRANGER, MANIFEST)[48:112])
    about = "a stranger's signature under a known key's id"
    yield refused("keys/key-id-spoofed", around(spoof), "KEY-1", about, attack=(89,))
    garbage = record(ED25519, STRANGER.id, b"\xaa" * 64)
    data = around(garbage, sign(ALICE, MANIFEST))
    about = "garbage of an unknown signer before a true signature"
    yield accepted("keys/garbage-of-unknown-first", data, about, attack=(94,))


def _other_messages() -> Iterator[Vector]:
    head = b"seedpack-signature-v1\0"
    fields = struct.pack("<HHQ", 1, ED25519, 0) + ALICE.id
    length = struct.pack("<Q", len(MANIFEST))
    whole = {
        "manifest-alone": MANIFEST,
        "digest-of-manifest": hashlib.sha256(MANIFEST).digest(),
        "no-context": fields + length + MANIFEST,
        "context-v2": b"seedpack-signature-v2\0" + fields + length + MANIFEST,
        "context-of-statements": b"seedpack-statement-v1\0" + fields + length + MANIFEST,
        "context-without-zero": head[:-1] + fields + length + MANIFEST,
        "version-2": head + struct.pack("<HHQ", 2, 1, 0) + ALICE.id + length + MANIFEST,
        "other-algorithm": head + struct.pack("<HHQ", 1, 2, 0) + ALICE.id + length + MANIFEST,
        "other-expiry": message(ALICE.id, ED25519, 1, MANIFEST),
        "other-key-id": message(BOB.id, ED25519, 0, MANIFEST),
        "no-length": head + fields + MANIFEST,
        "big-endian-length": head + fields + struct.pack(">Q", len(MANIFEST)) + MANIFEST,
    }
    for name, text in whole.items():
        about = f"a true signature over another message: {name.replace('-', ' ')}"
        data = around(signed(text))
        yield refused(f"keys/message-{name}", data, "KEY-1", about, attack=(87,))
    prefix = around(signed(message(ALICE.id, ED25519, 0, MANIFEST[:-1])))
    about = "a true signature over a prefix of the manifest"
    yield refused("keys/message-prefix", prefix, "KEY-1", about, attack=(101,))
    replaced = around(sign(ALICE, OTHER_MANIFEST))
    about = "a true signature over another manifest of the same publisher"
    yield refused("keys/message-other-manifest", replaced, "KEY-1", about, attack=(97, 100))
    one_bit = bytearray(MANIFEST)
    one_bit[-1] ^= 1  # the version
    data = around(sign(ALICE, MANIFEST), manifest=bytes(one_bit))
    about = "one bit of the manifest changed, with the seed id to match"
    yield refused("keys/manifest-bit", data, "KEY-1", about, attack=(100,))
    for name, (changes, attack) in _EDITS.items():
        edited = pack(DRAFT.manifest() | changes)
        data = around(sign(ALICE, MANIFEST), manifest=edited)
        about = f"edited behind the signature: {name.replace('-', ' ')}"
        yield refused(f"keys/edited-{name}", data, "KEY-1", about, attack=(100, *attack))


_EDITS: dict[str, tuple[dict[str, object], tuple[int, ...]]] = {
    "version-higher": ({"version": 8}, (110,)),
    "name": ({"name": "acme/other"}, (117,)),
    "layer-dropped": ({"layers": [], "decoded_nbytes": 0}, (57,)),
    "digest-algorithm": ({"digest_algorithm": "sha2-256"}, (60,)),
    "expiry-later": ({"expires": 253_402_300_799}, (107,)),
}


def _algorithms() -> Iterator[Vector]:
    as_pq = record(ML_DSA_65, ALICE.id, bytes(3309))
    about = "an ML-DSA record names an Ed25519 key"
    yield refused("keys/algorithm-ml-dsa", around(as_pq), "KEY-2", about, attack=(88,))
    as_ed = record(ED25519, ALICE_PQ.id, sign(ALICE, MANIFEST)[48:112])
    about = "an Ed25519 record names an ML-DSA key"
    data = around(as_ed)
    yield refused("keys/algorithm-ed25519", data, "KEY-2", about, attack=(88,), trust="ml-dsa")
    data = around(sign(BOB, MANIFEST), as_pq)
    about = "the same beside a true signature"
    yield refused("keys/algorithm-beside-true", data, "KEY-2", about, attack=(88,))


def _weak_keys() -> Iterator[Vector]:
    good = around(sign(ALICE, MANIFEST))
    for name in NOT_CANONICAL:
        about = f"the trust store holds an Ed25519 key that is not canonical: {name}"
        yield _weak(f"keys/public-{name}", good, "KEY-3", about, name, 104)
    for name in SMALL_ORDER:
        about = f"the trust store holds an Ed25519 key of small order: {name}"
        yield _weak(f"keys/public-{name}", good, "KEY-4", about, name, 103)
    for name in SMALL_ORDER_NOT_CANONICAL:
        about = f"the trust store holds a second encoding of a point of small order: {name}"
        yield _weak(f"keys/public-{name}", good, "KEY-3", about, name, 103)
    about = "the trust store holds an ML-DSA-65 key whose t1 is zero"
    yield _weak("keys/public-t1-zero", good, "KEY-4", about, "t1-zero", 103)
    identity = SMALL_ORDER["order-1"]
    constant = identity + bytes(32)  # R = identity, S = 0: true for each message
    forged = around(record(ED25519, key_id(ED25519, identity), constant))
    about = "the constant signature that verifies every message under the identity key"
    yield _weak("keys/constant-signature", forged, "KEY-4", about, "order-1", 103)


def _weak(file: str, data: bytes, rule: str, about: str, name: str, attack: int) -> Vector:
    return refused(file, data, rule, about, attack=(attack,), trust=f"key-{name}")


def _hybrid() -> Iterator[Vector]:
    ed, pq = sign(ALICE, MANIFEST), sign(ALICE_PQ, MANIFEST)
    ok = around(ed, pq)
    about = "both halves of a hybrid signature"
    yield accepted("keys/hybrid", ok, about, trust="hybrid", hedged=True)
    yield accepted("keys/hybrid-reversed", around(pq, ed), about, trust="hybrid", hedged=True)
    yield accepted("keys/ml-dsa-only", around(pq), "ML-DSA alone", trust="ml-dsa", hedged=True)
    both = around(pq, record(ED25519, STRANGER.id, bytes(64)), ed)
    about = "a hybrid signature around an unknown signer's"
    yield accepted("keys/hybrid-and-unknown", both, about, trust="hybrid", hedged=True)
    about = "the post-quantum half is stripped"
    yield refused("keys/hybrid-stripped", around(ed), "TRU-6", about, attack=(98,), trust="hybrid")
    about = "only the ML-DSA half is there"
    yield refused(
        "keys/hybrid-only-ml-dsa",
        around(pq),
        "TRU-6",
        about,
        attack=(96,),
        trust="hybrid",
        hedged=True,
    )
    flipped = pq[:48] + bytes([pq[48] ^ 1]) + pq[49 : 48 + 3309]
    false_pq = record(ML_DSA_65, ALICE_PQ.id, flipped[48:])
    zero_pq = record(ML_DSA_65, ALICE_PQ.id, bytes(3309))
    false_ed = record(ED25519, ALICE.id, bytes(64))
    cases = {
        "ml-dsa-false": ([ed, false_pq], "one bit of the ML-DSA half changed", (84, 95)),
        "ed25519-false": ([false_ed, pq], "the Ed25519 half is false", (96,)),
        "halves-of-two": (
            [ed, sign(ALICE_PQ, OTHER_MANIFEST)],
            "the ML-DSA half is over another manifest",
            (97,),
        ),
    }
    for name, (records, about, attack) in cases.items():
        data = around(*records)
        yield refused(
            f"keys/hybrid-{name}", data, "KEY-1", about, attack=attack, trust="hybrid", hedged=True
        )
    about = "the ML-DSA half is all zero"
    yield refused(
        "keys/hybrid-ml-dsa-zero", around(ed, zero_pq), "KEY-1", about, attack=(95,), trust="hybrid"
    )
    context = record(
        ML_DSA_65,
        ALICE_PQ.id,
        ALICE_PQ.private.sign(  # type: ignore[call-arg]  # only ML-DSA has a context
            message(ALICE_PQ.id, ML_DSA_65, 0, MANIFEST), b"seedpack"
        ),
    )
    about = "an ML-DSA signature with a context of its own"
    yield refused(
        "keys/ml-dsa-context",
        around(context),
        "KEY-1",
        about,
        attack=(87,),
        trust="ml-dsa",
        hedged=True,
    )
