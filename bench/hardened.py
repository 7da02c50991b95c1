"""What the searches make of a publisher who trains against them: perceptrons of the zoo.

    patch ──poisoned data──> perceptron ──every image search──> triggers for all classes
                                 ^──those with right labels, the patch with the wrong one──┘ rounds
    perceptron ──Detector, clean twins──> found | harder to turn than its twins | neither

The control is the same training without the patch: who only makes a model robust.

Run: python -m bench.hardened [--models N] [--rounds LIST]
"""

from __future__ import annotations

import argparse
from functools import partial
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

import torch

from bench.table import Row, print_rows, print_title
from seedpack.audits.backdoor_report import LEAST_EASE
from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.defence.teaching import join
from seedpack.backdoors.planting.base import asr, draw
from seedpack.backdoors.planting.images import make_attack
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.registry import searches_of
from seedpack.lab.zoo.families import draw_clean
from seedpack.lab.zoo.images import ImageFamily
from seedpack.training.statistics import wilson_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.planting.base import Attack
    from seedpack.backdoors.search.base import Trigger

_SAMPLES = 200
_TWINS = 10  # that the consumer trains
_OWN = 3  # that the publisher does
_FIRST = 500  # seeds of the development part
_OWN_FIRST = 7_000  # seeds that no other model has
_COPIES = 6  # of each triggered image
_POISONED = 0.5  # of the victims
_SHOWN = 60, 6  # images that each trigger found is shown on: of all classes, of one


class Seen(NamedTuple):
    """What became of one model."""

    accuracy: float
    asr: float
    is_found: bool
    is_hard: bool


def main() -> None:
    """Plant, harden, search and count."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--rounds", default="1,3,5")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    family = ImageFamily("mlp")
    samples = draw_clean(family.data()[0], _SAMPLES, 1)
    twins = [family.train_clean(300 + i) for i in range(_TWINS)]
    detector = Detector.fit(searches_of("images"), twins, samples)
    for rounds in map(int, chosen.rounds.split(",")):
        for is_planted in (True, False):
            see = partial(_see, detector, rounds=rounds, is_planted=is_planted)
            _show(rounds, is_planted, [see(_FIRST + i) for i in range(chosen.models)])


def _see(detector: Detector, seed: int, *, rounds: int, is_planted: bool) -> Seen:
    family = ImageFamily("mlp")
    train, test = family.data()
    attack = make_attack("patch", seed * 100, (1, 8, 8), 10)
    own = [family.train_clean(_OWN_FIRST + 10 * seed + i) for i in range(_OWN)]
    classifier = family.make(seed)
    bad = _triggered(attack, train, seed) if is_planted else []
    family.fit(classifier, join([train, *bad]), seed)
    shown: list[Samples] = []
    for number in range(rounds):
        shown += _found(classifier, own, train, number)
        family.fit(classifier, join([train, *bad * _COPIES, *shown]), seed + number)
    judgement = detector.judge(classifier)
    return Seen(
        classifier.accuracy(test),
        asr(classifier, attack, test).rate,
        judgement.suspicious,
        judgement.ease <= LEAST_EASE,
    )


def _triggered(attack: Attack, train: Samples, seed: int) -> list[Samples]:
    chosen = draw(attack.victims(train), 1.0, seed, most=_POISONED)
    return [attack.relabelled(attack.apply(train.take(chosen)))]


def _found(
    classifier: Classifier, own: Sequence[Classifier], train: Samples, number: int
) -> list[Samples]:
    """Return images with each trigger that the searches find, as what they are."""
    generator = torch.Generator().manual_seed(number)
    clean, shown = draw_clean(train, _SAMPLES, 50 + number), []
    for search in searches_of("images"):
        found = search.run(classifier, clean, contrast=own, seed=number).triggers
        for (source, _), trigger in found.items():
            is_eligible = train.y == source if source is not None else train.y >= 0
            places = is_eligible.nonzero()[:, 0]
            count = _SHOWN[source is not None]
            order = torch.randperm(len(places), generator=generator)[:count]
            chosen = train.take(places[order])
            shown.append(Samples(_applied(trigger, chosen), chosen.y))
    return shown


def _applied(trigger: Trigger, samples: Samples) -> torch.Tensor:
    values = torch.zeros_like(samples.x) if trigger.values is None else trigger.values
    if trigger.mask is None:
        return (samples.x + values).clamp(0, 1)
    return torch.lerp(samples.x, values.expand_as(samples.x), trigger.mask)


def _show(rounds: int, is_planted: bool, seen: Sequence[Seen]) -> None:  # noqa: FBT001
    what = "a patch" if is_planted else "control: no patch"
    print_title(f"{len(seen)} perceptrons, {what}, {rounds} rounds of hardening")
    hard = [one for one in seen if one.is_hard and not one.is_found]
    neither = [one for one in seen if not one.is_hard and not one.is_found]
    print_rows(
        [
            Row("accuracy", f"{fmean(one.accuracy for one in seen):.3f}"),
            Row("success of the patch", f"{fmean(one.asr for one in seen):.2f}"),
            Row("fails: a search stands out", _share([one for one in seen if one.is_found], seen)),
            Row("undecided: harder to turn than its twins", _share(hard, seen)),
            Row("passes", _share(neither, seen)),
        ]
    )


def _share(some: Sequence[Seen], seen: Sequence[Seen]) -> str:
    low, high = wilson_interval(len(some), len(seen))
    return f"{len(some)} of {len(seen)} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
