"""All searches of one form, calibrated on clean twins, as one detector.

clean twins ──each searched, the others left alone──> Calibrations, and each judged by the rest
            ──kept from an earlier time, where ``keep`` has them──┘
a model ──the same searches, as many twins left alone──> Judgement
a model with a known trigger ──one search after the other, until it is found──> results
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from seedpack.backdoors.search.calibration import (
    MIN_TWINS,
    Calibration,
    Judgement,
    judge_all,
    leave_one_out,
)
from seedpack.backdoors.search.levels import level

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search, SearchResult

    Watch = Callable[[int, int], None]
    # Twins, the first of which is searched and the others left alone; how to search it.
    Keep = Callable[
        [Sequence[Classifier], Callable[[], list[SearchResult]]], Sequence[SearchResult]
    ]


@dataclass(frozen=True)
class Detector:
    """Searches and what they find in clean models.

    Attributes:
        searches: Of one form.
        samples: Clean, the same for all models.
        contrast: Twins that triggers have to leave alone.
        calibrations: By id of the search.
        clean: Each twin judged by the others; empty with as few twins as a calibration takes.
        found: What the searches found in each twin.
        seed: Of the searches.
    """

    searches: tuple[Search, ...]
    samples: Samples
    contrast: tuple[Classifier, ...]
    calibrations: Mapping[str, Calibration]
    clean: tuple[Judgement, ...]
    found: tuple[tuple[SearchResult, ...], ...]
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
        keep: Keep | None = None,
    ) -> Detector:
        """Calibrate on clean twins.

        Args:
            searches: Of the form of the samples.
            twins: At least ``MIN_TWINS``.
            samples: Clean.
            seed: Of the searches.
            progress: Called with twins done and twins in all.
            keep: Returns what it has of a twin's results, without triggers, or searches and
                keeps them; None: every twin is searched.

        Raises:
            ValueError: Too few twins.
            TrainingError: TRN-8, samples that do not show two classes.
        """
        twins, found = [twin.knowing(samples) for twin in twins], []
        for i in range(len(twins)):
            found.append(search_twin(searches, twins, i, samples, seed, keep))
            if progress is not None:
                progress(i + 1, len(twins))
        fitted = _fit(found)
        return cls(
            searches=tuple(searches),
            samples=samples,
            contrast=tuple(twins[:-1]),
            calibrations=fitted,
            clean=tuple(leave_one_out(found) if len(twins) > MIN_TWINS else []),
            found=tuple(tuple(results) for results in found),
            seed=seed,
        )

    def search(self, classifier: Classifier) -> list[SearchResult]:
        """Return what each search finds in ``classifier``."""
        return _search(self.searches, classifier, self.samples, self.contrast, self.seed)

    def judge(self, classifier: Classifier) -> Judgement:
        """Return how unusual ``classifier`` is among its clean twins."""
        return self.judge_results(self.search(classifier))

    def seek(
        self, classifier: Classifier, target: int, *, is_paired: bool, nwords: int = 0
    ) -> list[SearchResult]:
        """Return what the searches find up to the first that finds a trigger to ``target``.

        Whether one is found comes out as by all searches, and mostly sooner: none takes back what
        another has found.

        Args:
            classifier: With a known trigger.
            target: Of that trigger.
            is_paired: Whether it works from some classes only; such searches come first then,
                else last.
            nwords: It has; those that look for as many come first.
        """
        own, contrast = _prepared(classifier, self.contrast, self.samples)
        found = []

        def likeliest(search: Search) -> tuple[bool, int]:
            return search.is_paired != is_paired, abs(search.nwords - nwords)

        for search in sorted(self.searches, key=likeliest):
            found.append(search.look(own, self.samples, contrast=contrast, seed=self.seed))
            verdict = self.calibrations[search.id].judge(found[-1])
            if verdict.suspicious and verdict.key[1] == target:
                break
        return found

    def judge_results(self, results: Sequence[SearchResult]) -> Judgement:
        """Return how unusual results of ``search`` are."""
        return judge_all(self.calibrations, results)

    def score_range(self, results: Sequence[SearchResult]) -> tuple[float, float]:
        """Return the least and the largest score that leaving out one twin would have given.

        With as few twins as a calibration takes it is the score itself, twice.
        """
        scores = [self.judge_results(results).score]
        if len(self.found) > MIN_TWINS:
            for i in range(len(self.found)):
                rest = [row for j, row in enumerate(self.found) if j != i]
                scores.append(judge_all(_fit(rest), results).score)
        return min(scores), max(scores)


def search_twin(
    searches: Sequence[Search],
    twins: Sequence[Classifier],
    number: int,
    samples: Samples,
    seed: int,
    keep: Keep | None = None,
) -> Sequence[SearchResult]:
    """Return what the searches find in one of the twins beside the others; as ``Detector.fit``."""
    # As many twins are left alone by each as by a model that is judged later.
    others = [*twins[number + 1 :], *twins[:number]]
    anew = partial(_search, searches, twins[number], samples, others, seed)
    return anew() if keep is None else keep((twins[number], *others), anew)


def _fit(found: Sequence[Sequence[SearchResult]]) -> dict[str, Calibration]:
    columns = zip(*found, strict=True)
    return {column[0].search: Calibration.fit(column) for column in columns}


def _search(
    searches: Sequence[Search],
    classifier: Classifier,
    samples: Samples,
    contrast: Sequence[Classifier],
    seed: int,
) -> list[SearchResult]:
    own, others = _prepared(classifier, contrast, samples)
    return [s.look(own, samples, contrast=others, seed=seed) for s in searches]


def _prepared(
    classifier: Classifier, contrast: Sequence[Classifier], samples: Samples
) -> tuple[Classifier, list[Classifier]]:
    """Return a model on the scale of its twins, and the twins, asked about the samples for all."""
    others = [twin.knowing(samples) for twin in contrast]
    return level(classifier.knowing(samples), others, samples), others
