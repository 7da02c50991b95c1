"""From bytes to a report that somebody trusted signed, of this very seed (spec: RPT).

0 sizes      of the envelope, before anything is parsed                      FormatError
1 envelope   form and type; the payload stays bytes                          FormatError
2 signature  over the payload's raw bytes; threshold, as for the seed        TrustError
3 name       those who signed may sign seeds of this name                    TrustError
-- from here on the payload is looked at --
4 statement  types, strict, no key twice; a report that agrees with itself   FormatError
5 subject    is this seed, in the statement and in the report                OtherSeed
6 time       not made before the seed, nor in the future, nor too long ago   TrustError
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from seedpack.errors import OtherSeed, PolicyRefused
from seedpack.limits import CLOCK_TOLERANCE_S
from seedpack.report.envelope import parse_envelope, signed_bytes
from seedpack.report.statement import parse_statement
from seedpack.trust.judge import check_name, judge_detached

if TYPE_CHECKING:
    from seedpack.audits.results import AuditReport
    from seedpack.report.statement import Statement
    from seedpack.seed.opening import Seed
    from seedpack.trust.judge import SeedFacts, Vouching
    from seedpack.trust.store import TrustStore


class VerifiedReport(NamedTuple):
    """A report that the trust store vouches for. Only ``verify_report`` makes one.

    Attributes:
        report: About the seed that was given.
        vouching: Which principals counted, by which keys.
    """

    report: AuditReport
    vouching: Vouching


def verify_report(
    text: bytes,
    seed: Seed,
    *,
    store: TrustStore,
    now: int | None = None,
    max_age: int | None = None,
    where: str = "report",
) -> VerifiedReport:
    """Prove that ``text`` is a report about ``seed`` by somebody whom ``store`` trusts.

    Args:
        text: Content of ``report.dsse.json``; read it with ``MAX_ENVELOPE_NBYTES`` as limit.
        seed: Open, and verified by the same store.
        store: Whom to trust.
        now: Seconds since 1970; default: the clock.
        max_age: Seconds that the report may be old; default: any age.
        where: Names the file in refusals.

    Raises:
        FormatError: RPT-1 to RPT-4, RPT-6, RPT-8; not such a report.
        TrustError: RPT-5, TRU-2 to TRU-6, TRU-8 and TRU-12; KEY-1 or KEY-2.
        OtherSeed: RPT-7.
        PolicyRefused: RPT-9, it is from a time at which it cannot be; RPT-15, it is too old.
    """
    now = int(time.time()) if now is None else now
    envelope = parse_envelope(text, where=where)  # 0, 1
    message = signed_bytes(envelope.payload)
    vouching = judge_detached(store, envelope.signatures, message=message, now=now)  # 2: RPT-5
    check_name(store, vouching, seed.facts.name)  # 3
    statement = parse_statement(envelope.payload, where=where)  # 4
    _check_subject(statement, seed.facts, where)  # 5
    _check_time(statement.predicate.created, seed.facts, now, where)  # 6
    _check_age(statement.predicate.created, max_age, now, where)
    return VerifiedReport(statement.predicate, vouching)


def _check_subject(statement: Statement, facts: SeedFacts, where: str) -> None:
    inner = statement.predicate.subject
    said = {statement.subject[0].digest.sha256, inner.seed_id}
    if said != {facts.seed_id.hex()}:
        other = next(iter(said - {facts.seed_id.hex()}))
        raise OtherSeed(
            f"is about the seed {other[:16]!a}, this one is {facts.seed_id.hex()[:16]}",
            rule="RPT-7",
            where=where,
            hint="pass the report that was made of this file; every version has its own",
        )
    named = {(statement.subject[0].name, inner.version), (inner.name, inner.version)}
    if named != {(facts.name, facts.version)}:
        raise OtherSeed("gives this seed another name or version", rule="RPT-7", where=where)


def _check_time(created: int, facts: SeedFacts, now: int, where: str) -> None:
    if created < facts.created - CLOCK_TOLERANCE_S:
        problem = f"made at {created}, before the seed, which was made at {facts.created}"
    elif created > now + CLOCK_TOLERANCE_S:
        problem = f"made at {created}, which is yet to come"
    else:
        return
    raise PolicyRefused(problem, rule="RPT-9", where=where, hint="check the clock")


def _check_age(created: int, max_age: int | None, now: int, where: str) -> None:
    if max_age is not None and created < now - max_age:
        raise PolicyRefused(
            f"made at {created}, {now - created} s ago; {max_age} s are allowed",
            rule="RPT-15",
            where=where,
            hint="ask for a newer report, or audit the seed yourself: seedpack audit",
        )
