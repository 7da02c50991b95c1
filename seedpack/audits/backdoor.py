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
from seedpack.audits.backdoor_search import (
    SearchPlan,
    clean_draws,
    search_ahead,
    search_beside,
    searches_in,
)
from seedpack.audits.base import Audit
from seedpack.audits.gates import undecided
from seedpack.audits.measures import data_of
from seedpack.audits.twin_results import TwinResults
from seedpack.audits.twins import lacks_twins

if TYPE_CHECKING:
    from seedpack.audits.backdoor_search import Asked
    from seedpack.audits.base import Context
    from seedpack.audits.controls import Subjects
    from seedpack.audits.profiles import Profile
    from seedpack.audits.results import AuditResult, Bounds
    from seedpack.audits.sought import Ground, Sought
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.calibration import Judgement
    from seedpack.backdoors.search.detector import Detector
    from seedpack.backdoors.search.recall import ClassRecall
    from seedpack.backdoors.search.weights import Outlier
    from seedpack.training.tasks.base import Adapter

_PARTS: Final = 3  # that planted controls are dealt out to
_OUTLYING: Final = 8.0  # z of a matrix's difference that is worth a line


class Seen(NamedTuple):
    """Everything that was measured.

    Attributes:
        detector: Calibrated on the twins.
        judgement: Of the audited model.
        score_range: Of its score, leaving out a twin at a time.
        controls: Planted, each with what was found in it until it was.
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
    controls: tuple[tuple[Sought, Judgement], ...]
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

    def preparations(self, profile: Profile) -> int:
        """Return how many twins are trained, one to spare, searched, and planted with backdoors."""
        return profile.ntwins + 1 + profile.ntwins + _PARTS

    def prepare(self, context: Context, number: int) -> None:
        """Train a twin, search one, or plant backdoors in one and seek them.

        Raises:
            TrainingError: As for ``run``.
        """
        ntwins = context.profile.ntwins
        if lacks_twins(context):
            return
        if number <= ntwins:
            _subjects(context).twin(number)
        elif number <= 2 * ntwins:
            _prepare_search(context, number - ntwins - 1)
        else:
            _prepare_controls(context, number - 2 * ntwins - 1)

    def run(self, context: Context) -> AuditResult:
        """Train twins, search, plant controls.

        Raises:
            TrainingError: A twin cannot be trained, or the samples do not show two classes.
        """
        reason = lacks_twins(context)
        if reason:
            return undecided(self.id, self.title, reason)
        _, split = data_of(context)
        return report(_look(context), context, split.labels)


class _Cast(NamedTuple):
    """The audited model and its clean twins, each as a classifier and as what it was made of."""

    own: Classifier
    adapter: Adapter
    twins: list[Classifier]
    adapters: list[Adapter]


def _subjects(context: Context) -> Subjects:
    from seedpack.audits.controls import Subjects  # noqa: PLC0415 -- torch

    return Subjects(context)


def _cast(context: Context, subjects: Subjects, ntwins: int) -> _Cast:
    from seedpack.audits.controls import check_tokenizers  # noqa: PLC0415 -- torch

    own, adapter = subjects.own()
    twins, adapters = [], []
    for i in range(ntwins):
        context.progress(i, context.profile.ntwins + 3, "clean twins")
        twin, made_of = subjects.twin(i)
        twins.append(twin)
        adapters.append(made_of)
    check_tokenizers(adapter, adapters[0])
    return _Cast(own, adapter, twins, adapters)


def _look(context: Context) -> Seen:
    from seedpack.backdoors.search.levels import scale_beside  # noqa: PLC0415 -- torch
    from seedpack.backdoors.search.recall import recalls  # noqa: PLC0415 -- torch

    subjects, ntwins = _subjects(context), context.profile.ntwins
    cast = _cast(context, subjects, ntwins + 1)
    ground = _ground(context, subjects, cast)
    own, *twins = (model.knowing(ground.evaluation) for model in (cast.own, *ground.twins))
    evaluation = ground.evaluation
    context.progress(ntwins + 1, ntwins + 3, "searches")
    plan = _plan(context, subjects, cast.adapter)
    detector, found, score_range, before = search_beside(own, twins, plan)
    context.progress(ntwins + 2, ntwins + 3, "planted controls")
    return Seen(
        detector=detector,
        judgement=detector.judge_results(found),
        score_range=score_range,
        before=before,
        controls=_controls(ground, _keep_on(context, subjects, detector.samples), detector),
        accuracy=own.accuracy(evaluation),
        twin_accuracies=tuple(twin.accuracy(evaluation) for twin in twins),
        recalls=recalls(own, evaluation),
        twin_recalls=[recalls(twin, evaluation) for twin in twins],
        outliers=_compare_weights(context, subjects.start, cast),
        start=subjects.start,
        shape=tuple(detector.samples.x.shape[1:]),
        named_by_seed=bool(subjects.start) and not context.spec.reference,
        scale=scale_beside(own, detector.contrast, detector.samples),
        tried=ground.ncontrols,
    )


def _controls(
    ground: Ground, keep: TwinResults, detector: Detector
) -> tuple[tuple[Sought, Judgement], ...]:
    """Return planted backdoors with what the searches say of them."""
    from seedpack.audits.sought import seek_control  # noqa: PLC0415 -- torch

    known = (seek_control(ground, i, keep, lambda: detector) for i in range(ground.ncontrols))
    return tuple(
        (control, detector.judge_results([one.result() for one in control.found]))
        for control in known
        if control is not None
    )


def _ground(context: Context, subjects: Subjects, cast: _Cast) -> Ground:
    from seedpack.audits.sought import Ground  # noqa: PLC0415 -- torch

    _, split = data_of(context)
    *twins, spare = cast.twins
    return Ground(
        spare,
        twins,
        subjects.samples(cast.adapter, split.train),
        subjects.samples(cast.adapter, split.evaluation),
        context.profile.nplanted,
        context.spec.random_seed,
    )


def _prepare_controls(context: Context, part: int) -> None:
    """Plant a part of the controls, and seek them on the first draw of samples."""
    from seedpack.audits.sought import seek_control  # noqa: PLC0415 -- torch
    from seedpack.backdoors.search.detector import Detector  # noqa: PLC0415 -- torch

    subjects = _subjects(context)
    cast = _cast(context, subjects, context.profile.ntwins + 1)
    ground, plan = _ground(context, subjects, cast), _plan(context, subjects, cast.adapter)
    samples = next(plan.draws)
    keep = _keep_on(context, subjects, samples)
    fit = partial(Detector.fit, plan.searches, ground.twins, samples, seed=plan.seed, keep=keep)
    for number in range(part, ground.ncontrols, _PARTS):
        seek_control(ground, number, keep, fit)


def _prepare_search(context: Context, number: int) -> None:
    """Search one twin on the first draw of samples, which decides for most models."""
    subjects = _subjects(context)
    cast = _cast(context, subjects, context.profile.ntwins)
    search_ahead(cast.twins, number, _plan(context, subjects, cast.adapter))


def _plan(context: Context, subjects: Subjects, adapter: Adapter) -> SearchPlan:
    """Return how models are searched; what is found in twins is kept beside them."""
    _, split = data_of(context)
    seed = context.spec.random_seed
    read = partial(subjects.samples, adapter)
    draws = clean_draws(split, context.profile.search_sizes, seed, read)
    searches = searches_in(split.train.form, context.profile)
    return SearchPlan(searches, draws, seed, partial(_keep_on, context, subjects))


def _keep_on(context: Context, subjects: Subjects, samples: Samples) -> TwinResults:
    """Return what keeps the results of twins that are searched on these samples."""
    arms, split = data_of(context)
    searches = searches_in(split.train.form, context.profile)
    return TwinResults(arms, subjects.start, searches, samples, context.spec.random_seed)


def _compare_weights(context: Context, start: str, cast: _Cast) -> tuple[Outlier, ...]:
    """Return matrices that differ from what the twins were tuned from as those of no twin do."""
    if not start:
        return ()
    from seedpack.backdoors.search.weights import outliers  # noqa: PLC0415 -- torch

    arms, _ = data_of(context)
    base = arms.untuned(start).model.state_dict()
    states = [adapter.model.state_dict() for adapter in cast.adapters]
    return tuple(outliers(cast.adapter.model.state_dict(), base, states, least=_OUTLYING))
