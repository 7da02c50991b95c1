"""What was kept, what breaks, and whether something hides: judged beside control arms.

    verified seed ──assembled──> model ─┐
    data: train, evaluation ────────────┼─> Spec ──runner──> audits, in processes
    original, clean reference (or none) ┘        │
                                                 ├─ arms: tuned models, shared, on disk
                                                 └─ each: Findings, Figures, Gates ──> AuditResult
    all of them ──> AuditReport ──seedpack.report──> JSON, Markdown, HTML, signed statement

The rules that make an audit honest are in spec/audits/framework.md (AUD-1 to AUD-9). Attacks on
the privacy of training data (membership and the like) are out of scope, and no report says
anything about them.
"""

from __future__ import annotations

from seedpack.audits.base import Audit, Context, Spec
from seedpack.audits.profiles import PROFILES, Profile
from seedpack.audits.registry import AUDITS, choose_audits, get_audit
from seedpack.audits.results import AuditReport, AuditResult, Status, Subject

__all__ = [
    "AUDITS",
    "PROFILES",
    "Audit",
    "AuditReport",
    "AuditResult",
    "Context",
    "Profile",
    "Spec",
    "Status",
    "Subject",
    "choose_audits",
    "get_audit",
]
