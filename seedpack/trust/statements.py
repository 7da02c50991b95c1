"""Rotation and revocation: a publisher's own changes to a consumer's store (spec: STA).

TrustStore + Statement --clock, serial, signatures--> TrustStore
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from seedpack.crypto.messages import statement_message
from seedpack.errors import (
    BadSignature,
    KeyExpired,
    KeyRevoked,
    PolicyRefused,
    Rollback,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.files import read_small_file
from seedpack.limits import CLOCK_TOLERANCE_S, MAX_STATEMENT_NBYTES
from seedpack.trust.model import TrustedKey
from seedpack.trust.policy import check_clock
from seedpack.trust.statement_form import (
    Statement,
    make_revocation,
    make_rotation,
    parse_statement,
)

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.crypto.keys import PublicKey
    from seedpack.trust.model import Principal, TrustStore

__all__ = [
    "Statement",
    "apply_statement",
    "load_statement",
    "make_revocation",
    "make_rotation",
    "parse_statement",
]


def load_statement(path: Path) -> Statement:
    """Read a statement file.

    Raises:
        StoreError: FIL-1, it cannot be read; STA-1, it is too large.
        FormatError: STA-1.
        KeyFileError: KEY-3, KEY-4 or KEY-6, the new key must not be used.
    """
    return parse_statement(read_small_file(path, limit=MAX_STATEMENT_NBYTES, rule="STA-1"))


def apply_statement(store: TrustStore, statement: Statement, now: int) -> TrustStore:
    """Return the store as the statement's principal wants it, if it is theirs to want.

    Raises:
        PolicyRefused: TRU-12, the clock was set back; STA-5, the statement is from the
            future; STA-2 or STA-3, it is about keys that it may not change.
        UnknownSigner: STA-2 or STA-3, no such principal, or no signature by a key of it.
        Rollback: STA-4, as new a statement was applied before.
        BadSignature, KeyRevoked, KeyExpired, ThresholdNotMet: STA-2 or STA-3.
        StoreError: TRU-1, the new key is in the store already.
    """
    body = statement.body
    check_clock(store, now)
    if now < body.created - CLOCK_TOLERANCE_S:
        raise PolicyRefused(
            f"created at {body.created}, which is yet to come",
            rule="STA-5",
            where="created",
            hint="check the clock",
        )
    rule = "STA-3" if statement.new_key is None else "STA-2"
    principal = store.find_principal(body.principal)
    if principal is None:
        raise UnknownSigner("no such principal", rule=rule, where=body.principal)
    if body.serial <= principal.serial:
        raise Rollback(
            f"serial {body.serial}, but {principal.serial} was applied before",
            rule="STA-4",
            where=body.principal,
        )
    if statement.new_key is None:
        keys = _revoke(principal, statement, now)
    else:
        keys = _rotate(principal, statement, statement.new_key, now)
    return store.with_changed(replace(principal, keys=keys, serial=body.serial))


def _rotate(
    principal: Principal, statement: Statement, new_key: PublicKey, now: int
) -> tuple[TrustedKey, ...]:
    created = statement.body.created
    old = _find(principal, statement.body.replaced)
    if old is None:
        raise UnknownSigner(
            "replaces a key that is not this principal's",
            rule="STA-2",
            where=f"key {statement.body.replaced.hex()}",
            hint="apply the rotations before this one first",
        )
    _check_usable(old, "STA-2", now)
    for public in (old.public, new_key):
        if public.key_id not in statement.signatures:
            raise ThresholdNotMet(
                "not signed by both keys", rule="STA-2", where=f"key {public.key_id.hex()}"
            )
        _check_signature(public, statement, "STA-2")
    # Else who breaks one algorithm could rotate keys of it into the other half of a hybrid.
    if new_key.algorithm != old.public.algorithm:
        raise PolicyRefused(
            "the new key is of another algorithm",
            rule="STA-2",
            where=f"key {new_key.key_id.hex()}",
            hint="add it by hand, if it came from the publisher by a safe way",
        )
    # Never later than it was: a rotation must not give the old key more time.
    end = created if old.not_after is None else min(created, old.not_after)
    replaced = tuple(replace(k, not_after=end) if k == old else k for k in principal.keys)
    return (*replaced, TrustedKey(new_key, not_before=created))


def _revoke(principal: Principal, statement: Statement, now: int) -> tuple[TrustedKey, ...]:
    signers = [k for k in principal.keys if k.key_id in statement.signatures]
    if not signers:
        raise UnknownSigner("not signed by this principal", rule="STA-3", where=principal.name)
    for signer in signers:
        _check_signature(signer.public, statement, "STA-3")
    if all(signer.standing(now) != "usable" for signer in signers):
        _check_usable(signers[0], "STA-3", now)
    for key_id in statement.body.revoked:
        if _find(principal, key_id) is None:
            raise PolicyRefused(
                "revokes a key that is not this principal's",
                rule="STA-3",
                where=f"key {key_id.hex()}",
            )
    revoked = set(statement.body.revoked)
    return tuple(replace(k, revoked=True) if k.key_id in revoked else k for k in principal.keys)


def _find(principal: Principal, key_id: bytes) -> TrustedKey | None:
    return next((k for k in principal.keys if k.key_id == key_id), None)


def _check_usable(key: TrustedKey, rule: str, now: int) -> None:
    standing, where = key.standing(now), f"key {key.key_id.hex()}"
    if standing == "revoked":
        raise KeyRevoked("signed by a revoked key", rule=rule, where=where)
    if standing == "key expired":
        raise KeyExpired("signed by a key outside its validity", rule=rule, where=where)


def _check_signature(public: PublicKey, statement: Statement, rule: str) -> None:
    key_id = public.key_id
    message = statement_message(algorithm=public.algorithm, key_id=key_id, body=statement.signed)
    if not public.verifies(message, statement.signatures[key_id]):
        raise BadSignature("the signature does not verify", rule=rule, where=f"key {key_id.hex()}")
