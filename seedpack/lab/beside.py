"""What clean models do in the place of a defended one: the controls of removal and comeback.

    defended model ─┐
    fourth twin ────┼──effect_of──> of the same trigger           removed? would a clean model be?
    first twin, ────┘               in the first three twins: the control of effects
    defended alike    └──attempt──> curves ──beside the first three twins──> excess
                        the attacker's samples: the consumer's │ samples that no model has seen

A model that was tuned on the attacker's very samples knows them by heart: they hold it back less,
and a trigger is all that is left to learn. So comebacks are measured with unseen samples, too.
"""

from __future__ import annotations

from hashlib import sha256
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torch

from seedpack.backdoors.classifiers import is_large
from seedpack.backdoors.defence.reactivation import attempt, compare
from seedpack.lab.effects import effect_of
from seedpack.lab.methods import get_defence
from seedpack.lab.rows import FLIP

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.defence.reactivation import Attempts
    from seedpack.backdoors.planting.base import Attack
    from seedpack.lab.zoo.families import Family
    from seedpack.lab.zoo.store import ZooModel

_RIVALS: Final = 3  # clean twins beside which a backdoor comes back; one more is the control


class Stand(NamedTuple):
    """What a defended model is compared on.

    Attributes:
        method: The defence.
        family: Of all models.
        twins: Clean ones; none, and there is nothing to compare with.
        samples: The consumer's.
        test: What measures.
    """

    method: str
    family: Family
    twins: Sequence[Classifier]
    samples: Samples
    test: Samples


def beside(stand: Stand, model: ZooModel, defended: Classifier) -> dict[str, Any]:
    """Return the fields of ``Removed`` that clean models have a part in.

    Of pretrained encoders comebacks are not measured: it takes an hour a model.

    Args:
        stand: What is compared on.
        model: What was defended.
        defended: The same after the defence.
    """
    twins, test = stand.twins, stand.test
    if model.attack is None or not twins:
        return {}
    models = _Models(
        defended,
        twins[:_RIVALS],
        twins[_RIVALS] if len(twins) > _RIVALS else None,
        _defended_twin(stand),
    )
    found: dict[str, Any] = {
        "trigger_alike": effect_of(models.alike, model.attack, test),
        "trigger_twins": tuple(effect_of(twin, model.attack, test) for twin in models.rivals),
    }
    if models.spare is not None:
        found["trigger_clean"] = effect_of(models.spare, model.attack, test)
    if model.record.kind == FLIP or is_large(defended):
        return found
    return found | _excesses(models, model.attack, stand.samples, test)


class _Models(NamedTuple):
    """Who is tuned on triggered samples."""

    defended: Classifier
    rivals: Sequence[Classifier]
    spare: Classifier | None
    alike: Classifier


def _excesses(models: _Models, attack: Attack, samples: Samples, test: Samples) -> dict[str, float]:
    known = _Curves(models.rivals, attack, samples, test)
    unseen = _Curves(models.rivals, attack, *_unseen(test, len(samples)))
    ours = known.of(models.defended)
    excesses = {
        "excess": known.excess(ours),
        "excess_alike": _mean_excess(ours, [known.of(models.alike)]),
        "excess_unseen": unseen.excess(unseen.of(models.defended)),
    }
    if models.spare is not None:
        excesses["excess_clean"] = known.excess(known.of(models.spare))
        excesses["excess_unseen_clean"] = unseen.excess(unseen.of(models.spare))
    return excesses


class _Curves:
    """Attempts on models, all with the same samples of the attacker."""

    def __init__(
        self, rivals: Sequence[Classifier], attack: Attack, samples: Samples, measured: Samples
    ) -> None:
        self._given = attack, samples, measured
        self._rivals = [self.of(rival) for rival in rivals]

    def of(self, classifier: Classifier) -> Attempts:
        attack, samples, measured = self._given
        return attempt(classifier, attack, samples, measured)

    def excess(self, ours: Attempts) -> float:
        return _mean_excess(ours, self._rivals)


def _mean_excess(ours: Attempts, theirs: Sequence[Attempts]) -> float:
    return fmean(compare(ours, theirs).excess)


def _unseen(test: Samples, count: int) -> tuple[Samples, Samples]:
    """Return an attacker's samples that no model was trained on, and others to measure with."""
    is_theirs = torch.arange(len(test)) % 2 == 0
    return test.take(is_theirs).take(range(min(count, int(is_theirs.sum())))), test.take(~is_theirs)


_TWINS: Final[dict[tuple[str, bytes], Classifier]] = {}  # of this process, by method and inputs


def _defended_twin(stand: Stand) -> Classifier:
    """Return the first twin after the defence; the same for all suspects of a family."""
    first, *others = stand.twins
    told = b"".join(p.detach().numpy().tobytes() for p in first.module.parameters())
    key = stand.method, sha256(told + stand.samples.x.numpy().tobytes()).digest()
    if key not in _TWINS:
        reference = stand.family.reference(stand.samples, others)
        defend = get_defence(stand.method)
        _TWINS[key] = defend(first, stand.samples, others, reference)
    return _TWINS[key]
