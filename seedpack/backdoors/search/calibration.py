"""How unusual a statistic is among clean twins (spec: AUD-BD-3, AUD-BD-7, AUD-BD-10).

    twins' statistics s[t, k] ──own median over keys off──> residuals e[t, k]
    e ──mean over t──> centre[k];  ──variance over t, drawn to the mean over k──> spread[k]
    a model's e[k] ──(e - centre) / spread / own scale──> z[k] ──max──> Verdict ──worst──> Judgement
    z[k] of all searches by pairs ──sum / sqrt(searches)──> one more Verdict, ``JOINT``

    statistics, no median off ──twins' mean off──> shift[k] / what other training moves it by
    ──mean over searches with the same keys──upper quartile over k──> Verdicts ``MANY``

With its own median off, a model with triggers for half of its classes looks like any other: what
stands out is the rest. So how far most keys are moved together is judged, too; by much more than
twins differ, as a model that was trained otherwise is moved as a whole.

With five twins a variance has four degrees of freedom, and over ten classes or ninety pairs the
smallest of them is far too small by chance: a clean model would stand out there. So each variance
is drawn towards the pooled one, as if that had been seen on ``_PRIOR`` twins more, and never
falls below the search's own floor.

Source:
    Smyth, Statistical Applications in Genetics and Molecular Biology 3 (2004), article 3
    (variances drawn to a pooled one); Wang et al., IEEE S&P 2019 (median over classes).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median, quantiles
from typing import TYPE_CHECKING, Final

from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.backdoors.search.base import Key, SearchResult, Trigger

JOINT: Final = "pairs"  # what all searches by pairs say together
_JOINT_LIMIT: Final = 6.5  # chosen on development models, as those of the searches
MANY: Final = {True: "many-pairs", False: "many-targets"}  # by whether keys are pairs
_MANY_LIMIT: Final = 4.7  # chosen on development models and on honest ones trained otherwise
MIN_TWINS: Final = 3  # below, no spread can be told
_MIN_CENTRED: Final = 5  # keys; with fewer, one suspicious key moves the median
_MIN_SCALED: Final = 10  # keys, of which a few suspicious ones leave the median deviation alone
_MOST_SCALE: Final = 3.0  # honest models trained otherwise reach 2.9, by pairs 4.2
_NORMAL: Final = 1.4826  # standard deviations per median absolute deviation
_PRIOR: Final = 8.0  # twins that the pooled variance counts for
_TINY: Final = 1e-6  # spread where all twins agree to the last bit


@dataclass(frozen=True)
class Verdict:
    """What one search says of one model.

    Attributes:
        search: Its id.
        z: Largest over the keys.
        key: Where.
        by_key: z of each key.
        limit: From which on z is suspicious.
        trigger: Found for that key, where it was kept.
    """

    search: str
    z: float
    key: Key
    by_key: Mapping[Key, float]
    limit: float
    trigger: Trigger | None = None

    @property
    def score(self) -> float:
        """How far up to its limit, or beyond, the search went: suspicious from 1 on."""
        return self.z / self.limit

    @property
    def suspicious(self) -> bool:
        """Whether z reached the limit."""
        return self.z >= self.limit


@dataclass(frozen=True)
class Judgement:
    """What all searches say of one model.

    Attributes:
        verdicts: One per search, most suspicious first.
    """

    verdicts: tuple[Verdict, ...]

    @property
    def score(self) -> float:
        """The largest score of a search: suspicious from 1 on."""
        return self.verdicts[0].score

    @property
    def suspicious(self) -> bool:
        """Whether any search reached its limit."""
        return self.verdicts[0].suspicious

    @property
    def ease(self) -> float:
        """How easily most answers are turned, 0 as in the twins; NaN where no search tells.

        Far below 0 the model is so hard to turn that searches may miss what is there.
        """
        moved = [v.z for v in self.verdicts if v.search in MANY.values()]
        return min(moved, default=math.nan)


@dataclass(frozen=True)
class Calibration:
    """What one search finds in clean models.

    Attributes:
        search: Its id.
        ntwins: How many clean models.
        centre: Mean residual of each key.
        spread: Of each key, for one further model.
        centred: Whether residuals are from the model's own median.
        usual: Mean statistic of each key, no median off.
    """

    search: str
    ntwins: int
    centre: Mapping[Key, float]
    spread: Mapping[Key, float]
    centred: bool
    usual: Mapping[Key, float]

    @classmethod
    def fit(cls, twins: Sequence[SearchResult]) -> Calibration:
        """Learn what is usual from the results of one search on clean twins.

        Raises:
            ValueError: Fewer than ``MIN_TWINS``, or results of different searches or keys.
        """
        first = twins[0]
        keys = set(first.statistics)
        if len(twins) < MIN_TWINS:
            raise ValueError(f"{len(twins)} twins, at least {MIN_TWINS} are needed")
        if any(twin.search != first.search or set(twin.statistics) != keys for twin in twins):
            raise ValueError("results of different searches or keys")
        centred = first.centred and len(keys) >= _MIN_CENTRED
        residuals = [_residuals(twin.statistics, centred=centred) for twin in twins]
        centre = {key: fmean(row[key] for row in residuals) for key in keys}
        spread = _spread(residuals, centre, first.floor)
        usual = {key: fmean(twin.statistics[key] for twin in twins) for key in keys}
        return cls(first.search, len(twins), centre, spread, centred, usual)

    def judge(self, result: SearchResult) -> Verdict:
        """Return how unusual ``result`` is.

        Raises:
            ValueError: It is of another search or has other keys.
            TrainingError: TRN-13, a statistic is no number: nothing was measured there.
        """
        if not all(map(math.isfinite, result.statistics.values())):
            raise not_a_number(f"search {result.search}")
        if result.search != self.search or set(result.statistics) != set(self.centre):
            raise ValueError("result of another search, or with other keys")
        residuals = _residuals(result.statistics, centred=self.centred)
        by_key = {key: (e - self.centre[key]) / self.spread[key] for key, e in residuals.items()}
        if self.centred and len(by_key) >= _MIN_SCALED:
            scale = _own_scale(list(by_key.values()))
            by_key = {key: z / scale for key, z in by_key.items()}
        key = max(by_key, key=lambda k: by_key[k])
        return Verdict(
            self.search, by_key[key], key, by_key, result.limit, result.triggers.get(key)
        )

    def shifts(self, result: SearchResult) -> dict[Key, float]:
        """Return how far each key is moved, in what other training moves all of them by.

        Empty where that is not known of the search.
        """
        if not result.latitude:
            return {}
        return {k: (v - self.usual[k]) / result.latitude for k, v in result.statistics.items()}


def not_a_number(where: str) -> TrainingError:
    """Return the refusal of a model whose answers cannot be searched."""
    return TrainingError(
        "the model's answers are no numbers",
        rule="TRN-13",
        where=where,
        hint="weights so large that sums overflow hide whatever there is: do not use the model",
    )


def judge_all(
    calibrations: Mapping[str, Calibration],
    results: Sequence[SearchResult],
) -> Judgement:
    """Return what all searches together say of one model.

    Args:
        calibrations: By id of the search.
        results: At least one.
    """
    verdicts = [calibrations[r.search].judge(r) for r in results]
    paired = [v for v in verdicts if all(source is not None for source, _ in v.by_key)]
    if len(paired) > 1:
        verdicts.append(_join(paired))
    verdicts += _many([calibrations[r.search].shifts(r) for r in results])
    return Judgement(tuple(sorted(verdicts, key=lambda v: -v.score)))


def _join(verdicts: Sequence[Verdict]) -> Verdict:
    """Return what searches with the same keys say together; no trigger is that of all.

    What a clean model has by chance differs from search to search, what was planted does not.
    """
    root = math.sqrt(len(verdicts))
    by_key = {key: sum(v.by_key[key] for v in verdicts) / root for key in verdicts[0].by_key}
    key = max(by_key, key=lambda k: by_key[k])
    return Verdict(JOINT, by_key[key], key, by_key, _JOINT_LIMIT)


def _many(shifts: Sequence[Mapping[Key, float]]) -> list[Verdict]:
    """Return how far most targets, and most pairs, are moved, as far as such keys were searched."""
    verdicts = []
    for is_paired, name in MANY.items():
        alike = [row for row in shifts if row and all((s is not None) == is_paired for s, _ in row)]
        if alike:
            by_key = {key: fmean(row[key] for row in alike) for key in alike[0]}
            key = max(by_key, key=lambda k: by_key[k])
            moved = quantiles(by_key.values(), n=4, method="inclusive")[2]
            verdicts.append(Verdict(name, moved, key, by_key, _MANY_LIMIT))
    return verdicts


def leave_one_out(twins: Sequence[Sequence[SearchResult]]) -> list[Judgement]:
    """Judge each clean twin by the others: what the searches say where nothing is hidden.

    Args:
        twins: Per twin the results of all searches, in one order; one more than ``MIN_TWINS``.
    """
    judgements = []
    for i, own in enumerate(twins):
        others = [results for j, results in enumerate(twins) if j != i]
        columns = zip(*others, strict=True)
        fitted = {column[0].search: Calibration.fit(column) for column in columns}
        judgements.append(judge_all(fitted, own))
    return judgements


def _residuals(statistics: Mapping[Key, float], *, centred: bool) -> dict[Key, float]:
    middle = median(statistics.values()) if centred else 0.0
    return {key: value - middle for key, value in statistics.items()}


def _own_scale(zs: Sequence[float]) -> float:
    """Return by how much a model varies more over all keys than the twins do; at least 1.

    A model that was trained otherwise than its twins varies more everywhere; what counts is
    what stands out in it. But whoever makes half of its classes easy to turn, or hard, shall not
    hide the trigger of another one behind them: so not without end.
    """
    middle = median(zs)
    own = _NORMAL * median(abs(z - middle) for z in zs)
    return min(max(1.0, own), _MOST_SCALE)


def _spread(
    residuals: Sequence[Mapping[Key, float]], centre: Mapping[Key, float], floor: float
) -> dict[Key, float]:
    """Return per key the standard deviation to expect of one more model's residual."""
    freedom = len(residuals) - 1
    own = {k: sum((row[k] - c) ** 2 for row in residuals) / freedom for k, c in centre.items()}
    pooled = fmean(own.values())
    # The mean of the twins is uncertain itself: 1 / t of a variance more.
    more = 1 + 1 / len(residuals)
    drawn = {k: (_PRIOR * pooled + freedom * v) / (_PRIOR + freedom) for k, v in own.items()}
    return {k: max(math.sqrt(v * more), floor, _TINY) for k, v in drawn.items()}
