"""Form of rotation and revocation statements, and how they are made (spec: STA-1).

bytes --msgspec, typed--> envelope --> body --both encoded again, equal--> Statement
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

import msgspec

from seedpack.crypto.digests import DIGEST_NBYTES
from seedpack.crypto.keys import Algorithm, PublicKey
from seedpack.crypto.messages import statement_message
from seedpack.errors import FormatError, StoreError
from seedpack.limits import MAX_INTEGER, MAX_STATEMENT_NBYTES, MAX_TIME
from seedpack.trust.texts import check_text, quotable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.crypto.keys import PrivateKey

_T = TypeVar("_T", bound=msgspec.Struct)


class StatementBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is signed; fields in the ascending order of the canonical profile."""

    algorithm: Literal["", "ed25519", "ml-dsa-65"]
    created: int  # seconds since 1970
    kind: Literal["revoke", "rotate"]
    principal: str
    public: bytes  # of the new key
    replaced: bytes  # (32,) key id
    revoked: list[bytes]  # (32,) key ids
    schema: Literal[1] = 1
    serial: int


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    body: bytes
    signatures: list[tuple[bytes, bytes]]  # key id, signature


class Statement(NamedTuple):
    """A statement of right form; who signed it is checked when it is applied."""

    body: StatementBody
    signed: bytes  # the body as it stands in the file
    signatures: dict[bytes, bytes]  # by key id
    new_key: PublicKey | None  # of a rotation


def make_rotation(
    principal: str, replaced: PrivateKey, new: PrivateKey, *, serial: int, created: int
) -> bytes:
    """Return a statement that ``new`` takes the place of ``replaced``, signed by both.

    Raises:
        FormatError: STA-1, a value that no statement may have.
    """
    body = StatementBody(
        algorithm=new.public.algorithm.label,
        created=created,
        kind="rotate",
        principal=principal,
        public=new.public.raw,
        replaced=replaced.public.key_id,
        revoked=[],
        serial=serial,
    )
    return _sign(body, (replaced, new))


def make_revocation(
    principal: str, signer: PrivateKey, revoked: Sequence[bytes], *, serial: int, created: int
) -> bytes:
    """Return a statement that the keys with the ids ``revoked`` no longer count.

    Raises:
        FormatError: STA-1, a value that no statement may have.
    """
    body = StatementBody(
        algorithm="",
        created=created,
        kind="revoke",
        principal=principal,
        public=b"",
        replaced=b"",
        revoked=list(revoked),
        serial=serial,
    )
    return _sign(body, (signer,))


def parse_statement(data: bytes) -> Statement:
    """Return the statement that a file's content stands for.

    Raises:
        FormatError: STA-1.
        KeyFileError: KEY-3, KEY-4 or KEY-6, the new key must not be used.
    """
    if len(data) > MAX_STATEMENT_NBYTES:
        raise _refused(f"{len(data)} bytes, at most {MAX_STATEMENT_NBYTES} are allowed")
    envelope = _decode(data, _Envelope)
    body = _decode(envelope.body, StatementBody)
    signatures = dict(envelope.signatures)
    _check_ids([key_id for key_id, _ in envelope.signatures], "signatures")
    _check_values(body)
    if body.kind == "rotate":
        return Statement(body, envelope.body, signatures, _check_rotation(body))
    _check_revocation(body)
    return Statement(body, envelope.body, signatures, None)


def _sign(body: StatementBody, signers: tuple[PrivateKey, ...]) -> bytes:
    signed = msgspec.msgpack.encode(body)
    signatures = []
    for signer in signers:
        algorithm, key_id = signer.public.algorithm, signer.public.key_id
        message = statement_message(algorithm=algorithm, key_id=key_id, body=signed)
        signatures.append((key_id, signer.sign(message)))
    data = msgspec.msgpack.encode(_Envelope(signed, signatures))
    parse_statement(data)  # nothing is made that would not be read
    return data


def _decode(data: bytes, kind: type[_T]) -> _T:
    try:
        value = msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refused(quotable(error)) from error
    # Both decode duplicate keys and long forms in silence; no second encoding passes this.
    if msgspec.msgpack.encode(value) != data:
        raise _refused("not canonical")
    return value


def _check_values(body: StatementBody) -> None:
    if not 0 <= body.created <= MAX_TIME:
        raise _refused(f"created at {body.created}", where="created")
    if not 0 <= body.serial <= MAX_INTEGER:
        raise _refused(f"serial {body.serial}", where="serial")
    try:
        check_text(body.principal, "principal")
    except StoreError as error:
        raise _refused(error.message, where="principal") from error


def _check_rotation(body: StatementBody) -> PublicKey:
    _check_ids([body.replaced], "replaced")
    if body.revoked or not body.algorithm:
        raise _refused("a rotation names one key that is replaced, and a new one")
    return PublicKey(Algorithm.of_label(body.algorithm), body.public)


def _check_revocation(body: StatementBody) -> None:
    _check_ids(body.revoked, "revoked")
    if body.replaced or body.public or body.algorithm or not body.revoked:
        raise _refused("a revocation names keys that are revoked, and nothing else")


def _check_ids(key_ids: list[bytes], where: str) -> None:
    if any(len(key_id) != DIGEST_NBYTES for key_id in key_ids) or len(set(key_ids)) != len(key_ids):
        raise _refused(f"key ids have {DIGEST_NBYTES} bytes and stand once", where=where)


def _refused(message: str, *, where: str = "statement") -> FormatError:
    return FormatError(message, rule="STA-1", where=where)
