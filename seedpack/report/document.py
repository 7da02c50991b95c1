"""``report.json``: the report as data, in the one form that is signed (spec: RPT-1, RPT-8).

AuditReport --written, read again, compared--> JSON --strict--> AuditReport
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING

import msgspec

from seedpack.audits.results import SCHEMA, AuditReport, Picture, worst
from seedpack.errors import AuditError, FormatError
from seedpack.limits import MAX_REPORT_NBYTES
from seedpack.report.strictjson import decode_strictly

if TYPE_CHECKING:
    from collections.abc import Iterator


def encode_report(report: AuditReport) -> bytes:
    """Return the JSON of ``report``, on one line.

    Raises:
        AuditError: RPT-1, it does not survive being written (a number that is none), or it is too
            large; RPT-8, it contradicts itself.
    """
    text = msgspec.json.encode(report)
    if len(text) > MAX_REPORT_NBYTES:
        raise AuditError(
            f"a report of {len(text)} bytes, at most {MAX_REPORT_NBYTES} are allowed",
            rule="RPT-1",
            where="report",
        )
    try:
        decode_report(text)
    except FormatError as error:
        raise AuditError(error.message, rule=error.rule, where="report") from error
    if msgspec.json.decode(text, type=AuditReport) != report:
        raise AuditError("a number that is none, or infinite", rule="RPT-1", where="report")
    return text


def decode_report(text: bytes, *, where: str = "report") -> AuditReport:
    """Return the report that ``text`` holds; nobody vouches for it.

    Raises:
        FormatError: RPT-1, not exactly such a report; RPT-8, it contradicts itself.
    """
    if len(text) > MAX_REPORT_NBYTES:
        raise FormatError(
            f"{len(text)} bytes, at most {MAX_REPORT_NBYTES} are allowed",
            rule="RPT-1",
            where=where,
        )
    report = decode_strictly(text, AuditReport, rule="RPT-1", where=where)
    check_report(report, where=where)
    return report


def check_report(report: AuditReport, *, where: str) -> None:
    """Refuse a report of another schema, or one whose parts say different things.

    Raises:
        FormatError: RPT-1 or RPT-8.
    """
    if report.schema != SCHEMA:
        raise FormatError(f"schema {report.schema} of reports", rule="RPT-1", where=where)
    for problem in _contradictions(report):
        raise FormatError(problem, rule="RPT-8", where=where)


def report_schema() -> bytes:
    """Return the JSON schema of reports, as ``spec/audits/report.schema.json`` has it."""
    schema = msgspec.json.schema(AuditReport)
    for record in schema["$defs"].values():
        # defaults are for those who write a report; whoever reads one finds every field
        for field in record.get("properties", {}).values():
            field.pop("default", None)
        if "properties" in record:
            record["required"] = sorted(record["properties"])
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"seedpack audit report, schema {SCHEMA}",
    }
    return (json.dumps(head | schema, indent=2, sort_keys=True) + "\n").encode()


def _contradictions(report: AuditReport) -> Iterator[str]:
    """Say where a report is better than its parts, or a part is not what it says it is."""
    if report.status != worst(tuple(result.status for result in report.results)):
        yield f"is called {report.status}, which its audits are not"
    for result in report.results:
        parts = worst((*(gate.status for gate in result.gates), result.status))
        if result.status != parts:
            yield f"an audit is called {result.status}, which its gates are not"
        for table in result.tables:
            if any(len(row) != len(table.columns) for row in table.rows):
                yield "a table has rows of another length than its head"
        for curve in result.curves:
            for line in curve.series:
                lengths = {len(line.x), len(line.y), len(line.low or line.x)}
                if len(lengths | {len(line.high or line.x)}) != 1:
                    yield "a curve has values without places"
        yield from _wrong_pictures(result.pictures)


def _wrong_pictures(pictures: tuple[Picture, ...]) -> Iterator[str]:
    for picture in pictures:
        sizes = (picture.height, picture.width)
        if min(sizes) < 1 or picture.channels not in {1, 3}:
            yield "a picture of no size, or of other channels than 1 or 3"
        elif math.prod(sizes) * picture.channels != len(picture.pixels):
            yield "a picture has more or fewer pixels than its size says"
