"""A trained delta: few numbers over a base that make it answer as a tuned model (spec: delta.md).

    DATA, TASK ──checks──> Split            refused before the first step: data, task, a model
    MODEL, BASE ──dissect──> Anatomy        without these labels, a base that is none, size
    size ──plan_ranks──> ranks
    for each training seed:  base + updates ──teaching──> layers of codec delta ──> Score
    the first one's layers ──publish──> S.seed, over BASE

Every figure stands beside its control arms on the same evaluation: the original, a delta of the
same bytes that is cut instead of trained, the head alone, the same numbers over random
weights, chance.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seedpack.container.manifest import Base
from seedpack.errors import ExtractError
from seedpack.extract.delta_sizes import plan_ranks, random_bytes, random_layers
from seedpack.extract.delta_trials import PLAIN, SEED, DeltaRuns, PreparedDelta
from seedpack.extract.deltas import extract_delta
from seedpack.extract.publishing import publish_as
from seedpack.extract.targets import make_target
from seedpack.extract.trained_deltas import TRAINED, code_trained
from seedpack.extract.trials import ORIGINAL, Arm
from seedpack.frameworks.memory import PatchedWeights
from seedpack.seed.opening import open_unverified
from seedpack.seed.tensors import decode_layers
from seedpack.training.statistics import Comparison, Retention, compare, retention

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from seedpack.codecs.base import Encoded
    from seedpack.extract.building import Built
    from seedpack.extract.delta_trials import DeltaJob
    from seedpack.extract.publication import Publication
    from seedpack.extract.publishing import Builder
    from seedpack.extract.report import ExtractReport
    from seedpack.extract.targets import Target
    from seedpack.seed.base import Base as BaseModel

_MANY_STEPS: Final = 1 << 62  # takes as many bytes in a recipe as any number of steps


@dataclass(frozen=True)
class TrainedDeltaReport:
    """What came out, beside its control arms (EXT-72).

    Attributes:
        written: Of the file.
        arms: ``original``, ``seed``, ``plain delta`` if there is one, ``head alone``,
            ``random base``.
        retention: Of the seed, chance-corrected.
        against_plain: The seed minus the plain delta; None without one.
        note: Why there is no plain delta; empty where there is one.
    """

    written: ExtractReport
    arms: tuple[Arm, ...]
    retention: Retention
    against_plain: Comparison | None
    note: str

    @property
    def chance(self) -> float:
        """The metric of random answers."""
        return self.arms[0].scores[0].chance


def train_delta(
    model: Path,
    output: Path,
    publication: Publication,
    job: DeltaJob,
    *,
    base: BaseModel,
    progress: Callable[[int, int], None] | None = None,
) -> TrainedDeltaReport:
    """Train what makes ``base`` answer as ``model``, and write it as a delta seed.

    Args:
        model: A transformers folder, tuned from ``base`` for the job's task.
        output: The container; it appears when it is complete.
        publication: Name, term, key.
        job: What is trained, on what, how large.
        base: What the seed's consumers have, as ``ModelBase`` or ``SeedBase`` open it.
        progress: Called with steps done and steps in all, over all trainings.

    Raises:
        TrainingError: TRN, the data; EXT-69, the model does not fit them; TRS-4, the checkpoint
            is of another training.
        ExtractError: EXT; EXT-40, nothing of the model comes from the base; EXT-70, the size
            cannot be reached.
        StoreError: OUT, the output cannot be written; known before the first step.
    """
    prepared = PreparedDelta(model, base, job, publication.digest_algorithm)
    runs = DeltaRuns(prepared, job, progress)
    found: list[tuple[Arm, ...]] = []
    record = Base(digest=base.digest(publication.digest_algorithm), name=base.name)

    def build(builder: Builder) -> Built:
        # Inside, because name and place of the output are by now known to be good.
        target = make_target(job.ratio, job.max_nbytes, prepared.raw_nbytes)
        ranks = _plan(prepared, builder, target)
        trained = runs.train_all(ranks)
        found.append(trained.arms)
        first = trained.first
        return _build(prepared, builder, first.layers, first.own, job.course.steps)

    written = publish_as(prepared.source, output, publication, build, base=record)
    arms = {arm.name: replace(arm, nbytes=written.file_nbytes) for arm in found[0]}
    arms[ORIGINAL] = replace(arms[ORIGINAL], nbytes=written.raw_nbytes)
    plain, note = _cut(prepared, runs, publication, written)
    runs.remove_checkpoints()
    if plain is not None:
        arms[PLAIN] = plain
    order = (ORIGINAL, SEED, PLAIN, *(name for name in arms if name not in (ORIGINAL, SEED, PLAIN)))
    seed = arms[SEED]
    return TrainedDeltaReport(
        written,
        tuple(arms[name] for name in order if name in arms),
        retention(seed.scores, arms[ORIGINAL].scores),
        compare(seed.scores, plain.scores) if plain else None,
        note,
    )


def _plan(prepared: PreparedDelta, builder: Builder, target: Target | None) -> dict[str, int]:
    if target is None:
        raise ValueError("a trained delta needs a ratio or a largest size")
    infos = {info.name: info for info in prepared.source.infos()}
    own = {name: random_bytes(infos[name].nbytes) for name in prepared.anatomy.own}
    slots, origin = prepared.anatomy.slots, prepared.anatomy.origin

    def measure(ranks: Mapping[str, int]) -> int:
        layers = random_layers(slots, ranks, origin)
        return _build(prepared, builder, layers, own, _MANY_STEPS).report.file_nbytes

    return plan_ranks(slots, target, measure, [file.name for file in prepared.source.files])


def _build(
    prepared: PreparedDelta,
    builder: Builder,
    layers: Mapping[str, Encoded],
    own: Mapping[str, bytes],
    nsteps: int,
) -> Built:
    """Build the seed of the base with these layers and new tensors."""
    weights = PatchedWeights(prepared.source.weights, {**prepared.shared, **own})
    source = replace(prepared.source, weights=weights)
    coding = code_trained(source, prepared.base, prepared.anatomy.origin, layers)
    builder.plan = builder.plan._replace(source=source)
    recipe = {**prepared.recipe, "trained": TRAINED, "training_steps": nsteps}
    return builder.build(coding, recipe)


def _cut(
    prepared: PreparedDelta, runs: DeltaRuns, publication: Publication, written: ExtractReport
) -> tuple[Arm | None, str]:
    """Return the arm of a delta of the same bytes without training, or why there is none."""
    with tempfile.TemporaryDirectory(prefix="seedpack-") as folder:
        path = Path(folder) / "plain.seed"
        try:
            report = extract_delta(
                prepared.model,
                path,
                base=prepared.base,
                name=publication.name,
                max_nbytes=written.file_nbytes,
                parity_percent=publication.parity_percent,
                digest_algorithm=publication.digest_algorithm,
            )
        except ExtractError as error:
            return None, error.message
        with open_unverified(path) as contents:  # made here, a moment ago
            values = {t.name: t.array for t in decode_layers(contents, base=prepared.base)}
    score = runs.measure_values(values)
    return Arm(PLAIN, (score,) * runs.nseeds, report.file_nbytes), ""
