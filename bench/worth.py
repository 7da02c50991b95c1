"""What a suspect's knowledge is worth to a defence: beside the same samples without the suspect.

    python -m bench.worth CACHE [--families LIST] [--models N] [--samples LIST]
                          [--texts DIR] [--encoder MODEL]

    sealed planted model i, clean samples i ──the family's defence──> defended ──┐
    the same start, clean samples i ──the labels alone, no suspect──> control ───┴─> difference

Each model has its own draw of clean samples, so that intervals are over models and draws together.
Success is that of the model's own trigger, on its victims; the control never saw it. Of small texts
the start is a clean twin, which knows the task already; of encoders it is the published model.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from bench.table import Row, print_rows, print_title
from seedpack.backdoors.defence.registry import DEFENCES, UNTAUGHT
from seedpack.backdoors.planting.base import asr
from seedpack.lab.groups import ASR_COUNTS
from seedpack.lab.metrics import mean_over
from seedpack.lab.rows import FLIP, SOURCE_SPECIFIC
from seedpack.lab.zoo.families import draw_clean
from seedpack.lab.zoo.members import TWIN, members
from seedpack.lab.zoo.registry import FAMILIES, Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.planting.base import Attack

_FIRST_DRAW: Final = 10_000  # samples of no other figure
_DEFENCES: Final = {"images": DEFENCES["relearning"], "texts": DEFENCES["reference-relearning"]}


class Figures(NamedTuple):
    """Accuracy of a model, and how often the trigger succeeds in it."""

    accuracy: float
    asr: float


class Trio(NamedTuple):
    """One draw."""

    suspect: Figures
    defended: Figures
    alone: Figures


def main() -> None:
    """Measure family by family."""
    parser = argparse.ArgumentParser(prog="python -m bench.worth")
    parser.add_argument("cache", type=Path)
    parser.add_argument("--families", default="mlp,cnn,vit")
    parser.add_argument("--models", type=int, default=10)
    parser.add_argument("--samples", default="200,50")
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--encoder", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    zoo = Zoo(chosen.cache, chosen.texts, chosen.encoder)
    for name in chosen.families.split(","):
        if name not in FAMILIES:
            parser.error(f"no family {name}; one of {', '.join(FAMILIES)}")
        for count in map(int, chosen.samples.split(",")):
            found = list(_measure(zoo, name, chosen.models, count))
            print_title(f"{name}, {count} clean samples, {len(found)} models")
            print_rows(_rows(found))


def _measure(zoo: Zoo, name: str, nmodels: int, nsamples: int) -> Iterator[Trio]:
    family = zoo.family(name)
    kinds = [kind for kind in family.kinds if kind not in {SOURCE_SPECIFIC, FLIP}]
    chosen = members("sealed", family, clean=1, planted=nmodels, twins=1, kinds=kinds)
    twins = [zoo.model(member).classifier for member in chosen if member.kind == TWIN]
    train, test = family.data()
    for number, member in enumerate(m for m in chosen if m.is_planted):
        model = zoo.model(member)
        if model.attack is not None and model.record.asr >= ASR_COUNTS:
            samples = draw_clean(train, nsamples, _FIRST_DRAW + number)
            reference = family.reference(samples, twins)
            runs = [
                defence.run(model.classifier, samples, seed=number, reference=reference)
                for defence in (_DEFENCES[family.form], UNTAUGHT)
            ]
            yield Trio(*(_judge(one, model.attack, test) for one in (model.classifier, *runs)))


def _judge(model: Classifier, attack: Attack, test: Samples) -> Figures:
    return Figures(model.accuracy(test), asr(model, attack, test).rate)


def _rows(found: Sequence[Trio]) -> list[Row]:
    rows = [
        Row(
            f"{whose}: accuracy; success of the trigger",
            f"{_mean([getattr(trio, whose).accuracy for trio in found], 100, '{:.1f}')} %; "
            f"{_mean([getattr(trio, whose).asr for trio in found], 1, '{:.2f}')}",
        )
        for whose in Trio._fields
    ]
    gains = [trio.defended.accuracy - trio.alone.accuracy for trio in found]
    more = [trio.defended.asr - trio.alone.asr for trio in found]
    return [
        *rows,
        Row("what the suspect adds, in points", _mean(gains, 100, "{:+.1f}")),
        Row("and to the success of its trigger", _mean(more, 1, "{:+.2f}")),
    ]


def _mean(values: Sequence[float], unit: float, form: str) -> str:
    mean = mean_over(values)
    if mean is None:
        return "-"
    value, *bounds = (
        form.format(unit * v) for v in (mean.value, mean.low, mean.high) if v is not None
    )
    return f"{value} [{', '.join(bounds)}]" if bounds else value


if __name__ == "__main__":
    main()
