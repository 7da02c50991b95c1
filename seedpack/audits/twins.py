"""Whether clean twins of a model can be had, beside which backdoors are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seedpack.audits.base import Context

_NO_CLASSES: Final = "the targets are numbers: nothing is turned"
_NO_TWINS: Final = (
    "clean twins of a large model cannot be trained from random weights here: give a clean model "
    "of the same architecture with --reference MODEL"
)


def lacks_twins(context: Context) -> str:
    """Return why there is nothing to compare with; empty if there is."""
    spec, split = context.spec, context.split
    if split is None or not split.labels:
        return _NO_CLASSES
    return "" if spec.factory or spec.reference or spec.base else _NO_TWINS
