"""A folder with one report in every form (spec: RPT-12).

AuditReport --encode, render, sign--> FORMS --atomic_directory--> folder
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.files import atomic_directory
from seedpack.limits import MAX_REPORT_NBYTES
from seedpack.report.document import decode_report, encode_report
from seedpack.report.html import render_html
from seedpack.report.markdown import render_markdown
from seedpack.report.signing import sign_report

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.audits.results import AuditReport
    from seedpack.crypto.keys import PrivateKey


def render_json(report: AuditReport) -> bytes:
    """Return the report as JSON for people, too, where it stays small enough to be read again."""
    text = encode_report(report)
    readable = msgspec.json.format(text, indent=2) + b"\n"
    return readable if len(readable) <= MAX_REPORT_NBYTES else text


SIGNED_NAME: Final = "report.dsse.json"
# A new form: one module with a renderer, one line here.
FORMS: Final[dict[str, Callable[[AuditReport], bytes]]] = {
    "report.json": render_json,
    "report.md": render_markdown,
    "report.html": render_html,
}


def write_report(
    report: AuditReport, folder: Path, key: PrivateKey | Sequence[PrivateKey] | None = None
) -> tuple[Path, ...]:
    """Write ``report`` in every form into the new folder ``folder``.

    Args:
        report: What to write.
        folder: Must not exist; appears complete or not at all.
        key: Whoever vouches for the report; several for several signatures. None: it is
            written without a signature, and nobody can tell whose it is.

    Returns:
        The files, ``report.dsse.json`` last where there is one.

    Raises:
        AuditError: RPT-1, RPT-6 or RPT-8, it is no report; RPT-13, a package is absent.
        StoreError: OUT-1 or OUT-2, it cannot be written.
    """
    keys = () if key is None else key if isinstance(key, Sequence) else (key,)
    plain = decode_report(encode_report(report))  # what is rendered is what is signed
    contents = {name: render(plain) for name, render in FORMS.items()}
    if keys:
        contents[SIGNED_NAME] = sign_report(plain, keys)
    with atomic_directory(folder) as temporary:
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
    return tuple(folder / name for name in contents)
