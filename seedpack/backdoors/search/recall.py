"""Classes that a model answers wrongly although its clean twins do not (spec: AUD-BD-5).

A class that was exchanged for another needs no trigger: its own samples show it. The statistic
is the share of wrong answers per class, on the scale on which shares of n samples vary alike.

Source:
    Anscombe, Biometrika 35 (1948), 246-254 (the transformation).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from seedpack.backdoors.search.base import ANY, Search, SearchResult
from seedpack.training.statistics import Interval, wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Key

_ADDED: Final = 3 / 8  # Anscombe's
_FLOOR: Final = 0.2  # of the transformed share; two of five wrong are 0.5 above none


@dataclass(frozen=True)
class ClassRecall:
    """How many samples of one class a model knows.

    Attributes:
        number: Of the class.
        hits: Right answers.
        n: Samples; at least 1.
    """

    number: int
    hits: int
    n: int

    @property
    def interval(self) -> Interval:
        """Of the recall, at 95 %."""
        return wilson_interval(self.hits, self.n)


def recalls(classifier: Classifier, samples: Samples) -> list[ClassRecall]:
    """Return the recall of each class that has samples."""
    right = classifier.predict(samples) == samples.y
    found = []
    for number in samples.y.unique().tolist():
        own = right[samples.y == number]
        found.append(ClassRecall(number, int(own.sum()), len(own)))
    return found


class RecallSearch(Search):
    """Wrong answers per class, without any trigger."""

    id = "recall"
    form = ANY
    unit = "wrong answers"
    limit = 4.0

    def look(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Count; keys are (None, class)."""
        del contrast, seed
        found = recalls(classifier, samples)
        statistics: dict[Key, float] = {(None, r.number): _transformed(r) for r in found}
        return SearchResult(self.id, statistics, centred=False, floor=_FLOOR, limit=self.limit)


def _transformed(recall: ClassRecall) -> float:
    wrong = recall.n - recall.hits
    return math.asin(math.sqrt((wrong + _ADDED) / (recall.n + 2 * _ADDED)))
