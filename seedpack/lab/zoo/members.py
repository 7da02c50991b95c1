"""Which models the zoo has: a development part, and a sealed one that nothing is tuned on.

    part, family, numbers ──members──> Member (family, kind, seed), always the same ones

The sealed part (ZOO-4) is a list of random seeds. Nobody trains those models but the benchmark that
was told ``--part sealed``, and its figures count only for methods fixed before.
"""

from __future__ import annotations

from itertools import cycle
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.lab.zoo.families import Family

Part = Literal["development", "sealed"]

CLEAN: Final = "clean"
TWIN: Final = "twin"  # clean as well; calibrates and is never judged
_PLANTED: Final = "planted"
SEALED_FROM: Final = 100_000
_SEEDS: Final[dict[Part, dict[str, range]]] = {
    "development": {CLEAN: range(300), TWIN: range(300, 500), _PLANTED: range(500, 1_000)},
    "sealed": {
        CLEAN: range(SEALED_FROM, 100_300),
        TWIN: range(100_300, 100_500),
        _PLANTED: range(100_500, 101_000),
    },
}


class Member(NamedTuple):
    """One model of the zoo; everything about it follows from these."""

    family: str
    kind: str  # clean, twin, or what is planted
    seed: int
    samples: int = 0  # that it was trained on, as a consumer's twin is; 0: all there are

    @property
    def name(self) -> str:
        """What its files are called: ``patch-500``, ``twin-300-of-200``."""
        return f"{self.kind}-{self.seed}" + (f"-of-{self.samples}" if self.samples else "")

    @property
    def part(self) -> Part:
        """The part that it belongs to."""
        return "sealed" if self.seed >= SEALED_FROM else "development"

    @property
    def is_planted(self) -> bool:
        """Whether it has a backdoor."""
        return self.kind not in {CLEAN, TWIN}


def members(  # noqa: PLR0913 -- how many of each group, and which
    part: Part,
    family: Family,
    *,
    clean: int,
    planted: int,
    twins: int,
    twin_samples: int = 0,
    kinds: Sequence[str] | None = None,
) -> list[Member]:
    """Return the first models of a part: clean ones, planted ones by turns, and twins.

    Args:
        part: Development or sealed.
        family: Its kinds take turns.
        clean: How many clean models.
        planted: How many with a backdoor.
        twins: How many that calibrate.
        twin_samples: That each twin is trained on; 0: all.
        kinds: Of backdoors; the others' turns are passed over. None: all that take turns.

    Raises:
        ValueError: The part has not as many.
    """
    found = []
    for group, count in {CLEAN: clean, TWIN: twins, _PLANTED: planted}.items():
        turns = _turns(part, family, group, kinds)
        if not 0 <= count <= len(turns):
            raise ValueError(f"{count} {group} models; the {part} part has {len(turns)}")
        own = twin_samples if group == TWIN else 0
        found += [Member(family.id, kind, seed, own) for kind, seed in turns[:count]]
    return found


def _turns(
    part: Part, family: Family, group: str, kinds: Sequence[str] | None
) -> list[tuple[str, int]]:
    """Return kind and random seed of every model of a group."""
    seeds = _SEEDS[part][group]
    if group != _PLANTED:
        return [(group, seed) for seed in seeds]
    turns = [
        (kind, seed)
        for kind, seed in zip(cycle(family.kinds), seeds)
        if kinds is None or kind in kinds
    ]
    named = [kind for kind in family.named_kinds if kind in (kinds or ())]
    turns += [(kind, seed) for seed in seeds for kind in named]
    return sorted(turns, key=itemgetter(1))
