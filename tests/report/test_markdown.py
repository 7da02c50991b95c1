"""Markdown: no text from elsewhere is markup, a link, a cell or a line of its own."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.report import wording
from seedpack.report.markdown import escape, render_markdown
from tests.report.hostile import HOSTILE, hostile_report, with_texts
from tests.report.samples import sample_report

SAMPLE = sample_report()


def skeleton(text):
    """Return a page without what stands in place of texts: its lines and their cells."""
    return [re.sub(r"(?<!\\)\|", "\0", line).count("\0") for line in text.splitlines()]


def unescape(text):
    plain = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    return re.sub(r"\\([\\`*_\[\]|~#$^@:.])", r"\1", plain)


@pytest.mark.spec("RPT-10")
def test_hostile_texts_change_neither_lines_nor_cells():
    plain = render_markdown(with_texts(SAMPLE, lambda: "text")).decode()
    assert skeleton(render_markdown(hostile_report(SAMPLE)).decode()) == skeleton(plain)


@pytest.mark.spec("RPT-10")
def test_a_hostile_report_holds_no_html_and_no_link():
    text = render_markdown(hostile_report(SAMPLE)).decode()
    assert "<" not in text
    assert not re.search(r"(?<!\\):(?=//)|(?i:www)(?<!\\)\.", text)
    assert not re.search(r"(?<!\\)(?:\\\\)*[\[\]`]", text)


@pytest.mark.spec("RPT-10")
@given(st.text() | st.sampled_from(HOSTILE))
def test_an_escaped_text_reads_as_it_is_on_one_line(text):
    shown = escape(text)
    assert shown.isprintable()
    assert unescape(shown) == wording.visible(text)


@pytest.mark.spec("RPT-11")
def test_every_figure_stands_beside_n_seeds_interval_chance_and_control():
    text = render_markdown(SAMPLE).decode()
    row = "| assembled, 50 samples | 0.963 | 0.949 to 0.974 | 899 | 3 | accuracy | 0.100 | 0.831 |"
    assert row in text
    assert text.count("**FAIL**: 1 of 9 gates failed.") == 1
    assert "- **undecided**: corruption.50: 50 % of the chunks lost" in text
    assert "- **not run**: audit adversarial: needs --original MODEL" in text


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, wording.ABSENT),
        (0.0, "0"),
        (1.0, "1"),
        (-0.25, "\u22120.250"),
        (0.9634, "0.963"),
        (12.345, "12.3"),
        (1234, "1234"),
        (10_000, "10,000"),
        (1.5e6, "1,500,000"),
        (0.99962, "0.9996"),
        (0.9999999999, "1"),
        (-0.999998, "\u22120.999998"),
        (12345.6, "1.23e+04"),
        (0.00012, "0.00012"),
        (10**400, "1.8e+308"),
    ],
)
def test_numbers_have_as_many_digits_as_help(value, shown):
    assert wording.number(value) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.21, "0.2 s"), (59.9, "59.9 s"), (61.2, "1 min 1 s")]
)
def test_durations_read_as_people_say_them(seconds, shown):
    assert wording.duration(seconds) == shown


def test_a_time_that_no_calendar_has_is_shown_all_the_same():
    assert wording.moment(10**18) == "1000000000000000000 s since 1970"
    assert wording.moment(0) == "1970-01-01 00:00 UTC"
