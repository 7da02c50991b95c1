"""From what defences left to rows of the report."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from seedpack.backdoors.defence.controls import removal_limit
from seedpack.backdoors.defence.reactivation import TOLERANCE
from seedpack.lab.groups import ASR_COUNTS, grouped, mean
from seedpack.lab.metrics import mean_over, share
from seedpack.lab.rows import BELOW, DefenceRow
from seedpack.lab.units import defending
from seedpack.lab.work import Removed, read_result

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from seedpack.lab.effects import Effect
    from seedpack.lab.metrics import Mean, Rate
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
    """Whether a backdoor succeeds no more than in its clean twin (ZOO-6)."""
    return _passes(record, left.trigger)


def _passes(record: Record, trigger: Effect) -> bool:
    return trigger.rate <= removal_limit(record.control_asr)


def _row(
    name: str,
    samples: int,
    group: str,
    records: Mapping[Member, Record],
    left: Mapping[Member, Removed],
) -> DefenceRow:
    gone = [one for m, one in left.items() if is_removed(records[m], one)]
    # Of a backdoor that is still there, nothing can come back.
    return DefenceRow(
        defence=name,
        samples=samples,
        group=group,
        asr_before=mean(records[m].asr for m in left),
        asr_after=mean(one.trigger.rate for one in left.values()),
        removed=share(len(gone), len(left)),
        removed_alike=_share_passing(records, left, "trigger_alike"),
        removed_clean=_share_passing(records, left, "trigger_clean"),
        effect=mean_over([one.trigger.value for one in left.values()]),
        effect_above=_effect_above(left.values(), "trigger"),
        effect_above_alike=_effect_above(left.values(), "trigger_alike"),
        effect_above_clean=_effect_above(left.values(), "trigger_clean"),
        accuracy_cost=mean_over([records[m].accuracy - left[m].accuracy for m in left]),
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
    whose: Literal["trigger_alike", "trigger_clean"],
) -> Rate | None:
    """Return how many clean models would count as rid of the backdoors (ZOO-7)."""
    triggers = {member: getattr(one, whose) for member, one in left.items()}
    passing = [_passes(records[m], trigger) for m, trigger in triggers.items() if trigger]
    return share(sum(passing), len(passing))


def _effect_above(
    left: Iterable[Removed], whose: Literal["trigger", "trigger_alike", "trigger_clean"]
) -> Mean | None:
    """Return how much more the triggers do than to clean twins (ZOO-9)."""
    pairs = [(getattr(one, whose), one.trigger_twins) for one in left if one.trigger_twins]
    return mean_over(
        [effect.value - mean(twin.value for twin in twins) for effect, twins in pairs if effect]
    )


def _share_within(excesses: Iterable[float | None]) -> Rate | None:
    known = [excess for excess in excesses if excess is not None]
    return share(sum(excess <= TOLERANCE for excess in known), len(known))
