"""``report.html``: one page that stands alone, runs nothing and loads nothing (spec: RPT-10).

    AuditReport --sections: plots, pictures--> templates/report.html --autoescape--> page

The page's own policy (CSP) allows the one style sheet in it, by digest, and pictures in
``data:`` addresses. Names, tokens and every other text come from elsewhere: jinja2 escapes each,
and no text is ever part of an id, an address, a class or a style.
"""

from __future__ import annotations

import base64
import hashlib
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from seedpack.report import wording
from seedpack.report.document import encode_report
from seedpack.report.gauges import draw_gauge, draw_swatch
from seedpack.report.packages import import_package
from seedpack.report.pictures import data_address
from seedpack.report.plots import NSTYLES, plot_curve

if TYPE_CHECKING:
    from seedpack.audits.results import AuditReport, AuditResult, Curve, Picture, Series, Table

_PAGE: Final = "report.html"
_STYLE: Final = "report.css"


class _Mark(NamedTuple):
    series: Series
    swatch: str


class _Plot(NamedTuple):
    curve: Curve
    drawing: str
    marks: tuple[_Mark, ...]
    numbers: Table


class _Shown(NamedTuple):
    picture: Picture
    address: str


class _Section(NamedTuple):
    id: str  # never a name from the report
    result: AuditResult
    plots: tuple[_Plot, ...]
    pictures: tuple[_Shown, ...]


def render_html(report: AuditReport) -> bytes:
    """Return the report as one HTML page.

    Raises:
        AuditError: RPT-13, jinja2 or matplotlib is not installed.
    """
    environment = _environment()
    safe = import_package("markupsafe").Markup
    style = _read(_STYLE)
    page = environment.get_template(_PAGE).render(
        report=report,
        sections=[_section(i, result, safe) for i, result in enumerate(report.results, 1)],
        digest=hashlib.sha256(encode_report(report)).hexdigest(),
        style=safe(style),
        policy=_policy(style),
        gauge=lambda gate: safe(draw_gauge(gate)),
        w=wording,
    )
    return str(page).encode()


def _environment() -> Any:  # noqa: ANN401 -- of jinja2
    jinja2 = import_package("jinja2")
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        finalize=_finalize,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _finalize(value: object) -> object:
    """Return what an expression of the page shows: text in which nothing is invisible."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return wording.visible(value)
    return value


def _section(number: int, result: AuditResult, safe: Any) -> _Section:  # noqa: ANN401 -- a type
    plots = (_plot(f"p{number}-{i}", curve, safe) for i, curve in enumerate(result.curves, 1))
    pictures = (_Shown(picture, data_address(picture)) for picture in result.pictures)
    return _Section(f"audit-{number}", result, tuple(plots), tuple(pictures))


def _plot(prefix: str, curve: Curve, safe: Any) -> _Plot:  # noqa: ANN401 -- a type
    marks = (
        _Mark(series, safe(draw_swatch(i % NSTYLES, is_control=series.is_control)))
        for i, series in enumerate(curve.series)
    )
    drawing = safe(plot_curve(curve, prefix=prefix))
    return _Plot(curve, drawing, tuple(marks), wording.curve_table(curve))


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _read(name: str) -> str:
    return resources.files("seedpack.report").joinpath("templates", name).read_text("utf-8")
