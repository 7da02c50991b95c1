"""Signed audit reports: envelope, statement, report, and its Markdown (spec: RPT).

Input: a DSSE envelope; signatures are not asked for, so that what lies behind them is reached.
"""

from __future__ import annotations

import base64
import json
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from fuzz.harness import Target
from fuzz.samples import ALICE, NOW
from fuzz.trees import edit_text, mutate
from seedpack.audits.results import (
    AuditReport,
    AuditResult,
    Confidence,
    Curve,
    Figure,
    Finding,
    Gate,
    Picture,
    Series,
    Severity,
    Status,
    Subject,
    Table,
)
from seedpack.report.document import decode_report, encode_report
from seedpack.report.envelope import PAYLOAD_TYPE, encode_envelope, parse_envelope
from seedpack.report.markdown import render_markdown
from seedpack.report.signing import sign_report
from seedpack.report.statement import parse_statement

if TYPE_CHECKING:
    from random import Random

_INNER_SHARE: Final = 0.9  # of edits that change the payload, not the envelope
_REPORT_SHARE: Final = 0.85  # of these that change the report, not the statement


def _check(data: bytes) -> None:
    envelope = parse_envelope(data, where="r")
    assert parse_envelope(encode_envelope(envelope), where="r") == envelope
    report = parse_statement(envelope.payload, where="r").predicate
    assert decode_report(encode_report(report)) == report
    text = render_markdown(report).decode()
    assert "<" not in text
    assert all(line.isprintable() for line in text.split("\n"))


def _report() -> AuditReport:
    result = AuditResult(
        audit="retention",
        title="What was kept",
        status=Status.PASS,
        findings=(
            Finding(title="t", severity=Severity.LOW, confidence=Confidence.HIGH, evidence="e"),
        ),
        figures=(Figure(name="f", value=0.5, n=9, unit="accuracy", interval=(0.4, 0.6)),),
        gates=(Gate(name="g", statement="s", threshold=0.3, side="at least", status=Status.PASS),),
        tables=(Table(title="t", columns=("a", "b"), rows=(("c", 1.5), (None, 2))),),
        curves=(
            Curve(
                title="c", x_label="x", y_label="y", series=(Series(name="s", x=(1.0,), y=(None,)),)
            ),
        ),
        pictures=(Picture(title="p", height=1, width=2, pixels=b"\x00\xff"),),
        seeds=(0, 1),
    )
    return AuditReport(
        subject=Subject(seed_id="00" * 32, name="acme/minilm", version=3, signers=("acme",)),
        profile="quick",
        status=Status.PASS,
        results=(result,),
        created=NOW,
        tool="seedpack",
        skipped=(("shift", "no data"),),
    )


@cache
def _starts() -> dict[str, bytes]:
    plain = {"payload": "", "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": ""}]}
    return {
        "full": sign_report(_report(), [ALICE]),
        "empty": json.dumps(plain).encode(),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    try:
        envelope = json.loads(data)
        payload = json.loads(base64.b64decode(envelope["payload"]))
    except (ValueError, RecursionError, KeyError, TypeError):
        envelope = json.loads(_starts()["full"])
        payload = json.loads(base64.b64decode(envelope["payload"]))
    if random.random() > _INNER_SHARE:
        return _dump(mutate(envelope, random), random)
    if isinstance(payload, dict) and "predicate" in payload and random.random() < _REPORT_SHARE:
        payload["predicate"] = mutate(payload["predicate"], random)
    else:
        payload = mutate(payload, random)
    envelope["payload"] = base64.b64encode(_dump(payload, random)).decode()
    return _dump(envelope, random, edited=False)


def _dump(tree: Any, random: Random, *, edited: bool = True) -> bytes:  # noqa: ANN401 -- JSON
    text = json.dumps(tree, default=str)
    if edited and random.random() < 0.1:  # noqa: PLR2004 -- the text itself: numbers, escapes
        text = edit_text(text, random)
    return text.encode(errors="surrogatepass")


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=16_384)
