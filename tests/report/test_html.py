"""The page: shows everything, runs nothing, loads nothing, and lets no text be more than text."""

from __future__ import annotations

import base64
import functools
import hashlib
import re
import struct
import zlib
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.audits.results import (
    AuditReport,
    Confidence,
    Curve,
    Picture,
    Series,
    Severity,
    Status,
    Table,
)
from seedpack.report import wording
from seedpack.report.html import render_html
from seedpack.report.pictures import encode_png
from tests.report.hostile import HOSTILE, hostile_report, with_texts
from tests.report.samples import backdoor, retention, sample_report

ADDRESSES = {"href", "src", "action", "formaction", "data", "poster", "srcset", "xlink:href"}
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """A page as a browser takes it apart."""

    def __init__(self, page: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.attributes, self.open, self.style = [], [], [], ""
        self.pieces: list[str] = []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "style":
            self.style += data
        else:
            self.pieces.append(data)

    @property
    def text(self):
        return "".join(self.pieces)

    def values(self, name):
        return [value for _, key, value in self.attributes if key == name]


SAMPLE = sample_report()


@functools.cache
def sample_page():
    return Page(render_html(SAMPLE))


@functools.cache
def hostile_page():
    return Page(render_html(hostile_report(SAMPLE)))


@pytest.mark.spec("RPT-10")
@pytest.mark.parametrize("render", [sample_page, hostile_page])
def test_the_page_stands_alone_and_runs_nothing(render):
    page = render()
    assert not {"script", "iframe", "object", "embed", "link", "base", "form"} & set(page.tags)
    assert page.open == []
    assert page.tags.count("style") == 1
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        assert name not in {"style", "srcdoc", "ping"}
        if name in ADDRESSES:
            assert re.fullmatch(r"#[A-Za-z0-9_-]+|data:image/png;base64,[A-Za-z0-9+/=]+", value)
        if name in {"id", "class"}:
            assert re.fullmatch(r"[A-Za-z0-9_ -]*", value)
    assert "url(" not in page.style
    assert "@import" not in page.style


@pytest.mark.spec("RPT-10")
def test_hostile_texts_change_no_element_of_the_page():
    plain = with_texts(SAMPLE, lambda: "text")
    assert Page(render_html(plain)).tags == hostile_page().tags


@pytest.mark.spec("RPT-10")
@pytest.mark.parametrize("text", HOSTILE)
def test_a_hostile_text_is_shown_as_it_is_with_nothing_invisible(text):
    shown = wording.visible(text)
    assert shown in hostile_page().text
    assert shown.isprintable()
    assert all(c.isprintable() or c == "\n" for c in hostile_page().text)


@pytest.mark.spec("RPT-10")
def test_the_policy_allows_this_style_sheet_and_pictures_only():
    (policy,) = [v for v in sample_page().values("content") if "default-src" in v]
    digest = base64.b64encode(hashlib.sha256(sample_page().style.encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    assert sample_page().tags.index("meta") < sample_page().tags.index("style")


@pytest.mark.spec("RPT-10")
def test_ids_are_unique_and_every_link_leads_somewhere():
    ids = sample_page().values("id")
    assert len(set(ids)) == len(ids)
    places = [v for v in sample_page().values("href") if v.startswith("#")]
    labels = [v for name in ("aria-labelledby",) for v in sample_page().values(name)]
    clips = re.findall(r"url\(#([^)]+)\)", " ".join(sample_page().values("clip-path")))
    assert {p[1:] for p in places} | set(labels) | set(clips) <= set(ids)


@pytest.mark.spec("RPT-10")
@given(st.text(max_size=20), st.text(max_size=20))
def test_any_two_texts_that_differ_are_shown_differently(a, b):
    escaped = [re.sub(r"\\", r"\\\\", t) for t in (a, b)]
    assert (wording.visible(escaped[0]) == wording.visible(escaped[1])) == (a == b)


# ---------------------------------------------------------------- everything is shown


class Marks:
    """Gives every leaf of a report a value that occurs nowhere else."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.numbers: list[str] = []
        self.fields: set[tuple[str, str]] = set()

    def text(self) -> str:
        self.texts.append(f"mark-{len(self.texts)}-")
        return self.texts[-1]

    def number(self) -> float:
        value = 0.101 + len(self.numbers) / 1000
        self.numbers.append(f"{value:.3f}")
        return value

    def of(self, value, where=("", "")):
        if isinstance(value, msgspec.Struct):
            names = value.__struct_fields__
            kind = type(value).__name__
            fields = {n: self.of(getattr(value, n), (kind, n)) for n in names}
            return type(value)(**fields)
        self.fields.add(where)
        if where in {("AuditReport", "schema"), ("Gate", "side")}:
            return value
        if isinstance(value, tuple):
            return tuple(self.of(part, where) for part in value)
        if type(value) is str:
            return self.text()
        return self.number() if type(value) is float else value


def everything():
    """Return a report in which every field has a value."""
    line = Series(name="s", x=(1.0,), y=(1.0,), low=(1.0,), high=(1.0,), is_control=True)
    result = msgspec.structs.replace(
        backdoor(),
        reason="r",
        gates=(msgspec.structs.replace(backdoor().gates[0], reason="r"),),
        findings=backdoor().findings[:1],
        figures=(
            msgspec.structs.replace(
                retention().figures[0],
                value=1.0,
                interval=(1.0, 1.0),
                control_interval=(1.0, 1.0),
                note="n",
            ),
        ),
        tables=(Table(title="t", columns=("a", "b"), rows=(("c", 1.5),)),),
        curves=(Curve(title="t", x_label="x", y_label="y", series=(line,), chance=0.5),),
        pictures=(Picture(title="p", height=3, width=5, pixels=bytes(15)),),
        seeds=(4711, 4712),
        seconds=0.5,
    )
    return sample_report(results=(result,))


@pytest.mark.spec("RPT-11")
def test_every_field_of_a_report_is_shown():
    marks = Marks()
    report = marks.of(everything())
    results = tuple(msgspec.structs.replace(r, seconds=3.25) for r in report.results)
    text = Page(render_html(msgspec.structs.replace(report, results=results))).text
    missing = [m for m in marks.texts if m not in text]
    assert missing == []
    seconds = wording.number(report.results[0].seconds)
    assert [n for n in marks.numbers if n not in text and n != seconds] == []
    for shown in (
        "3.2 s",
        "4711, 4712",
        "at most",
        "5 \u00d7 3, grey",
        "confidence high",
        "critical",
    ):
        assert shown in text
    for part in (report, report.subject, *report.results):
        for name in part.__struct_fields__:
            value = getattr(part, name)
            if isinstance(value, msgspec.Struct) or (value and isinstance(value, tuple)):
                continue
            assert (type(part).__name__, name) in marks.fields


@pytest.mark.spec("RPT-11")
@pytest.mark.parametrize("field", ["verified", "original", "reference", "defended"])
def test_every_yes_or_no_of_the_subject_is_told(field):
    pages = [
        Page(
            render_html(
                sample_report(
                    results=(),
                    status=Status.UNDECIDED,
                    subject=msgspec.structs.replace(SAMPLE.subject, **{field: value}),
                )
            )
        ).text
        for value in (True, False)
    ]
    first, second = ([line for line in p.splitlines() if line.strip()][:-1] for p in pages)
    assert first[:-3] != second[:-3]


@pytest.mark.spec("RPT-11")
@pytest.mark.parametrize("status", list(Status))
def test_the_verdict_is_said_in_words(status):
    result = msgspec.structs.replace(retention(), status=Status.PASS)
    report = (
        sample_report(results=(result,), status=status)
        if status is Status.PASS
        else (
            sample_report(
                results=(msgspec.structs.replace(result, status=status, reason="why"),),
                status=status,
            )
        )
    )
    page = Page(render_html(report))
    assert page.values("class").count(f"verdict verdict-{status.value}") == 1
    assert page.text.split("acme/digits", 2)[2].split()[2] == status.value


@pytest.mark.spec("RPT-11")
@pytest.mark.parametrize("status", list(Status))
def test_no_form_claims_that_there_is_no_backdoor(status):
    from seedpack.report.markdown import render_markdown

    result = msgspec.structs.replace(retention(), status=status, reason="why")
    report = sample_report(results=(result,), status=status)
    for render in (render_html, render_markdown):
        text = render(report).decode().lower()
        assert not re.search(r"(no|free of|without|not? any) (hidden )?(backdoor|trigger)", text)
        assert not re.search(r"\b(safe|clean model|harmless)\b", text)


def test_a_seed_that_nobody_vouched_for_is_called_that():
    subject = msgspec.structs.replace(SAMPLE.subject, verified=False, signers=())
    text = Page(render_html(sample_report(subject=subject))).text
    assert "Not verified." in text
    assert "nobody was asked" in text


def test_the_same_report_gives_the_same_page():
    assert render_html(SAMPLE) == render_html(sample_report())


# As a file matplotlibrc in the current folder may say, which matplotlib reads first of all.
@pytest.mark.parametrize(
    ("name", "value"),
    [("xtick.labelsize", 40.0), ("text.usetex", True), ("axes.ymargin", 2.0)],
)
def test_settings_of_matplotlib_change_nothing_of_a_page(name, value):
    matplotlib = pytest.importorskip("matplotlib")
    usual = render_html(sample_report())
    with matplotlib.rc_context({name: value}):
        assert render_html(sample_report()) == usual
        assert matplotlib.rcParams[name] == value


@pytest.mark.parametrize("severity", list(Severity))
@pytest.mark.parametrize("confidence", list(Confidence))
def test_findings_have_their_severity_and_confidence_in_words(severity, confidence):
    finding = msgspec.structs.replace(
        backdoor().findings[0], severity=severity, confidence=confidence
    )
    shown = wording.all_findings(
        sample_report(results=(msgspec.structs.replace(backdoor(), findings=(finding,)),))
    )
    assert [(each.finding.severity, each.finding.confidence) for each in shown] == [
        (severity, confidence)
    ]


# ---------------------------------------------------------------- pictures and plots


@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]), st.randoms())
def test_a_picture_is_the_png_of_its_pixels(height, width, channels, random):
    pixels = random.randbytes(height * width * channels)
    png = encode_png(
        Picture(title="t", height=height, width=width, channels=channels, pixels=pixels)
    )
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, place = {}, 8
    while place < len(png):
        (nbytes,) = struct.unpack_from(">I", png, place)
        kind, data = png[place + 4 : place + 8], png[place + 8 : place + 8 + nbytes]
        assert struct.unpack_from(">I", png, place + 8 + nbytes)[0] == zlib.crc32(kind + data)
        chunks[kind], place = data, place + 12 + nbytes
    assert list(chunks) == [b"IHDR", b"IDAT", b"IEND"]
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"])[:4] == (
        *(width, height, 8),
        {1: 0, 3: 2}[channels],
    )
    rows = zlib.decompress(chunks[b"IDAT"])
    stride = width * channels
    assert b"".join(rows[i + 1 : i + 1 + stride] for i in range(0, len(rows), stride + 1)) == pixels


@pytest.mark.parametrize(
    "series",
    [
        (),
        (Series(name="empty", x=(), y=()),),
        (Series(name="one", x=(0.0,), y=(1.0,)),),
        (Series(name="undefined", x=(0.0, 1.0), y=(None, None), low=(None, 0), high=(1, None)),),
        tuple(Series(name=str(i), x=(0.0, 1.0), y=(0.0, i / 1.0)) for i in range(9)),
    ],
    ids=["none", "empty", "one", "undefined", "nine"],
)
def test_a_curve_of_any_shape_is_drawn(series):
    curve = Curve(title="t", x_label="x", y_label="$y$", series=series)
    result = msgspec.structs.replace(retention(), curves=(curve,))
    page = Page(render_html(sample_report(results=(result,), status=result.status)))
    assert "$y$" in page.text


EXTREMES = (1.7e308, -1.7e308, 0.0, 5e-324, 1e-30, 1e9)


@pytest.mark.parametrize("places", [EXTREMES[:3], EXTREMES[3:], EXTREMES[::2], (0.0, 1.0, 1e9)])
def test_numbers_of_any_size_are_drawn(places):
    line = Series(name="s", x=places, y=(*EXTREMES[:2], None), low=places, high=places)
    gate = msgspec.structs.replace(
        retention().gates[0], value=places[0], threshold=places[1], interval=(places[2], places[1])
    )
    labels = {"x_label": "\u4e2d\u6587 \u0639", "y_label": "y"}
    curve = Curve(title="t", series=(line,), chance=-1.7e308, **labels)
    result = msgspec.structs.replace(retention(), curves=(curve,), gates=(gate,))
    page = Page(render_html(sample_report(results=(result,), status=result.status)))
    assert page.tags.count("svg") > 3
    assert "nan" not in " ".join(page.values("d") + page.values("x") + page.values("cx"))


def test_a_gate_that_could_not_be_measured_shows_its_threshold_and_reason():
    unmeasured = {"value": None, "interval": None, "status": Status.UNDECIDED, "reason": "no data"}
    gate = msgspec.structs.replace(retention().gates[0], **unmeasured)
    result = msgspec.structs.replace(retention(), gates=(gate,), status=Status.UNDECIDED)
    page = Page(render_html(sample_report(results=(result,), status=Status.UNDECIDED)))
    assert page.values("class").count("gauge-threshold") == 2
    assert not {"gauge-bar", "gauge-value"} & set(page.values("class"))
    assert "no data" in page.text


def test_a_report_without_anything_is_a_page():
    report = sample_report(results=(), status=Status.UNDECIDED, skipped=())
    assert isinstance(report, AuditReport)
    assert "No gate was declared." in Page(render_html(report)).text
