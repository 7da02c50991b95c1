"""Searches and defences by name, as the benchmark calls them.

    recall      the share of each class that is missed: finds classes answered as another
    fine-tune   plain tuning on the clean samples: removes next to nothing, the control arm

Further methods register here: one line each.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import torch

from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.search.base import Search, SearchResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Key

    # A suspect (left alone), clean samples, a random seed -> a defended copy.
    Defend = Callable[[Classifier, Samples, int], Classifier]

_T = TypeVar("_T")
_TUNING: Final = Course(epochs=20, rate=1e-3)


class Recall(Search):
    """Looks for classes that are answered as another."""

    id: ClassVar[str] = "recall"
    form: ClassVar[str] = "any"
    limit: ClassVar[float] = 6.0
    unit: ClassVar[str] = "share"

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Return for each class the share of its samples that are missed."""
        del contrast, seed
        wrong = (classifier.predict(samples) != samples.y).float()
        missed: dict[Key, float] = {
            (None, c): float(wrong[samples.y == c].mean()) if bool((samples.y == c).any()) else 0.0
            for c in range(classifier.nclasses)
        }
        # Of few samples, one that is missed by chance says nothing.
        return SearchResult(self.id, missed, centred=False, floor=1 / _per_class(samples))


def _per_class(samples: Samples) -> float:
    return len(samples) / len(torch.unique(samples.y))


def fine_tune(classifier: Classifier, samples: Samples, seed: int) -> Classifier:
    """Return a copy tuned on the clean samples."""
    tuned = classifier.clone()
    fit(tuned, samples, _TUNING, seed)
    return tuned


SEARCHES: Final[dict[str, Search]] = {search.id: search for search in (Recall(),)}
DEFENCES: Final[dict[str, Defend]] = {"fine-tune": fine_tune}


def get_search(name: str) -> Search:
    """Return a search.

    Raises:
        ValueError: There is none of that name.
    """
    return _get(SEARCHES, name, "detector")


def get_defence(name: str) -> Defend:
    """Return a defence.

    Raises:
        ValueError: There is none of that name.
    """
    return _get(DEFENCES, name, "defence")


def _get(methods: dict[str, _T], name: str, what: str) -> _T:
    if name not in methods:
        raise ValueError(f"no {what} {name[:40]!a}; one of {', '.join(methods)}")
    return methods[name]
