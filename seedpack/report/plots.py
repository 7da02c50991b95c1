"""A curve as a drawing without colours of its own: the page's style gives them (spec: RPT-10).

    Curve --matplotlib--> SVG --drawing.py--> SVG with classes, for light, dark and print

Titles and names of series stand beside the drawing as text; only labels of axes are in it.
"""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any, Final

from seedpack.report import wording
from seedpack.report.drawing import PAINTS, neutral_svg
from seedpack.report.packages import import_package

if TYPE_CHECKING:
    from seedpack.audits.results import Curve, Series

NSTYLES: Final = 6  # series beyond begin again; the markers of their names tell them apart
_MARKERS: Final = ("o", "s", "^", "D", "v", "P")
_SIZE_IN: Final = (5.6, 3.2)  # 403 x 230 units of the drawing
_WIDE_SPAN: Final = 100  # largest place over smallest from which the scale is logarithmic
_WIDEST_SPAN: Final = 1e9
_MAX_TICKS: Final = 9
_LARGEST: Final = 1e30
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
    # Not as a file of settings says that lies in the current folder, or is the user's.
    usual = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with warnings.catch_warnings(), matplotlib.rc_context():
        warnings.simplefilter("ignore")  # of letters that its font lacks, and of empty axes
        matplotlib.rcParams.update(usual | _SETTINGS)
        figure = figures.Figure(figsize=_SIZE_IN, layout="constrained")
        axes = figure.add_subplot()
        for index, series in enumerate(curve.series):
            _draw(axes, series, index % NSTYLES)
        if curve.chance is not None:
            axes.axhline(
                _drawable(curve.chance), color=PAINTS["chance"], linewidth=1.1, dashes=(1, 2)
            )
        _scale(axes, sorted({_drawable(x) for series in curve.series for x in series.x}))
        axes.set_xlabel(_label(curve.x_label))
        axes.set_ylabel(_label(curve.y_label))
        axes.margins(x=0.03)
        # a date or a version in the file would make the same report differ
        metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=metadata, transparent=True)
    return neutral_svg(buffer.getvalue().decode(), prefix)


def _scale(axes: Any, places: list[float]) -> None:  # noqa: ANN401 -- of matplotlib
    """Spread places that span orders of magnitude, such as numbers of samples, evenly."""
    positive = [x for x in places if x > 0]
    if not positive or places[0] < 0 or positive[-1] < _WIDE_SPAN * positive[0]:
        return
    if positive[-1] > _WIDEST_SPAN * positive[0]:
        return
    axes.set_xscale("symlog", linthresh=positive[0], linscale=0.6)
    axes.minorticks_off()
    if len(places) <= _MAX_TICKS:
        axes.set_xticks(places, [wording.number(x) for x in places])


def _draw(axes: Any, series: Series, index: int) -> None:  # noqa: ANN401 -- of matplotlib
    colour = PAINTS["control" if series.is_control else f"s{index}"]
    x, y = [list(map(_drawable, values)) for values in (series.x, series.y)]
    if series.low and series.high:
        low, high = map(_drawable, series.low), map(_drawable, series.high)
        axes.fill_between(x, list(low), list(high), color=colour, alpha=0.16, linewidth=0)
    axes.plot(
        x,
        y,
        color=colour,
        linewidth=1.8,
        linestyle=(0, (4, 2)) if series.is_control else "-",
        marker=_MARKERS[index],
        markersize=4.5,
        markeredgewidth=0,
    )


def _drawable(value: float | None) -> float:
    """Return a number that a scale can be computed from; the page's table has the exact one."""
    if value is None:
        return math.nan
    if abs(value) < 1 / _LARGEST:
        return 0.0
    return min(max(value, -_LARGEST), _LARGEST)


def _label(text: str) -> str:
    return wording.visible(text)[:80]
