"""Backdoors that are known: planted in a clean twin, and what the searches find of them.

    clean twin ──plant_control──> Control ──searches, until one finds it──> Sought, kept by twins
    Sought ──Detector.judge_results──> found or not: the power of the searches (spec: AUD-BD-4)

No audited model has a part in it: of the next one on the same data nothing is planted again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack.audits import controls
from seedpack.audits.controls import count_controls, plant_control
from seedpack.audits.stamps import stamp
from seedpack.backdoors.planting.base import Hits
from seedpack.backdoors.planting.texts import TextAttack
from seedpack.backdoors.search.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.audits.twin_results import TwinResults
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.detector import Detector

_DIGITS: Final = 8


class Sought(msgspec.Struct, frozen=True, kw_only=True):
    """A planted backdoor, and what the searches found up to the first that found it.

    Attributes:
        kind: Of backdoor.
        target: Class that it leads to.
        rate: Share of the data that was poisoned.
        hits: How often it succeeds on the evaluation.
        before: The same in the twin as it was.
        found: By the searches that were run.
    """

    kind: str
    target: int
    rate: float
    hits: Hits
    before: Hits
    found: tuple[Statistics, ...]


class Ground(NamedTuple):
    """Where backdoors are planted, and beside what they are sought.

    Attributes:
        spare: A clean twin that calibrates nothing.
        twins: Those that the searches are calibrated on.
        train: What they learnt from.
        evaluation: Where success is measured.
        nplanted: Of each kind.
        seed: Of patterns, targets and training.
    """

    spare: Classifier
    twins: Sequence[Classifier]
    train: Samples
    evaluation: Samples
    nplanted: int
    seed: int

    @property
    def ncontrols(self) -> int:
        """How many are to be planted."""
        return count_controls(self.spare, self.train, self.nplanted)


def seek_control(
    ground: Ground, number: int, keep: TwinResults, detect: Callable[[], Detector]
) -> Sought | None:
    """Return what becomes of the backdoor of that number; None where it did not take.

    Args:
        ground: Where.
        number: Below ``ground.ncontrols``.
        keep: Of the same twins, searches and samples.
        detect: Returns the searches, calibrated; asked only where nothing is kept.
    """
    code = stamp(controls.__file__)[:_DIGITS]  # what is planted, and how
    kept = keep.keep(
        f"control-{ground.nplanted}-{number}-{code}",
        [ground.spare, *ground.twins],
        list[Sought],
        lambda found: len(found) <= 1 and all(_is_of(one, keep.ids) for one in found),
        lambda: _seek(ground, number, detect),
    )
    return kept[0] if kept else None


def _is_of(sought: Sought, ids: Sequence[str]) -> bool:
    """Whether a control was sought by some of these searches, and by no others."""
    return bool(sought.found) and {one.search for one in sought.found} <= set(ids)


def _seek(ground: Ground, number: int, detect: Callable[[], Detector]) -> list[Sought]:
    spare, _, train, evaluation, nplanted, seed = ground
    control = plant_control(spare, train, evaluation, nplanted, number, seed)
    if control is None:
        return []
    attack = control.attack
    found = detect().seek(
        control.classifier,
        attack.target,
        is_paired=bool(attack.sources),
        nwords=len(attack.tokens) if isinstance(attack, TextAttack) else 0,
    )
    return [
        Sought(
            kind=attack.id,
            target=attack.target,
            rate=control.rate,
            hits=control.hits,
            before=control.before,
            found=tuple(map(Statistics.of, found)),
        )
    ]
