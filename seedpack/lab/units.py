"""The pieces of the benchmark's work, as data.

members of a family ──training, searching, defending──> Units: one method on one model each
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from seedpack.lab.zoo.members import TWIN, Member

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seedpack.lab.zoo.store import Record


class Unit(NamedTuple):
    """What is to be done.

    Attributes:
        task: Train the model, search it, or defend it.
        member: The model.
        method: Name of the search or defence.
        samples: Clean ones that the method gets, the same for all models of a part.
        twins: Clean models that the method may compare with.
    """

    task: Literal["train", "search", "defend"]
    member: Member
    method: str = ""
    samples: int = 0
    twins: tuple[Member, ...] = ()

    @property
    def name(self) -> str:
        """What its result is called."""
        name = f"{self.member.name}-{self.method}-{self.samples}"
        return f"{name}-{len(self.twins)}x{self.twins[0].samples}" if self.twins else name


def training(members: Iterable[Member]) -> list[Unit]:
    """Return one unit per model."""
    return [Unit("train", member) for member in members]


def searching(members: Sequence[Member], methods: Sequence[str], samples: int) -> list[Unit]:
    """Return one unit per model and search.

    Each model is compared with as many twins: a twin with the others, any other model with all
    but the last.
    """
    twins = tuple(member for member in members if member.kind == TWIN)
    return [
        Unit("search", member, method, samples, _others(member, twins))
        for method in methods
        for member in members
    ]


def _others(member: Member, twins: tuple[Member, ...]) -> tuple[Member, ...]:
    if member not in twins:
        return twins[:-1]
    i = twins.index(member)
    return twins[i + 1 :] + twins[:i]


def defending(
    records: Mapping[Member, Record],
    methods: Sequence[str],
    samples: int,
    least: float,
) -> list[Unit]:
    """Return one unit per defence and model whose backdoor succeeds often enough to count."""
    twins = tuple(member for member in records if member.kind == TWIN)
    return [
        Unit("defend", member, method, samples, twins)
        for member, record in records.items()
        if member.is_planted and record.asr >= least
        for method in methods
    ]
