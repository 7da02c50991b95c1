"""All searches of one form, calibrated on clean twins, as one detector.

clean twins ──each searched, the others left alone──> Calibrations, and each judged by the rest
a model ──the same searches, as many twins left alone──> Judgement
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedpack.backdoors.search.calibration import (
    MIN_TWINS,
    Calibration,
    Judgement,
    judge_all,
    leave_one_out,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search, SearchResult

    Watch = Callable[[int, int], None]


@dataclass(frozen=True)
class Detector:
    """Searches and what they find in clean models.

    Attributes:
        searches: Of one form.
        samples: Clean, the same for all models.
        contrast: Twins that triggers have to leave alone.
        calibrations: By id of the search.
        clean: Each twin judged by the others; empty with as few twins as a calibration takes.
        seed: Of the searches.
    """

    searches: tuple[Search, ...]
    samples: Samples
    contrast: tuple[Classifier, ...]
    calibrations: Mapping[str, Calibration]
    clean: tuple[Judgement, ...]
    seed: int

    @classmethod
    def fit(
        cls,
        searches: Sequence[Search],
        twins: Sequence[Classifier],
        samples: Samples,
        *,
        seed: int = 0,
        progress: Watch | None = None,
    ) -> Detector:
        """Calibrate on clean twins.

        Args:
            searches: Of the form of the samples.
            twins: At least ``MIN_TWINS``.
            samples: Clean.
            seed: Of the searches.
            progress: Called with twins done and twins in all.

        Raises:
            ValueError: Too few twins.
            TrainingError: TRN-8, samples that do not show two classes.
        """
        found = []
        for i, twin in enumerate(twins):
            # As many twins are left alone by each as by a model that is judged later.
            others = [*twins[i + 1 :], *twins[:i]]
            found.append(_search(searches, twin, samples, others, seed))
            if progress is not None:
                progress(i + 1, len(twins))
        fitted = {column[0].search: Calibration.fit(column) for column in zip(*found, strict=True)}
        limits = {search.id: search.limit for search in searches}
        clean = leave_one_out(found, limits) if len(twins) > MIN_TWINS else []
        return cls(tuple(searches), samples, tuple(twins[:-1]), fitted, tuple(clean), seed)

    def search(self, classifier: Classifier) -> list[SearchResult]:
        """Return what each search finds in ``classifier``."""
        return _search(self.searches, classifier, self.samples, self.contrast, self.seed)

    def judge(self, classifier: Classifier) -> Judgement:
        """Return how unusual ``classifier`` is among its clean twins."""
        limits = {search.id: search.limit for search in self.searches}
        return judge_all(self.calibrations, self.search(classifier), limits)


def _search(
    searches: Sequence[Search],
    classifier: Classifier,
    samples: Samples,
    contrast: Sequence[Classifier],
    seed: int,
) -> list[SearchResult]:
    return [s.run(classifier, samples, contrast=contrast, seed=seed) for s in searches]
