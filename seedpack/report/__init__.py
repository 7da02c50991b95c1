"""What audits found, written for people and programs, signed, and checked (spec: RPT).

    AuditReport ──document──> report.json ──statement, envelope, keys──> report.dsse.json
        └──view──> report.md, report.html (curves by matplotlib, pictures as PNG)
    report.dsse.json + trust store + seed ──verification──> VerifiedReport

Checking a report needs neither jinja2 nor matplotlib; writing one does (extra ``report``).
"""

from seedpack.report.document import decode_report, encode_report
from seedpack.report.packages import check_packages
from seedpack.report.signing import sign_report
from seedpack.report.verification import VerifiedReport, verify_report
from seedpack.report.writing import write_report

__all__ = [
    "VerifiedReport",
    "check_packages",
    "decode_report",
    "encode_report",
    "sign_report",
    "verify_report",
    "write_report",
]
