"""Searches a model beside its twins: on few clean samples, on more where something stands out.

    few clean samples ──twins──> Detector ──model──> does a score, any twin left out, exceed 1?
          no ──> Searched               yes, and there are more samples ──> the same on those

Few samples bear triggers by chance that more do not. On most models few are enough to see that
nothing stands out, and what does is worth the time (AUD-BD-8).
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.training.sampling import draw_samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import Bounds
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search, SearchResult
    from seedpack.backdoors.search.detector import Detector, Keep
    from seedpack.training import Examples, Split

_LEAST_PER_CLASS: Final = 5  # clean samples that a search sees
_LIMIT: Final = 1.0  # score from which on something stands out


class Asked(NamedTuple):
    """An answer that more samples replaced.

    Attributes:
        nsamples: That the searches saw.
        score_range: Of the model, leaving out a twin at a time.
    """

    nsamples: int
    score_range: Bounds


class Searched(NamedTuple):
    """What the searches found in a model.

    Attributes:
        detector: Calibrated on the twins, on the samples that decide.
        found: In the model, on those samples.
        score_range: Of the model, leaving out a twin at a time.
        before: Answers on fewer samples, in which something stood out.
    """

    detector: Detector
    found: list[SearchResult]
    score_range: Bounds
    before: tuple[Asked, ...]


class SearchPlan(NamedTuple):
    """How models are searched.

    Attributes:
        searches: Of one form.
        draws: Clean samples, more each time; at least one draw.
        seed: Of the searches.
        keep_on: Returns what keeps the twins' results on some samples; None: nothing does.
    """

    searches: Sequence[Search]
    draws: Iterator[Samples]
    seed: int
    keep_on: Callable[[Samples], Keep] | None = None


def search_beside(own: Classifier, twins: Sequence[Classifier], plan: SearchPlan) -> Searched:
    """Search a model and its twins, until nothing stands out or no draw is left (AUD-BD-8).

    Args:
        own: The audited model.
        twins: Clean.
        plan: How.

    Raises:
        TrainingError: TRN-8, samples of one class; TRN-13, answers that are no numbers.
    """
    from seedpack.backdoors.search.detector import Detector  # noqa: PLC0415 -- torch

    searches, draws, seed, keep_on = plan
    before: list[Asked] = []
    for samples in draws:
        keep = None if keep_on is None else keep_on(samples)
        detector = Detector.fit(searches, twins, samples, seed=seed, keep=keep)
        found = detector.search(own)
        answer = Searched(detector, found, detector.score_range(found), tuple(before))
        if answer.score_range[1] <= _LIMIT:
            break
        before.append(Asked(len(samples), answer.score_range))
    return answer


def search_ahead(twins: Sequence[Classifier], number: int, plan: SearchPlan) -> None:
    """Search one twin on the first draw of samples, for ``search_beside`` to find it done.

    Raises:
        TrainingError: As for that.
    """
    from seedpack.backdoors.search.detector import search_twin  # noqa: PLC0415 -- torch

    samples = next(plan.draws)
    keep = None if plan.keep_on is None else plan.keep_on(samples)
    search_twin(plan.searches, twins, number, samples, plan.seed, keep)


def clean_draws(
    split: Split, sizes: Sequence[int], seed: int, read: Callable[[Examples], Samples]
) -> Iterator[Samples]:
    """Yield clean samples of the training data, of each class alike, more each time.

    Args:
        split: The data.
        sizes: How many; at least five per class are drawn, and no more than there are.
        seed: Of the draw.
        read: Makes inputs of a model of examples.
    """
    least = _LEAST_PER_CLASS * len(split.labels)
    counts = [0, *(min(max(size, least), len(split.train)) for size in sizes)]
    for last, count in pairwise(counts):
        if count > last:
            yield read(draw_samples(split, count, seed=seed))


def searches_in(form: str, profile: Profile) -> tuple[Search, ...]:
    """Return what a profile searches examples of a form with."""
    from seedpack.backdoors.search.registry import searches_of  # noqa: PLC0415 -- torch

    inputs = "texts" if form == "texts" else "images"
    return searches_of(inputs, quick=profile.name == "quick", thorough=profile.name == "deep")
