"""A curve as a drawing without colours of its own: the page's style gives them (spec: RPT-10).

    Curve --matplotlib--> SVG --drawing.py--> SVG with classes, for light, dark and print

Titles and names of series stand beside the drawing as text; only labels of axes are in it.
"""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, Final

from seedpack.report import wording
from seedpack.report.drawing import PAINTS, neutral_svg
from seedpack.report.packages import import_package

if TYPE_CHECKING:
    from seedpack.audits.results import Curve, Series

NSTYLES: Final = 6  # series beyond begin again; the markers of their names tell them apart
_MARKERS: Final = ("o", "s", "^", "D", "v", "P")
_SIZE_IN: Final = (5.6, 3.2)  # 403 x 230 units of the drawing
_SETTINGS: Final = {
    "axes.axisbelow": True,
    "axes.edgecolor": PAINTS["axis"],
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": PAINTS["muted"],
    "axes.labelsize": 10.5,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.unicode_minus": True,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same layout everywhere
    "font.size": 10.0,
    "grid.color": PAINTS["grid"],
    "grid.linewidth": 0.8,
    "svg.fonttype": "none",
    "svg.hashsalt": "seedpack",
    "text.parse_math": False,  # a dollar sign in a label is a dollar sign
    "xtick.color": PAINTS["muted"],
    "ytick.color": PAINTS["muted"],
    "ytick.major.size": 0,
}


def plot_curve(curve: Curve, *, prefix: str) -> str:
    """Return ``curve`` as an SVG element that carries neither colours nor styles.

    Args:
        curve: Finite numbers.
        prefix: Makes ids unique in the page; letters and digits.

    Raises:
        AuditError: RPT-13, matplotlib is not installed.
    """
    matplotlib = import_package("matplotlib")
    figures = import_package("matplotlib.figure")
    buffer = io.BytesIO()
    with matplotlib.rc_context(_SETTINGS):
        figure = figures.Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        for index, series in enumerate(curve.series):
            _draw(axes, series, index % NSTYLES)
        if curve.chance is not None:
            axes.axhline(curve.chance, color=PAINTS["chance"], linewidth=1.1, dashes=(1, 2))
        axes.set_xlabel(_label(curve.x_label))
        axes.set_ylabel(_label(curve.y_label))
        axes.margins(x=0.03)
        # a date or a version in the file would make the same report differ
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    return neutral_svg(buffer.getvalue().decode(), prefix)


def _draw(axes: Any, series: Series, index: int) -> None:  # noqa: ANN401 -- of matplotlib
    colour = PAINTS["control" if series.is_control else f"s{index}"]
    y = [math.nan if value is None else value for value in series.y]
    if series.low and series.high:
        bounds = [_bound(v) for v in series.low], [_bound(v) for v in series.high]
        axes.fill_between(series.x, *bounds, color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        series.x,
        y,
        color=colour,
        linewidth=1.8,
        linestyle=(0, (4, 2)) if series.is_control else "-",
        marker=_MARKERS[index],
        markersize=4.5,
        markeredgewidth=0,
    )


def _bound(value: float | None) -> float:
    return math.nan if value is None or math.isinf(value) else value


def _label(text: str) -> str:
    return wording.visible(text)[:80]
