"""A signed report: a DSSE envelope around an in-toto statement (spec: RPT-5, RPT-6).

AuditReport --statement--> payload --PAE, keys--> signatures --envelope--> report.dsse.json
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.report.envelope import (
    Envelope,
    EnvelopeSignature,
    encode_envelope,
    signed_bytes,
)
from seedpack.report.statement import encode_statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.audits.results import AuditReport
    from seedpack.crypto.keys import PrivateKey


def sign_report(report: AuditReport, keys: Sequence[PrivateKey]) -> bytes:
    """Return the content of ``report.dsse.json``.

    Args:
        report: About a seed.
        keys: At least one; two of different algorithms make a hybrid signature.

    Raises:
        AuditError: RPT-6, the report is not about a seed; RPT-1 or RPT-8, it is none.
        ValueError: No key.
    """
    if not keys:
        raise ValueError("no key to sign with")
    payload = encode_statement(report)
    message = signed_bytes(payload)
    signatures = (EnvelopeSignature(key.public.key_id, key.sign(message)) for key in keys)
    return encode_envelope(Envelope(payload, tuple(signatures)))
