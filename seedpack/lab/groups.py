"""Which planted models are reported together."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Final

from seedpack.lab.rows import BELOW, FLIP, SOURCE_SPECIFIC, UNIVERSAL

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from seedpack.lab.zoo.members import Member
    from seedpack.lab.zoo.store import Record

ASR_COUNTS: Final = 0.5  # success rate from which on a planted backdoor counts (ZOO-5)
GROUPS: Final = (UNIVERSAL, SOURCE_SPECIFIC, FLIP, BELOW)


def group_of(record: Record) -> str:
    """Return the group of a planted model."""
    if record.asr < ASR_COUNTS:
        return BELOW
    if record.kind == FLIP:
        return FLIP
    return SOURCE_SPECIFIC if record.sources else UNIVERSAL


def grouped(records: Mapping[Member, Record]) -> dict[str, list[Member]]:
    """Return the planted models by group, those groups only that have any."""
    found: dict[str, list[Member]] = {group: [] for group in GROUPS}
    for member, record in records.items():
        if member.is_planted:
            found[group_of(record)].append(member)
    return {group: members for group, members in found.items() if members}


def mean(values: Iterable[float]) -> float:
    """Return the mean; 0 of nothing."""
    known = list(values)
    return fmean(known) if known else 0.0
