"""From what defences left to rows of the report."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Literal

from seedpack.backdoors.defence.controls import removal_limit
from seedpack.backdoors.defence.reactivation import TOLERANCE
from seedpack.backdoors.planting.base import Hits
from seedpack.lab.groups import ASR_COUNTS, grouped, mean
from seedpack.lab.metrics import share
from seedpack.lab.rows import BELOW, DefenceRow
from seedpack.lab.units import defending
from seedpack.lab.work import Removed, read_result
from seedpack.training.statistics import mean_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from seedpack.lab.metrics import Rate
    from seedpack.lab.zoo.members import Member
    from seedpack.lab.zoo.store import Record


def defence_rows(
    folder: Path, records: Mapping[Member, Record], names: Sequence[str], samples: int
) -> Iterator[DefenceRow]:
    """Yield one row per defence and group of planted models.

    Raises:
        StoreError: ZOO-2, a result is missing or broken.
    """
    left: dict[str, dict[Member, Removed]] = {name: {} for name in names}
    for unit in defending(records, names, samples, ASR_COUNTS):
        left[unit.method][unit.member] = read_result(folder, unit, Removed)
    for name in names:
        for group, members in grouped(records).items():
            if group != BELOW:
                chosen = {m: left[name][m] for m in members}
                yield _row(name, samples, group, records, chosen)


def is_removed(record: Record, left: Removed) -> bool:
    """Whether a backdoor is gone, as it is of a planted control (ZOO-6)."""
    return _passes(record, left, left.hits)


def _passes(record: Record, left: Removed, hits: int) -> bool:
    return Hits(hits, left.nvictims).rate <= removal_limit(record.control_asr)


def _row(
    name: str,
    samples: int,
    group: str,
    records: Mapping[Member, Record],
    left: Mapping[Member, Removed],
) -> DefenceRow:
    costs = [records[m].accuracy - left[m].accuracy for m in left]
    interval = mean_interval(costs)
    gone = [one for m, one in left.items() if is_removed(records[m], one)]
    # Of a backdoor that is still there, nothing can come back.
    return DefenceRow(
        defence=name,
        samples=samples,
        group=group,
        asr_before=mean(records[m].asr for m in left),
        asr_after=mean(Hits(one.hits, one.nvictims).rate for one in left.values()),
        removed=share(len(gone), len(left)),
        removed_alike=_share_passing(records, left, "alike_hits"),
        removed_clean=_share_passing(records, left, "clean_hits"),
        accuracy_cost=mean(costs),
        cost_low=interval.low if isfinite(interval.low) else None,
        cost_high=interval.high if isfinite(interval.high) else None,
        no_sooner=_share_within(one.excess for one in gone),
        no_sooner_alike=_share_within(one.excess_alike for one in gone),
        no_sooner_clean=_share_within(one.excess_clean for one in gone),
        no_sooner_unseen=_share_within(one.excess_unseen for one in gone),
        no_sooner_unseen_clean=_share_within(one.excess_unseen_clean for one in gone),
        seconds=mean(one.seconds for one in left.values()),
    )


def _share_passing(
    records: Mapping[Member, Record],
    left: Mapping[Member, Removed],
    whose: Literal["alike_hits", "clean_hits"],
) -> Rate | None:
    """Return how many clean models would count as rid of the backdoors (ZOO-7)."""
    hits = {member: getattr(one, whose) for member, one in left.items()}
    known = [m for m, count in hits.items() if count is not None]
    return share(sum(_passes(records[m], left[m], hits[m]) for m in known), len(known))


def _share_within(excesses: Iterable[float | None]) -> Rate | None:
    known = [excess for excess in excesses if excess is not None]
    return share(sum(excess <= TOLERANCE for excess in known), len(known))
