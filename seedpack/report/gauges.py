"""Small drawings that are made here: a gate's interval beside its threshold, marks of a legend.

    Gate --scale--> svg.gauge: the right side shaded, the interval a bar, the threshold a line
    Series --> svg.swatch: the line and marker that the plot draws

They carry classes and numbers only; the words beside them say the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seedpack.audits.results import Gate

_WIDTH: Final = 140
_MARGIN: Final = 6
_PADDING: Final = 0.18  # of the range that is shown, on each side
_LARGEST: Final = 1e12  # what lies beyond is drawn at the end of the scale
_DOTS: Final = (
    '<circle cx="16" cy="6" r="3.2"/>',
    '<rect x="13" y="3" width="6" height="6"/>',
    '<path d="M16 2.2 19.6 9H12.4Z"/>',
    '<path d="M16 2 20 6 16 10 12 6Z"/>',
    '<path d="M16 9.8 19.6 3H12.4Z"/>',
    '<path d="M14.7 2.5h2.6v2.2h2.2v2.6h-2.2v2.2h-2.6V7.3h-2.2V4.7h2.2Z"/>',
)


def draw_gauge(gate: Gate) -> str:
    """Return a gate's interval, value and threshold on one scale, as an SVG element."""
    known = [gate.threshold, *(gate.interval or ()), *(() if gate.value is None else (gate.value,))]
    shown = [min(max(value, -_LARGEST), _LARGEST) for value in known]
    low, high = min(shown), max(shown)
    padding = _PADDING * (high - low) or abs(low) / 2 or 1.0
    low, high = low - padding, high + padding

    def place(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return float(round(_MARGIN + share * (_WIDTH - 2 * _MARGIN), 1))

    bar = place(gate.threshold)
    left, right = (bar, _WIDTH) if gate.side == "at least" else (0, bar)
    parts = [
        f'<rect class="gauge-side" x="{left}" y="3" width="{round(right - left, 1)}" height="16"/>',
        f'<path class="gauge-track" d="M0 11H{_WIDTH}"/>',
    ]
    if gate.interval is not None:
        start, end = map(place, gate.interval)
        length = max(round(end - start, 1), 2.0)
        parts.append(
            f'<rect class="gauge-bar" x="{start}" y="8" width="{length}" height="6" rx="1"/>'
        )
    if gate.value is not None:
        parts.append(f'<circle class="gauge-value" cx="{place(gate.value)}" cy="11" r="4"/>')
    parts.append(f'<path class="gauge-threshold" d="M{bar} 1V21"/>')
    return (
        f'<svg class="gauge gauge-{gate.status}" viewBox="0 0 {_WIDTH} 22" '
        f'preserveAspectRatio="xMinYMid" aria-hidden="true">{"".join(parts)}</svg>'
    )


def draw_swatch(index: int, *, is_control: bool) -> str:
    """Return the mark of a series in a legend, as an SVG element.

    Args:
        index: Of its style: below the number of dots.
        is_control: Drawn with dashes.
    """
    name = "control" if is_control else f"s{index}"
    dashes = ' stroke-dasharray="6 3"' if is_control else ""
    return (
        f'<svg class="swatch" viewBox="0 0 32 12" aria-hidden="true">'
        f'<path class="stroke-{name}" d="M0 6H32" stroke-width="2"{dashes}/>'
        f'<g class="fill-{name}">{_DOTS[index]}</g></svg>'
    )
