"""Names of parametrized cases that every tool can select again."""

from __future__ import annotations

import re


def plain_id(value: object) -> str:
    """Return the letters and digits of ``value``; pytest finds no id with a backslash again."""
    return re.sub(r"[^A-Za-z0-9_.]+", "-", ascii(value))[:30]
