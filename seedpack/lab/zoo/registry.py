"""The families by name."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

from seedpack.lab.zoo.images import IMAGE_FAMILIES, ImageFamily

if TYPE_CHECKING:
    from seedpack.lab.zoo.families import Family

FAMILIES: Final = IMAGE_FAMILIES


@cache
def open_family(name: str) -> Family:
    """Return a family.

    Raises:
        ValueError: There is none of that name.
    """
    if name not in IMAGE_FAMILIES:
        raise ValueError(f"no family {name[:40]!a}; one of {', '.join(FAMILIES)}")
    return ImageFamily(name)
