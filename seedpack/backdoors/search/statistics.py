"""What is worth keeping of a search's result: its statistics, as data.

SearchResult ──of──> Statistics ──JSON──> Statistics ──result──> SearchResult without triggers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from seedpack.backdoors.search.base import SearchResult

if TYPE_CHECKING:
    from typing import Self

    from seedpack.backdoors.search.base import Key


class Statistics(msgspec.Struct, frozen=True, kw_only=True):
    """What a search found in a model, without the triggers.

    Attributes:
        search: Id of the search.
        statistics: (source or None, target, statistic).
        centred, floor, latitude, limit: As in ``SearchResult``.
    """

    search: str
    statistics: tuple[tuple[int | None, int, float], ...]
    centred: bool
    floor: float
    latitude: float
    limit: float

    @classmethod
    def of(cls, result: SearchResult, **more: object) -> Self:
        """Return those of ``result``, and with what a subclass has more."""
        return cls(
            search=result.search,
            statistics=tuple((s, t, float(v)) for (s, t), v in result.statistics.items()),
            centred=result.centred,
            floor=result.floor,
            latitude=result.latitude,
            limit=result.limit,
            **more,
        )

    def result(self) -> SearchResult:
        """Return it as a result without triggers."""
        statistics: dict[Key, float] = {(s, t): value for s, t, value in self.statistics}
        return SearchResult(
            self.search,
            statistics,
            centred=self.centred,
            floor=self.floor,
            latitude=self.latitude,
            limit=self.limit,
        )
