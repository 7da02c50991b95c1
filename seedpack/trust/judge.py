"""Steps 3 and 5 of the verification: who vouches, and is that enough (spec: section 12, TRU).

3 signature  clock; every known key's signature verifies; validity; threshold    TrustError
5 policy     expiry, names, versions seen, codecs, budget                        TrustError
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from seedpack.crypto.messages import signed_message
from seedpack.errors import (
    BadSignature,
    KeyExpired,
    KeyRevoked,
    SeedExpired,
    ThresholdNotMet,
    UnknownSigner,
)
from seedpack.trust.policy import SeedFacts, check_clock, check_name, judge_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.crypto.keys import Algorithm
    from seedpack.errors import TrustError
    from seedpack.trust.model import Principal, TrustedKey, TrustStore

__all__ = [
    "DetachedSignature",
    "SeedFacts",
    "SignatureRecordLike",
    "SignatureStatus",
    "Standing",
    "Vouching",
    "check_name",
    "judge_detached",
    "judge_policy",
    "judge_signatures",
]

Standing = Literal[
    "counted", "incomplete", "revoked", "key expired", "signature expired", "unknown"
]


class SignatureRecordLike(Protocol):
    """What is judged of a signature record; its form has been checked (SIG)."""

    @property
    def algorithm(self) -> int:
        """1 or 2."""

    @property
    def expires(self) -> int:
        """Time from which the signature no longer counts; 0 = never."""

    @property
    def key_id(self) -> bytes:
        """Which key it says that it is by."""

    @property
    def signature(self) -> bytes:
        """The signature."""


class DetachedSignature(Protocol):
    """A signature that stands beside what it signs, and has no time at which it expires."""

    @property
    def key_id(self) -> bytes:
        """Which key it says that it is by."""

    @property
    def signature(self) -> bytes:
        """The signature."""


class _DetachedRecord(NamedTuple):
    algorithm: int
    key_id: bytes
    signature: bytes
    expires: int = 0


class SignatureStatus(NamedTuple):
    """What became of one signature record.

    ``incomplete`` is good in itself, but its principal lacks a signature of another
    algorithm that the store requires. ``unknown`` was not verified.
    """

    key_id: bytes
    algorithm: int
    expires: int
    principal: str | None
    standing: Standing


class Vouching(NamedTuple):
    """Who vouches for a manifest.

    Attributes:
        principals: Names of those who counted, in the order of the store.
        key_ids: Keys by which they counted, in file order.
        signatures: One status for each record, in file order.
    """

    principals: tuple[str, ...]
    key_ids: tuple[bytes, ...]
    signatures: tuple[SignatureStatus, ...]


class _Known(NamedTuple):
    """A record that names a key of the store, and verifies."""

    record: SignatureRecordLike
    principal: Principal
    key: TrustedKey
    standing: Literal["usable", "revoked", "key expired", "signature expired"]


def judge_signatures(
    store: TrustStore,
    records: Sequence[SignatureRecordLike],
    *,
    manifest: bytes,
    version: int,
    now: int,
) -> Vouching:
    """Find out which principals vouch for ``manifest``, and whether they are enough.

    Args:
        store: Whom to trust.
        records: The signature area of the file.
        manifest: Raw bytes, not yet decoded.
        version: Of the container.
        now: Seconds since 1970.

    Raises:
        PolicyRefused: TRU-12.
        UnknownSigner: TRU-2.
        BadSignature: KEY-1 or KEY-2.
        KeyRevoked, KeyExpired, SeedExpired, ThresholdNotMet: TRU-3 to TRU-6.
    """

    def message_of(record: SignatureRecordLike, algorithm: Algorithm) -> bytes:
        return signed_message(
            version=version,
            algorithm=algorithm,
            expires=record.expires,
            key_id=record.key_id,
            manifest=manifest,
        )

    return _judge(store, records, message_of, now=now, place="signature area")


def judge_detached(
    store: TrustStore, signatures: Sequence[DetachedSignature], *, message: bytes, now: int
) -> Vouching:
    """Find out which principals vouch for ``message``, as for a manifest.

    Args:
        store: Whom to trust.
        signatures: With the id of the key that each says that it is by.
        message: What is signed, whole, such as the encoding of a DSSE envelope.
        now: Seconds since 1970.

    Raises:
        TrustError: As ``judge_signatures``.
    """
    keys = store.keys_by_id()

    def record_of(each: DetachedSignature) -> _DetachedRecord:
        known = keys.get(each.key_id)
        algorithm = 0 if known is None else int(known[1].public.algorithm)
        return _DetachedRecord(algorithm, each.key_id, each.signature)

    records = [record_of(each) for each in signatures]
    return _judge(store, records, lambda *_: message, now=now, place="signatures")


def _judge(
    store: TrustStore,
    records: Sequence[SignatureRecordLike],
    message_of: Callable[[SignatureRecordLike, Algorithm], bytes],
    *,
    now: int,
    place: str,
) -> Vouching:
    check_clock(store, now)
    keys = store.keys_by_id()
    known = [
        _verify(record, *keys[record.key_id], message_of=message_of, now=now)
        for record in records
        if record.key_id in keys
    ]
    if not known:
        raise UnknownSigner(
            f"none of {len(records)} signatures is by a key of the trust store",
            rule="TRU-2",
            where=place,
            hint="add the signer's key: seedpack trust add",
        )
    counted = tuple(p.name for p in store.principals if _counts(p, known))
    if len(counted) < store.threshold:
        raise _below_threshold(store, known, counted, place)
    return _report(records, known, counted)


def _verify(
    record: SignatureRecordLike,
    principal: Principal,
    key: TrustedKey,
    *,
    message_of: Callable[[SignatureRecordLike, Algorithm], bytes],
    now: int,
) -> _Known:
    """Verify one record by the key that it names; no other signature makes up for it."""
    where = f"key {record.key_id.hex()}"
    algorithm = key.public.algorithm
    if record.algorithm != algorithm:
        raise BadSignature(
            f"algorithm {record.algorithm}, but the key is {algorithm.label}",
            rule="KEY-2",
            where=where,
        )
    if not key.public.verifies(message_of(record, algorithm), record.signature):
        raise BadSignature(
            f"the signature of {principal.name} does not verify",
            rule="KEY-1",
            where=where,
            hint="the file was changed after it was signed; fetch it again",
        )
    standing = key.standing(now)
    if standing == "usable" and 0 < record.expires <= now:
        return _Known(record, principal, key, "signature expired")
    return _Known(record, principal, key, standing)


def _counts(principal: Principal, known: list[_Known]) -> bool:
    signed = {
        k.key.public.algorithm
        for k in known
        if k.principal.name == principal.name and k.standing == "usable"
    }
    return signed.issuperset(principal.require)


def _below_threshold(
    store: TrustStore, known: list[_Known], counted: tuple[str, ...], place: str
) -> TrustError:
    """Return the refusal of the first record that did not count, or ThresholdNotMet."""
    for record, principal, key, standing in known:
        where = f"key {record.key_id.hex()} of {principal.name}"
        if standing == "revoked":
            return KeyRevoked("signed by a revoked key", rule="TRU-3", where=where)
        if standing == "key expired":
            validity = f"{key.not_before} to {key.not_after}"
            return KeyExpired(
                f"signed by a key that is valid from {validity}", rule="TRU-4", where=where
            )
        if standing == "signature expired":
            return SeedExpired(
                f"the signature expired at {record.expires}", rule="TRU-5", where=where
            )
    return ThresholdNotMet(
        f"{len(counted)} principals count, {store.threshold} are asked for",
        rule="TRU-6",
        where=place,
        hint="ask the others to sign; a principal may also be asked for a second algorithm",
    )


def _report(
    records: Sequence[SignatureRecordLike], known: list[_Known], counted: tuple[str, ...]
) -> Vouching:
    by_id = {k.record.key_id: k for k in known}
    statuses = tuple(_status(record, by_id.get(record.key_id), counted) for record in records)
    key_ids = tuple(status.key_id for status in statuses if status.standing == "counted")
    return Vouching(counted, key_ids, statuses)


def _status(
    record: SignatureRecordLike, known: _Known | None, counted: tuple[str, ...]
) -> SignatureStatus:
    standing: Standing = "unknown" if known is None else _final(known, counted)
    name = None if known is None else known.principal.name
    return SignatureStatus(record.key_id, record.algorithm, record.expires, name, standing)


def _final(known: _Known, counted: tuple[str, ...]) -> Standing:
    if known.standing != "usable":
        return known.standing
    return "counted" if known.principal.name in counted else "incomplete"
