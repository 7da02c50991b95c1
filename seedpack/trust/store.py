"""The trust store's file: JSON for people to read, read without any leniency (spec: TRU-1).

bytes --json, no duplicate keys--> plain values --msgspec, strict--> records --> TrustStore
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Final, Literal, NoReturn

import msgspec

from seedpack.crypto.keys import Algorithm, Label, PublicKey
from seedpack.errors import KeyFileError, StoreError
from seedpack.limits import MAX_TRUST_STORE_NBYTES
from seedpack.trust.model import Policy, Principal, SeenVersion, TrustedKey, TrustStore
from seedpack.trust.texts import quotable

__all__ = [
    "Policy",
    "Principal",
    "SeenVersion",
    "TrustStore",
    "TrustedKey",
    "encode_trust_store",
    "parse_trust_store",
]

_SCHEMA: Final = 1


class _KeyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    algorithm: Label
    public: str  # base64 of the raw key
    not_before: int
    not_after: int | None
    revoked: bool


class _PrincipalRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    may_sign: list[str]
    require: list[Label]
    serial: int
    keys: list[_KeyRecord]


class _PolicyRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    codecs: list[str] | None
    max_decoded_nbytes: int | None


class _SeenRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    version: int
    seed_id: str  # 64 hex digits, lower case


class _StoreRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    schema: Literal[1]
    threshold: int
    last_time: int
    policy: _PolicyRecord
    principals: list[_PrincipalRecord]
    seen: dict[str, _SeenRecord]


def parse_trust_store(text: bytes) -> TrustStore:
    """Return the trust store that a file's content stands for.

    Raises:
        StoreError: TRU-1.
        KeyFileError: KEY-3, KEY-4 or KEY-6, a key in it must not be used.
    """
    if len(text) > MAX_TRUST_STORE_NBYTES:
        raise _refused(f"{len(text)} bytes, at most {MAX_TRUST_STORE_NBYTES} are allowed")
    if b"PRIVATE KEY" in text:
        raise _refused("holds a private key", hint="take it out, and replace the key: it leaked")
    try:
        record = msgspec.convert(_load_json(text), _StoreRecord)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # a lone surrogate as key
        raise _refused(quotable(error)) from error
    return TrustStore(
        principals=tuple(_principal(p) for p in record.principals),
        threshold=record.threshold,
        policy=_policy(record.policy),
        seen={name: _seen(seen, name) for name, seen in record.seen.items()},
        last_time=record.last_time,
    )


def encode_trust_store(store: TrustStore) -> bytes:
    """Return the one text that seedpack writes for ``store``.

    Raises:
        StoreError: TRU-1, it would be too large to be read again.
    """
    record = _StoreRecord(
        schema=_SCHEMA,
        threshold=store.threshold,
        last_time=store.last_time,
        policy=_PolicyRecord(
            None if store.policy.codecs is None else sorted(store.policy.codecs),
            store.policy.max_decoded_nbytes,
        ),
        principals=[_principal_record(p) for p in store.principals],
        seen={n: _SeenRecord(s.version, s.seed_id.hex()) for n, s in sorted(store.seen.items())},
    )
    plain = msgspec.to_builtins(record)
    text = (json.dumps(plain, indent=2, ensure_ascii=False) + "\n").encode()
    if len(text) > MAX_TRUST_STORE_NBYTES:
        raise _refused(
            f"would have {len(text)} bytes, at most {MAX_TRUST_STORE_NBYTES} are allowed",
            hint="let it forget names that are no longer used: seedpack trust forget NAME",
        )
    return text


def _load_json(text: bytes) -> object:
    try:
        return json.loads(
            text.decode(), object_pairs_hook=_without_duplicates, parse_constant=_no_constant
        )
    except (ValueError, RecursionError) as error:  # bad UTF-8, JSON or huge numbers; too deep
        raise _refused(f"not JSON: {error}") from error


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise _refused("a key stands twice in one object")
    return table


def _no_constant(text: str) -> NoReturn:
    raise _refused(f"{text} is not JSON")


def _principal(record: _PrincipalRecord) -> Principal:
    return Principal(
        name=record.name,
        keys=tuple(
            _key(key, f"principal {record.name!a:.60}, keys[{i}]")
            for i, key in enumerate(record.keys)
        ),
        may_sign=tuple(record.may_sign),
        require=tuple(Algorithm.of_label(label) for label in record.require),
        serial=record.serial,
    )


def _key(record: _KeyRecord, where: str) -> TrustedKey:
    try:
        raw = binascii.a2b_base64(record.public.encode("ascii"), strict_mode=True)
        public = PublicKey(Algorithm.of_label(record.algorithm), raw)
    except ValueError as error:  # of both encodings
        raise _refused("public is not base64", where=where) from error
    except KeyFileError as error:
        raise KeyFileError(error.message, rule=error.rule, where=where, hint=error.hint) from error
    return TrustedKey(public, record.not_before, record.not_after, record.revoked)


def _policy(record: _PolicyRecord) -> Policy:
    codecs = None if record.codecs is None else frozenset(record.codecs)
    return Policy(codecs, record.max_decoded_nbytes)


def _seen(record: _SeenRecord, name: str) -> SeenVersion:
    try:
        seed_id = binascii.unhexlify(record.seed_id)
    except ValueError as error:
        raise _refused("seed_id is not hexadecimal", where=f"seen, {name!a:.60}") from error
    return SeenVersion(record.version, seed_id)


def _principal_record(principal: Principal) -> _PrincipalRecord:
    return _PrincipalRecord(
        name=principal.name,
        may_sign=list(principal.may_sign),
        require=[algorithm.label for algorithm in principal.require],
        serial=principal.serial,
        keys=[_key_record(key) for key in principal.keys],
    )


def _key_record(key: TrustedKey) -> _KeyRecord:
    return _KeyRecord(
        algorithm=key.public.algorithm.label,
        public=base64.b64encode(key.public.raw).decode("ascii"),
        not_before=key.not_before,
        not_after=key.not_after,
        revoked=key.revoked,
    )


def _refused(message: str, *, where: str = "trust store", hint: str = "") -> StoreError:
    return StoreError(message, rule="TRU-1", where=where, hint=hint)
