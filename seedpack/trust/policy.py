"""Step 5 of the verification: is what is vouched for also wanted, here and now (spec: section 12).

validity --> name --> versions seen --> codecs and budget
(TRU-7)      (TRU-8)  (TRU-9, TRU-10)   (TRU-11)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seedpack.errors import PolicyRefused, Rollback, SeedExpired
from seedpack.limits import CLOCK_TOLERANCE_S

if TYPE_CHECKING:
    from seedpack.trust.judge import Vouching
    from seedpack.trust.model import TrustStore


class SeedFacts(NamedTuple):
    """What the policy judges by, from a decoded manifest."""

    name: str
    version: int
    seed_id: bytes
    created: int
    expires: int | None
    codecs: frozenset[str]
    decoded_nbytes: int


def judge_policy(store: TrustStore, vouching: Vouching, facts: SeedFacts, *, now: int) -> None:
    """Check that what is vouched for is also wanted here and now.

    Raises:
        SeedExpired: TRU-7.
        PolicyRefused: TRU-8 or TRU-11.
        Rollback: TRU-9 or TRU-10.
    """
    _check_validity(facts, now)
    check_name(store, vouching, facts.name)
    check_rollback(store, facts)
    _check_contents(store, facts)


def check_name(store: TrustStore, vouching: Vouching, name: str) -> None:
    """Refuse what the counted principals may not sign: they are trusted for some names only.

    Raises:
        PolicyRefused: TRU-8.
    """
    allowed = [p.name for p in store.principals if p.name in vouching.principals and p.allows(name)]
    if len(allowed) < store.threshold:
        raise PolicyRefused(
            f"{', '.join(vouching.principals)} may not sign seeds of this name",
            rule="TRU-8",
            where=name,
            hint="add a pattern to may_sign in the trust store, if they should",
        )


def check_clock(store: TrustStore, now: int) -> None:
    """Refuse a clock that was set back: it would revive what has expired.

    Raises:
        PolicyRefused: TRU-12.
    """
    if now < store.last_time - CLOCK_TOLERANCE_S:
        raise PolicyRefused(
            f"the clock says {now}, but a seed was accepted at {store.last_time} already",
            rule="TRU-12",
            where="last_time",
            hint="set the clock right; if it once was ahead, correct last_time in the trust store",
        )


def check_rollback(store: TrustStore, facts: SeedFacts) -> None:
    """Refuse what is older than, or differs from, what was seen.

    Raises:
        Rollback: TRU-9 or TRU-10.
    """
    seen = store.seen.get(facts.name)
    if seen is None:
        return
    if facts.version < seen.version:
        raise Rollback(
            f"version {facts.version}, but {seen.version} was seen before",
            rule="TRU-9",
            where=facts.name,
            hint="fetch the newest; if that version was a mistake: seedpack trust forget NAME",
        )
    if facts.version == seen.version and facts.seed_id != seen.seed_id:
        raise Rollback(
            f"version {facts.version} was seen before as another seed, {seen.seed_id.hex()}",
            rule="TRU-10",
            where=facts.name,
            hint="ask the publisher why there are two; do not use either before that",
        )


def _check_validity(facts: SeedFacts, now: int) -> None:
    if facts.expires is not None and now >= facts.expires:
        raise SeedExpired(
            f"expired at {facts.expires}",
            rule="TRU-7",
            where=facts.name,
            hint="fetch a newer version",
        )
    if now < facts.created - CLOCK_TOLERANCE_S:
        raise SeedExpired(
            f"created at {facts.created}, which is yet to come",
            rule="TRU-7",
            where=facts.name,
            hint="check the clock",
        )


def _check_contents(store: TrustStore, facts: SeedFacts) -> None:
    policy = store.policy
    if policy.codecs is not None and not facts.codecs <= policy.codecs:
        extra = ", ".join(sorted(facts.codecs - policy.codecs))
        raise PolicyRefused(f"codecs not allowed here: {extra}", rule="TRU-11", where=facts.name)
    if policy.max_decoded_nbytes is not None and facts.decoded_nbytes > policy.max_decoded_nbytes:
        raise PolicyRefused(
            f"decodes to {facts.decoded_nbytes} bytes, {policy.max_decoded_nbytes} are allowed",
            rule="TRU-11",
            where=facts.name,
        )
