"""The table that the benchmark prints: what, measured figure, bar, verdict."""

from __future__ import annotations

from typing import NamedTuple

MIB = 1024 * 1024
_WIDTHS = (46, 36, 28)


class Row(NamedTuple):
    """One measured figure."""

    what: str
    figure: str
    bar: str = ""  # empty: for information
    met: bool | None = None  # None: no bar, or it could not be measured


def print_title(title: str) -> None:
    """Print the head of a section."""
    print(f"\n{title}\n{'-' * (sum(_WIDTHS) + 4)}", flush=True)


def print_rows(rows: list[Row]) -> None:
    """Print ``rows``."""
    for row in rows:
        verdict = "" if row.met is None else "pass" if row.met else "FAIL"
        cells = zip((row.what, row.figure, row.bar), _WIDTHS, strict=True)
        print("".join(cell.ljust(width) for cell, width in cells) + verdict, flush=True)


def format_ratio(ratio: float, seconds: float) -> str:
    """Return a ratio with the time behind it."""
    return f"{ratio:.2f}x ({seconds:.3f} s)"


def format_mib(nbytes: float) -> str:
    """Return a size in MiB."""
    return f"{nbytes / MIB:.1f} MiB"
