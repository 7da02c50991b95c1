"""All audits: one line each here, one file each beside, one page each in ``spec/audits``.

They are imported when they are run: most need torch, the registry does not.
"""

from __future__ import annotations

from importlib import import_module  # noqa: TID251 -- audits by name: see AUDITS
from typing import TYPE_CHECKING, Final

from seedpack.errors import AuditError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from seedpack.audits.base import Audit

# id -> "module:class", in the order of reports.
AUDITS: Final[dict[str, str]] = {
    "integrity": "seedpack.audits.integrity:Integrity",
    "retention": "seedpack.audits.retention:Retention",
    "low-data": "seedpack.audits.lowdata:LowData",
    "label-noise": "seedpack.audits.labelnoise:LabelNoise",
    "shift": "seedpack.audits.shift:DomainShift",
    "quantised": "seedpack.audits.quantised:Quantised",
    "adversarial": "seedpack.audits.adversarial:Adversarial",
    "corruption": "seedpack.audits.corruption:Corruption",
    "partial": "seedpack.audits.partial:Partial",
    "backdoor": "seedpack.audits.backdoor:Backdoor",
    "reactivation": "seedpack.audits.reactivation:Reactivation",
}


def get_audit(name: str) -> Audit:
    """Return the audit of that id.

    Raises:
        AuditError: AUD-1, there is none.
    """
    if name not in AUDITS:
        raise AuditError(
            f"no audit {name[:40]!a}",
            rule="AUD-1",
            where="audits",
            hint=f"one of {', '.join(AUDITS)}",
        )
    module, _, attribute = AUDITS[name].partition(":")
    audit: Audit = getattr(import_module(module), attribute)()
    return audit


def choose_audits(names: Sequence[str], leaves_out: Collection[str] = ()) -> tuple[str, ...]:
    """Return ids in the order of the registry.

    Args:
        names: Those that somebody named.
        leaves_out: If there are none: all audits but these, which a profile leaves out.

    Raises:
        AuditError: AUD-1, a name is none of them.
    """
    for name in names:
        if name not in AUDITS:
            get_audit(name)  # refuses
    if names:
        return tuple(name for name in AUDITS if name in names)
    return tuple(name for name in AUDITS if name not in leaves_out)
