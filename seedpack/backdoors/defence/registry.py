"""All methods, in the order in which equals are preferred."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.backdoors.defence.relearning import (
    FullRelearning,
    LabelsAlone,
    ReferenceRelearning,
    Relearning,
)
from seedpack.backdoors.defence.tuning import FeatureShift, FineTuning, FlatTuning
from seedpack.backdoors.defence.unlearning import HeadUnlearning, Unlearning
from seedpack.backdoors.defence.words import WordUnlearning

if TYPE_CHECKING:
    from seedpack.backdoors.defence.base import Defence

CONTROL: Final = FineTuning()  # of what a defence removes
UNTAUGHT: Final = LabelsAlone()  # of what it keeps
DEFENCES: Final[dict[str, Defence]] = {
    defence.id: defence
    for defence in (
        Relearning(),
        FullRelearning(),
        ReferenceRelearning(),
        HeadUnlearning(),
        Unlearning(),
        WordUnlearning(),
        FeatureShift(),
        FlatTuning(),
    )
}


def defences_for(form: str) -> list[Defence]:
    """Return the methods for inputs of that form."""
    return [defence for defence in DEFENCES.values() if form in defence.forms]
