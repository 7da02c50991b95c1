"""What a person or a script sees: data on stdout, everything else on stderr.

Rules for messages: prefix ``seedpack:``, lower case, no period at the end, a hint
line that says what to do next. Text from a file is never interpreted as markup.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.errors import SeedError

SCHEMA: Final = 1  # of all JSON output; counted up when a key changes its meaning
_KEY_ID_DIGITS: Final = 64
_BAR_WIDTH: Final = 24
_BAR_INTERVAL_S: Final = 0.1
_REPORT_HINT: Final = "this is a bug; run again with --verbose and report what it prints"


class OutputFormat(StrEnum):
    """How data is printed."""

    TEXT = "text"
    JSON = "json"


class _Settings:
    """What the options before the command say."""

    quiet = False
    verbose = False
    output_format = OutputFormat.TEXT


settings: Final = _Settings()


def print_data(row: dict[str, Any], text: str) -> None:
    """Print one result: ``row`` as a line of JSON, or ``text``, as ``settings`` say."""
    if settings.output_format is OutputFormat.JSON:
        sys.stdout.write(json.dumps({"schema": SCHEMA, **row}) + "\n")
    else:
        sys.stdout.write(_plain_lines(text) + "\n")
    sys.stdout.flush()


def print_note(message: str) -> None:
    """Tell the user something that is not data."""
    if not settings.quiet:
        sys.stderr.write(f"seedpack: {_plain_lines(message)}\n")


def print_warning(message: str) -> None:
    """Tell the user something that must not be missed, even where quiet."""
    sys.stderr.write(f"{_paint('seedpack: warning:', '33')} {_plain_lines(message)}\n")


def print_refusal(error: SeedError) -> None:
    """Print why a file was refused, by which rule, where, and what to do next."""
    if settings.output_format is OutputFormat.JSON:
        row = {
            "result": "refused",
            "code": error.code,
            "rule": error.rule,
            "where": error.where,
            "message": error.message,
            "hint": error.hint,
        }
        sys.stdout.write(json.dumps({"schema": SCHEMA, **row}) + "\n")
    print_error(str(error), code=error.code, hint=error.hint)


def print_error(message: str, *, code: str = "", hint: str = "") -> None:
    """Print an error and its hint."""
    label = f"seedpack: error[{code}]:" if code else "seedpack: error:"
    sys.stderr.write(f"{_paint(label, '31')} {_plain(message)}\n")
    if hint:
        sys.stderr.write(f"  hint: {_plain(hint)}\n")


def print_unexpected(error: Exception) -> None:
    """Print an error that nobody foresaw."""
    if settings.verbose:
        traceback.print_exception(error)
    kind = type(error).__name__
    print_error(f"{kind}: {error}", code="SP000", hint="" if settings.verbose else _REPORT_HINT)


def progress_bar(label: str) -> Callable[[int, int], None] | None:
    """Return a function of done and total that draws a bar on a terminal; None elsewhere."""
    if settings.quiet or not sys.stderr.isatty():
        return None
    last = 0.0

    def draw(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < _BAR_INTERVAL_S and done < total:
            return
        last = now
        filled = _BAR_WIDTH * done // max(total, 1)
        bar = "#" * filled + "." * (_BAR_WIDTH - filled)
        end = "\r\x1b[K" if done >= total else ""
        sys.stderr.write(f"\r{_plain(label)} [{bar}] {100 * done // max(total, 1):3d} %{end}")
        sys.stderr.flush()

    return draw


def format_nbytes(nbytes: int) -> str:
    """Return a size as people read it."""
    size = float(nbytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":  # noqa: PLR2004 -- of a KiB
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    raise AssertionError


def shorten_key(name: str) -> str:
    """Return a principal's name; one that is a whole key id, as for ``--key``, is cut."""
    is_key_id = len(name) == _KEY_ID_DIGITS and all(c in "0123456789abcdef" for c in name)
    return f"key {name[:16]}" if is_key_id else name


def format_time(seconds: int) -> str:
    """Return a time as date and hour, UTC."""
    return time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime(seconds))


def _paint(text: str, colour: str) -> str:
    plain = os.environ.get("NO_COLOR") or not sys.stderr.isatty()
    return text if plain else f"\x1b[1;{colour}m{text}\x1b[0m"


def _plain_lines(text: str) -> str:
    """Return ``text`` as ``_plain`` does, line by line: names of files and data are others'."""
    return "\n".join(_plain(line) for line in text.split("\n"))


def _plain(text: str) -> str:
    """Return ``text`` without characters that a terminal would obey."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
