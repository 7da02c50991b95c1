"""Gates: thresholds declared beforehand, decided on the bounds of intervals (spec: AUD-2).

interval ──wholly on the right side──> pass
         ──wholly on the wrong side──> fail
         ──across, or not measured───> undecided, with its reason
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.results import AuditResult, Gate, Severity, Status, worst

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.audits.results import Bounds


_RANK: Final = {severity: rank for rank, severity in enumerate(Severity)}


def decide(  # noqa: PLR0913 -- a gate has that many parts
    name: str,
    statement: str,
    *,
    value: float | None,
    interval: Bounds | None,
    at_least: float | None = None,
    at_most: float | None = None,
    reason: str = "",
) -> Gate:
    """Return the gate, decided.

    Args:
        name: Short and stable.
        statement: What passes, in words.
        value: Measured, or None.
        interval: Of it, or None where nothing could be measured.
        at_least: Threshold for the lower bound; this or ``at_most``.
        at_most: Threshold for the upper bound.
        reason: Why nothing could be measured; a reason makes any gate undecided.

    Raises:
        ValueError: Both or neither threshold is given (wrong call).
    """
    if (at_least is None) == (at_most is None):
        raise ValueError("a gate has one threshold")
    side = "at least" if at_most is None else "at most"
    threshold = at_least if at_least is not None else at_most
    assert threshold is not None  # noqa: S101 -- one of both
    status, why = _judge(interval, threshold, side, reason)
    return Gate(
        name=name,
        statement=statement,
        threshold=threshold,
        side=side,
        status=status,
        value=value,
        interval=interval,
        reason=why,
    )


def _judge(interval: Bounds | None, threshold: float, side: str, reason: str) -> tuple[Status, str]:
    if reason or interval is None or any(math.isnan(bound) for bound in interval):
        return Status.UNDECIDED, reason or "not measured"
    low, high = interval if side == "at least" else (-interval[1], -interval[0])
    bar = threshold if side == "at least" else -threshold
    if low >= bar:
        return Status.PASS, ""
    if high < bar:
        return Status.FAIL, ""
    return Status.UNDECIDED, f"the interval lies across {threshold:g}: more data or seeds decide"


def is_consistent(result: AuditResult) -> bool:
    """Whether a result that was read says of its gates, and of itself, what follows from them."""
    for gate in result.gates:
        if gate.side not in {"at least", "at most"}:
            return False
        if _judge(gate.interval, gate.threshold, gate.side, gate.reason)[0] is not gate.status:
            return False
    return conclude(result).status is result.status


def conclude(result: AuditResult) -> AuditResult:
    """Return ``result`` with the status that its gates and its reason give it.

    A reason without gates, or no gate at all, is undecided: an audit that measured nothing
    has not passed.
    """
    status = worst(tuple(gate.status for gate in result.gates))
    if result.reason and status is Status.PASS:
        status = Status.UNDECIDED
    ordered = sorted(result.findings, key=lambda finding: -_RANK[finding.severity])
    return msgspec.structs.replace(result, status=status, findings=tuple(ordered))


def undecided(audit: str, title: str, reason: str, gates: Sequence[Gate] = ()) -> AuditResult:
    """Return the result of an audit that could not be done."""
    return AuditResult(
        audit=audit, title=title, status=Status.UNDECIDED, reason=reason, gates=tuple(gates)
    )
