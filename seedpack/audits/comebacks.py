"""Planted backdoors, removed and brought back, beside the arms for the audit ``reactivation``.

Context ──open_scene──> Scene: the audited model, two clean twins, samples
Scene, number ──plant, defend, tune on triggered samples──> Curves, kept beside the arms
Curves of all ──compare_all──> Comebacks of the defended models, and of the audited one
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack.audits import controls
from seedpack.audits.controls import Subjects, count_controls, plant_control
from seedpack.audits.measured import digest_tensors, keep_measured
from seedpack.audits.measures import data_of
from seedpack.audits.stamps import stamp
from seedpack.backdoors.defence.base import require_enough
from seedpack.backdoors.defence.reactivation import (
    STEPS,
    Attempts,
    Comeback,
    attempt,
    compare,
)
from seedpack.backdoors.defence.registry import DEFENCES
from seedpack.backdoors.edition import code_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.audits.base import Context
    from seedpack.backdoors.classifiers import Classifier, Samples

_NCONTROLS: Final = 1  # of each kind
_LEAST_DRAWS: Final = 2  # handfuls


class Curves(msgspec.Struct, frozen=True):
    """How one planted backdoor comes back, in each way and from each handful.

    Attributes:
        defended: In the planted twin, after the defence.
        twin: In a clean twin that never knew the trigger.
        own: In the audited model.
    """

    defended: Attempts
    twin: Attempts
    own: Attempts


class Scene(NamedTuple):
    """Models and samples.

    Attributes:
        own: The audited model.
        spare: A clean twin, in which backdoors are planted.
        twin: Another, beside which they are judged.
        start: What twins were tuned from; empty: random weights.
        train: Clean samples.
        evaluation: Clean samples, to count successes on.
        ncontrols: How many backdoors are to be planted.
    """

    own: Classifier
    spare: Classifier
    twin: Classifier
    start: str
    train: Samples
    evaluation: Samples
    ncontrols: int


def open_scene(context: Context) -> Scene:
    """Return what is measured.

    Raises:
        TrainingError: A twin cannot be trained; AUD-DEF-1, too few samples.
    """
    _, split = data_of(context)
    subjects = Subjects(context)
    own, adapter = subjects.own()
    (spare, _), (twin, _) = subjects.twin(0), subjects.twin(1)
    train = subjects.samples(adapter, split.train)
    evaluation = subjects.samples(adapter, split.evaluation)
    require_enough(train)
    count = count_controls(spare, train, _NCONTROLS)
    return Scene(own, spare, twin, subjects.start, train, evaluation, count)


def measure(context: Context, scene: Scene, number: int) -> Curves | None:
    """Return the curves of the backdoor of that number; None where it could not be planted."""
    arms, _ = data_of(context)
    draws, seed = max(context.profile.nseeds, _LEAST_DRAWS), context.spec.random_seed
    models = scene.own, scene.spare, scene.twin
    weights = [digest_tensors(model.module.state_dict().values()).hex() for model in models]
    code = [code_digest(), stamp(controls.__file__)]
    told = [code, stamp(scene.start), weights, _NCONTROLS, number, draws, seed]
    # In a list, as JSON's null alone could not be told from a file without contents.
    kept = keep_measured(
        arms.folder / f"comebacks-{arms.digest(msgspec.json.encode(told))}.json",
        list[Curves],
        lambda found: len(found) <= 1 and all(map(_is_whole, found)),
        lambda: _bring_back(scene, number, draws, seed),
    )
    return kept[0] if kept else None


def compare_all(found: Sequence[Curves]) -> tuple[list[Comeback], list[Comeback]]:
    """Return the comebacks in defended models beside the twin's, and those in the audited one."""
    defended = [compare(curves.defended, [curves.twin]) for curves in found]
    return defended, [compare(curves.own, [curves.twin]) for curves in found]


def _bring_back(scene: Scene, number: int, draws: int, seed: int) -> list[Curves]:
    """Plant a backdoor, take it out, and bring it back; nothing where it could not be planted."""
    train, evaluation = scene.train, scene.evaluation
    control = plant_control(scene.spare, train, evaluation, _NCONTROLS, number, seed)
    if control is None:
        return []
    cleaned = DEFENCES["relearning"].run(control.classifier, train, seed=seed)
    defended, twin, own = (
        attempt(model, control.attack, train, evaluation, draws=draws, seed=seed)
        for model in (cleaned, scene.twin, scene.own)
    )
    return [Curves(defended, twin, own)]


def _is_whole(curves: Curves) -> bool:
    parts = curves.defended, curves.twin, curves.own
    lines = [line for part in parts for way in part for line in way]
    return bool(lines) and all(len(line) == len(STEPS) for line in lines)
