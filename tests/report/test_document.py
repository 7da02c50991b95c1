"""The report as data: strict, whole, and of one mind with itself."""

from __future__ import annotations

import json
import math
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.audits.results import AuditReport, Picture, Status
from seedpack.errors import AuditError, FormatError
from seedpack.limits import MAX_REPORT_NBYTES
from seedpack.report.document import decode_report, encode_report, report_schema
from tests.ids import plain_id
from tests.refusals import refused_by
from tests.report.samples import corruption, retention, sample_report

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = sample_report()
PLAIN = json.loads(encode_report(SAMPLE))


def with_result(**changes):
    """Return the sample with one audit, changed."""
    result = msgspec.structs.replace(retention(), **changes)
    return sample_report(results=(result,), status=result.status)


def texts(plain):
    return json.dumps(plain).encode()


@pytest.mark.spec("RPT-1")
def test_decoding_inverts_encoding():
    assert decode_report(encode_report(SAMPLE)) == SAMPLE


@pytest.mark.spec("RPT-1")
@given(st.text(), st.floats(allow_nan=False, allow_infinity=False), st.binary(max_size=12))
def test_any_text_and_finite_number_survives(text, value, pixels):
    picture = Picture(title=text, height=1, width=max(len(pixels), 1), pixels=pixels or b"\0")
    report = with_result(title=text, seconds=value, pictures=(picture,))
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate is no text in UTF-8
        return
    assert decode_report(encode_report(report)) == report


@pytest.mark.spec("RPT-1")
def test_the_published_schema_is_current():
    published = (ROOT / "spec" / "audits" / "report.schema.json").read_bytes()
    assert published == report_schema()


@pytest.mark.spec("RPT-1")
def test_the_schema_asks_for_every_field_and_allows_no_other():
    for name, record in json.loads(report_schema())["$defs"].items():
        if "properties" in record:
            assert sorted(record["properties"]) == record["required"], name
            assert record["additionalProperties"] is False, name


@pytest.mark.spec("RPT-1")
@pytest.mark.parametrize("field", sorted(PLAIN))
def test_an_absent_field_is_refused(field):
    with refused_by(FormatError, "RPT-1"):
        decode_report(texts({k: v for k, v in PLAIN.items() if k != field}))


@pytest.mark.spec("RPT-1")
@pytest.mark.parametrize(
    "text",
    [
        texts(PLAIN | {"extra": 1}),
        texts(PLAIN | {"subject": PLAIN["subject"] | {"extra": 1}}),
        texts(PLAIN | {"schema": 2}),
        texts(PLAIN | {"created": True}),
        texts(PLAIN | {"created": 1.5}),
        texts(PLAIN | {"status": "passed"}),
        texts(PLAIN)[:-1] + b', "profile": "deep"}',
        texts(PLAIN).replace(b'"name": "acme/digits"', b'"name": "x", "name": "acme/digits"'),
        texts(PLAIN).replace(b'"seconds": 11.4', b'"seconds": NaN'),
        texts(PLAIN).replace(b'"seconds": 11.4', b'"seconds": 1e999'),
        texts(PLAIN) + b" 1",
        texts(PLAIN)[:-1],
        b"",
        b"\xff",
        b"[" * 100_000,
    ],
    ids=plain_id,
)
def test_what_is_not_exactly_a_report_is_refused(text):
    with refused_by(FormatError, "RPT-1"):
        decode_report(text)


@pytest.mark.spec("RPT-1")
@given(st.binary() | st.recursive(st.none() | st.text(), st.lists).map(texts))
def test_any_bytes_give_a_report_or_a_refusal(data):
    with pytest.raises(FormatError):
        decode_report(data)


@pytest.mark.spec("RPT-1")
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_none_is_not_written(value):
    with refused_by(AuditError, "RPT-1"):
        encode_report(with_result(seconds=value))
    with refused_by(AuditError, "RPT-1"):
        figures = (msgspec.structs.replace(retention().figures[0], chance=value),)
        encode_report(with_result(figures=figures))


@pytest.mark.spec("RPT-1")
def test_a_report_that_no_reader_would_read_is_not_written():
    huge = with_result(searched="x" * MAX_REPORT_NBYTES)
    with refused_by(AuditError, "RPT-1"):
        encode_report(huge)
    with refused_by(FormatError, "RPT-1"):
        decode_report(msgspec.json.encode(huge))


def contradictory():
    line = corruption().curves[0].series[0]
    table = {"title": "t", "columns": ("a", "b"), "rows": ((1,),)}
    return {
        "better than its audits": sample_report(status=Status.PASS),
        "worse than its audits": sample_report(results=(retention(),), status=Status.FAIL),
        "passed without an audit": sample_report(results=(), status=Status.PASS),
        "better than its gates": sample_report(
            results=(msgspec.structs.replace(corruption(), status=Status.PASS),),
            status=Status.PASS,
        ),
        "a short row": with_result(tables=(msgspec.convert(table, _table()),)),
        "a value without a place": with_result(
            curves=(
                msgspec.structs.replace(
                    corruption().curves[0], series=(msgspec.structs.replace(line, x=(1.0,)),)
                ),
            )
        ),
        "a bound without a place": with_result(
            curves=(
                msgspec.structs.replace(
                    corruption().curves[0], series=(msgspec.structs.replace(line, high=(1.0,)),)
                ),
            )
        ),
        "too few pixels": with_result(
            pictures=(Picture(title="t", height=2, width=2, pixels=b"abc"),)
        ),
        "no height": with_result(pictures=(Picture(title="t", height=0, width=2, pixels=b""),)),
        "two channels": with_result(
            pictures=(Picture(title="t", height=1, width=1, pixels=b"ab", channels=2),)
        ),
        "a negative size": with_result(
            pictures=(Picture(title="t", height=-1, width=-2, pixels=b"ab"),)
        ),
    }


def _table():
    from seedpack.audits.results import Table

    return Table


@pytest.mark.spec("RPT-8")
@pytest.mark.parametrize("kind", sorted(contradictory()))
def test_a_report_that_contradicts_itself_is_neither_written_nor_read(kind):
    report = contradictory()[kind]
    with refused_by(AuditError, "RPT-8"):
        encode_report(report)
    with refused_by(FormatError, "RPT-8"):
        decode_report(msgspec.json.encode(report))


@pytest.mark.spec("RPT-8")
def test_an_audit_may_be_worse_than_its_gates():
    result = msgspec.structs.replace(retention(), status=Status.UNDECIDED, reason="one seed")
    report = sample_report(results=(result,), status=Status.UNDECIDED)
    assert decode_report(encode_report(report)) == report
    assert isinstance(report, AuditReport)
