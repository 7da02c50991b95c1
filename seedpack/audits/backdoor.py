"""Looks for hidden triggers, and says what it would have found (spec: backdoor.md).

    clean twins ──calibrate──> Detector ──judge──> the audited model: z of each search; something
                     └─────────── more samples <──────────── stands out
                                        ──judge──> twins with a planted backdoor: found k of n
    recall of each class, weights beside the base ──────────────────────> further evidence

What is not found was searched for in this way, with this power; it is never said to be absent.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.audits.backdoor_report import report
from seedpack.audits.backdoor_search import clean_draws, search_beside, searches_in
from seedpack.audits.base import Audit
from seedpack.audits.gates import undecided
from seedpack.audits.measures import data_of
from seedpack.audits.twin_results import TwinResults

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.nn import Module

    from seedpack.audits.backdoor_search import Asked, Searched
    from seedpack.audits.base import Context
    from seedpack.audits.controls import Control
    from seedpack.audits.results import AuditResult, Bounds
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.calibration import Judgement
    from seedpack.backdoors.search.detector import Detector
    from seedpack.backdoors.search.recall import ClassRecall
    from seedpack.backdoors.search.weights import Outlier
    from seedpack.training import Examples, Split

_OUTLYING: Final = 8.0  # z of a matrix's difference that is worth a line
_NO_TWINS: Final = (
    "clean twins of a large model cannot be trained from random weights here: give a clean model "
    "of the same architecture with --reference MODEL"
)


class Seen(NamedTuple):
    """Everything that was measured.

    Attributes:
        detector: Calibrated on the twins.
        judgement: Of the audited model.
        score_range: Of its score, leaving out a twin at a time.
        controls: Planted, each with what was found in it.
        accuracy: Of the audited model on the evaluation.
        twin_accuracies: Of the twins.
        recalls: Of the audited model.
        twin_recalls: Of the twins.
        outliers: Matrices that differ from the base as those of no twin do.
        start: What twins were tuned from; empty: random weights.
        shape: Of one input of the searches.
        named_by_seed: Whether that start is nothing but the base which the seed itself names.
        scale: How far the model's scores lie apart, in those of the twins.
        tried: How many controls were to be planted.
        before: Answers on fewer samples, in which something stood out.
    """

    detector: Detector
    judgement: Judgement
    score_range: Bounds
    controls: tuple[tuple[Control, Judgement], ...]
    accuracy: float
    twin_accuracies: tuple[float, ...]
    recalls: list[ClassRecall]
    twin_recalls: list[list[ClassRecall]]
    outliers: tuple[Outlier, ...]
    start: str
    shape: tuple[int, ...]
    named_by_seed: bool = False
    scale: float = 1.0
    tried: int = 0
    before: tuple[Asked, ...] = ()


class Backdoor(Audit):
    """Does something in the model answer to a trigger?"""

    id = "backdoor"
    title = "Hidden triggers"
    needs = frozenset({"data"})
    tasks = frozenset({"text-classification", "image-classification", "generic"})
    effort = 18

    def run(self, context: Context) -> AuditResult:
        """Train twins, search, plant controls.

        Raises:
            TrainingError: A twin cannot be trained, or the samples do not show two classes.
        """
        spec, split = context.spec, context.split
        if split is None or not split.labels:
            return undecided(self.id, self.title, "the targets are numbers: nothing is turned")
        if not (spec.factory or spec.reference or spec.base):
            return undecided(self.id, self.title, _NO_TWINS)
        return report(_look(context, split), context, split.labels)


def _look(context: Context, split: Split) -> Seen:
    from seedpack.audits.controls import (  # noqa: PLC0415 -- torch
        Subjects,
        check_tokenizers,
        count_controls,
        plant_controls,
        scale_beside,
    )
    from seedpack.backdoors.search.recall import recalls  # noqa: PLC0415 -- torch

    subjects, first, steps = Subjects(context), context.spec.random_seed, context.profile.ntwins + 3
    own, adapter = subjects.own()
    pairs = []
    for i in range(context.profile.ntwins + 1):
        context.progress(i, steps, "clean twins")
        pairs.append(subjects.twin(i))
    check_tokenizers(adapter, pairs[0][1])
    *twins, spare = [twin for twin, _ in pairs]
    evaluation = subjects.samples(adapter, split.evaluation)
    context.progress(steps - 2, steps, "searches")
    read = partial(subjects.samples, adapter)
    detector, found, score_range, before = _search(context, own, twins, subjects.start, read)
    context.progress(steps - 1, steps, "planted controls")
    train = subjects.samples(adapter, split.train)
    planted = plant_controls(spare, train, evaluation, context.profile.nplanted, first)
    controls = tuple((control, detector.judge(control.classifier)) for control in planted)
    return Seen(
        detector=detector,
        judgement=detector.judge_results(found),
        score_range=score_range,
        before=before,
        controls=controls,
        accuracy=own.accuracy(evaluation),
        twin_accuracies=tuple(twin.accuracy(evaluation) for twin in twins),
        recalls=recalls(own, evaluation),
        twin_recalls=[recalls(twin, evaluation) for twin in twins],
        outliers=_compare_weights(
            context, subjects.start, adapter.model, [a.model for _, a in pairs]
        ),
        start=subjects.start,
        shape=tuple(detector.samples.x.shape[1:]),
        named_by_seed=bool(subjects.start) and not context.spec.reference,
        scale=scale_beside(own, twins, detector.samples),
        tried=count_controls(spare, train, context.profile.nplanted),
    )


def _search(
    context: Context,
    own: Classifier,
    twins: Sequence[Classifier],
    start: str,
    read: Callable[[Examples], Samples],
) -> Searched:
    """Search the audited model; what is found in the twins is kept beside them."""
    arms, split = data_of(context)
    seed = context.spec.random_seed
    searches = searches_in(split.train.form, context.profile)
    draws = clean_draws(split, context.profile.search_sizes, seed, read)
    keep_on = partial(TwinResults, arms, start, searches, seed=seed)
    return search_beside(searches, own, twins, draws, seed, keep_on)


def _compare_weights(
    context: Context, start: str, own: Module, twins: Sequence[Module]
) -> tuple[Outlier, ...]:
    """Return matrices that differ from what the twins were tuned from as those of no twin do."""
    if not start:
        return ()
    from seedpack.backdoors.search.weights import outliers  # noqa: PLC0415 -- torch

    assert context.arms is not None  # noqa: S101 -- checked by the caller
    base = context.arms.untuned(start).model.state_dict()
    states = [twin.state_dict() for twin in twins]
    return tuple(outliers(own.state_dict(), base, states, least=_OUTLYING))
