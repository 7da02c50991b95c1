"""Rotation and revocation statements, signed again after each edit (spec: STA)."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fuzz.harness import Target
from fuzz.samples import ALICE, BOB, CAROL, DAVE, EVE, MALLORY, NOW, OLD, trust_store
from fuzz.trees import mutate, mutate_tree, pack, unpack
from seedpack.crypto.messages import statement_message
from seedpack.trust.statements import (
    apply_statement,
    make_revocation,
    make_rotation,
    parse_statement,
)
from seedpack.trust.store import encode_trust_store, parse_trust_store

if TYPE_CHECKING:
    from random import Random

    from seedpack.trust.model import TrustStore
    from seedpack.trust.statements import Statement

_KEYS: Final = (ALICE, OLD, BOB, EVE, DAVE, MALLORY)
_SIGNED_SHARE: Final = 0.9  # of edits that are signed again


def _check(data: bytes) -> None:
    statement = parse_statement(data)
    tree = unpack(data)
    assert pack(tree) == data
    assert pack(unpack(tree["body"])) == tree["body"]
    before = trust_store()
    after = apply_statement(before, statement, NOW)
    assert parse_trust_store(encode_trust_store(after)) == after
    _check_reach(statement, before, after)


def _check_reach(statement: Statement, before: TrustStore, after: TrustStore) -> None:
    """Demand that only the statement's principal changed, and nobody gained time."""
    assert [p.name for p in after.principals] == [p.name for p in before.principals]
    assert before.with_threshold(2) == after.with_threshold(2) or statement.body.principal
    for old, new in zip(before.principals, after.principals, strict=True):
        if old.name != statement.body.principal:
            assert old == new
            continue
        assert new.serial == statement.body.serial > old.serial
        assert (new.may_sign, new.require) == (old.may_sign, old.require)
        assert len(new.keys) - len(old.keys) == (statement.new_key is not None)
        for was, now in zip(old.keys, new.keys, strict=False):
            assert was.public == now.public
            assert now.revoked or not was.revoked
            assert was.standing(NOW) == "usable" or now.standing(NOW) != "usable"


@cache
def _starts() -> dict[str, bytes]:
    return {
        "rotate": make_rotation("acme", ALICE, MALLORY, serial=4, created=NOW),
        "revoke": make_revocation("acme", ALICE, [OLD.public.key_id], serial=4, created=NOW),
        "revoke-itself": make_revocation("bob", BOB, [BOB.public.key_id], serial=1, created=NOW),
        "rotate-to-other": make_rotation("acme", ALICE, CAROL, serial=4, created=NOW),
        "revoked": make_revocation("bob", EVE, [BOB.public.key_id], serial=1, created=NOW),
        "hybrid": make_revocation("hybrid", CAROL, [CAROL.public.key_id], serial=1, created=NOW),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    envelope = unpack(data)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("body"), bytes):
        envelope = unpack(random.choice(list(_starts().values())))
    body = unpack(envelope["body"])
    if body is None or random.random() > _SIGNED_SHARE:
        return pack(mutate_tree(envelope, random))
    if isinstance(body, dict) and random.random() < 0.2:  # noqa: PLR2004 -- keys, by their ids
        body[random.choice(["replaced", "public"])] = _key_bytes(random)
        body["revoked"] = random.choice([[], [_key_bytes(random)]])
    else:
        body = mutate(body, random)
    signers = random.sample(_KEYS, random.choice([1, 2, 2, 3]))
    if random.random() < 0.05:  # noqa: PLR2004 -- its signatures take a millisecond
        signers.append(CAROL)
    return pack({"body": pack(body), "signatures": _sign(pack(body), signers)})


def _key_bytes(random: Random) -> bytes:
    public = random.choice([*_KEYS, CAROL]).public
    return random.choice([public.key_id, public.raw, b""])


def _sign(body: bytes, signers: Any) -> list[list[bytes]]:  # noqa: ANN401 -- private keys
    signatures = []
    for signer in signers:
        algorithm, key_id = signer.public.algorithm, signer.public.key_id
        message = statement_message(algorithm=algorithm, key_id=key_id, body=body)
        signatures.append([key_id, signer.sign(message)])
    return signatures


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=16_384)
