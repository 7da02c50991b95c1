"""The in-toto statement that binds a report to the one seed that it is about (spec: RPT-6).

AuditReport --> {_type, subject: [{name, sha256 = seed id}], predicateType, predicate}

Source:
    in-toto Attestation Framework, Statement v1.
"""

from __future__ import annotations

from typing import Final

import msgspec

from seedpack.audits.results import SCHEMA, AuditReport
from seedpack.errors import AuditError, FormatError
from seedpack.report.document import check_report, encode_report
from seedpack.report.strictjson import decode_strictly

STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Final = f"urn:seedpack:audit-report:v{SCHEMA}"


class DigestSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The digest by which a subject is known."""

    sha256: str  # the seed id: SHA-256 of the manifest bytes, lower case


class StatementSubject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a statement is about."""

    name: str
    digest: DigestSet


class _Head(msgspec.Struct, frozen=True):
    type: str = msgspec.field(name="_type")
    predicate_type: str = msgspec.field(name="predicateType")


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A predicate about subjects; its fields are named as in-toto names them."""

    type: str = msgspec.field(name="_type")
    subject: tuple[StatementSubject, ...]
    predicate_type: str = msgspec.field(name="predicateType")
    predicate: AuditReport


def encode_statement(report: AuditReport) -> bytes:
    """Return the bytes to sign: the statement that ``report`` is about its seed.

    Raises:
        AuditError: RPT-6, the report is not about a seed; as ``encode_report``.
    """
    if not report.subject.seed_id:
        raise AuditError(
            "the report is not about a seed, and can be bound to none",
            rule="RPT-6",
            where="subject",
            hint="audit a .seed file, or write the report without a key",
        )
    subject = StatementSubject(report.subject.name, DigestSet(report.subject.seed_id))
    encode_report(report)  # for its refusals
    return msgspec.json.encode(Statement(STATEMENT_TYPE, (subject,), PREDICATE_TYPE, report))


def parse_statement(payload: bytes, *, where: str) -> Statement:
    """Decode a payload whose signatures have been judged.

    Raises:
        FormatError: RPT-6, no such statement; RPT-1 and RPT-8, as ``decode_report``.
    """
    _check_types(payload, where)
    statement = decode_strictly(payload, Statement, rule="RPT-6", where=where)
    if len(statement.subject) != 1:
        raise FormatError(f"{len(statement.subject)} subjects", rule="RPT-6", where=where)
    check_report(statement.predicate, where=where)
    return statement


def _check_types(payload: bytes, where: str) -> None:
    # before the rest, so that what is another thing is called that, not a damaged report
    try:
        head = msgspec.json.decode(payload, type=_Head)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FormatError("not an in-toto statement", rule="RPT-6", where=where) from error
    if (head.type, head.predicate_type) != (STATEMENT_TYPE, PREDICATE_TYPE):
        raise FormatError(
            f"not an in-toto statement v1 with a predicate {PREDICATE_TYPE}",
            rule="RPT-6",
            where=where,
        )
