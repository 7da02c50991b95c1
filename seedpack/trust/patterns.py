"""Patterns over seed names: ``*`` matches any run of characters, nothing else is special."""

from __future__ import annotations


def matches(pattern: str, name: str) -> bool:
    """Tell whether all of ``name`` is as ``pattern`` says.

    Cost:
        O(pattern * name): each piece between stars is taken where it first occurs, which
        leaves the most for those after it, so nothing is ever tried twice.
    """
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == name
    *middle, last = rest
    if not name.startswith(first):
        return False
    position = len(first)
    for piece in middle:
        found = name.find(piece, position)
        if found < 0:
            return False
        position = found + len(piece)
    return name.endswith(last) and len(name) - len(last) >= position
