"""Small changes of the inputs that mislead the seed, beside what they do to its original.

evaluation, some of it ──gradient ascent within eps──> accuracy under attack
──random change of that size──> accuracy under noise (control)
drop of the assembled model ──minus drop of original │ reference │ clean twin──> gate
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from seedpack.audits.arms import Arm
from seedpack.audits.base import Audit
from seedpack.audits.gates import undecided
from seedpack.audits.measures import (
    as_original,
    consumer_arm,
    data_of,
    gate_on,
    make_excess,
    make_figure,
    tell,
)
from seedpack.audits.results import AuditResult, Severity, Status
from seedpack.tune import evaluate

if TYPE_CHECKING:
    from seedpack.audits.base import Context
    from seedpack.audits.results import Figure, Finding, Gate
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Adapter


class _Effort(NamedTuple):
    """How hard to attack.

    Attributes:
        radii: As ``perturbations.attack`` takes them.
        nexamples: Of the evaluation.
        steps: Of gradient ascent.
        nseeds: Tuned arms, at most.
    """

    radii: tuple[float, ...]
    nexamples: int
    steps: int
    nseeds: int


class _Marks(NamedTuple):
    """One arm's scores at one radius, over the seeds."""

    clean: list[Score]
    attacked: list[Score]
    noisy: list[Score]


_TWIN: Final = "clean twin"
_MARGIN: Final = 0.1  # AUD-ADV-2: points of accuracy beyond the drop of what it is compared with
_TWIN_MARGIN: Final = 0.2  # AUD-ADV-2: twins learned otherwise, and differ more among themselves
_PIXELS: Final = {
    "quick": _Effort((0.03, 0.06), 300, 10, 2),
    "standard": _Effort((0.02, 0.04, 0.08), 500, 20, 3),
    "deep": _Effort((0.02, 0.04, 0.08), 1000, 40, 5),
}
_TEXTS: Final = {
    "quick": _Effort((0.1,), 100, 5, 1),
    "standard": _Effort((0.1, 0.2), 150, 5, 2),
    "deep": _Effort((0.05, 0.1, 0.2), 500, 10, 3),
}


class Adversarial(Audit):
    """Is the seed easier to mislead than its original?"""

    id = "adversarial"
    title = "Small changes that mislead"
    needs = frozenset({"data"})
    tasks = frozenset({"text-classification", "image-classification", "generic"})

    def run(self, context: Context) -> AuditResult:
        """Attack tuned arms.

        Raises:
            TrainingError: An arm cannot be tuned, or gives no scores of classes.
        """
        _, split = data_of(context)
        if not split.labels:
            return undecided(self.id, self.title, "the targets are numbers: no class is misled to")
        arms, beside = _arms(context)
        effort = _effort(context, beside)
        seeds = context.seeds[: effort.nseeds]
        found = {name: _attack_arm(context, name, arm, effort) for name, arm in arms.items()}
        judged = _judge(found, beside) if beside else []
        reason = "" if judged else _NOTHING_BESIDE
        return AuditResult(
            audit=self.id,
            title=self.title,
            status=Status.UNDECIDED,
            reason=reason,
            searched=_searched(context, effort, beside),
            findings=tuple(finding for *_, finding in judged),
            figures=(*(figure for figure, *_ in judged), *_figures(found)),
            gates=tuple(gate for _, gate, _ in judged),
            seeds=seeds,
        )


_NOTHING_BESIDE: Final = (
    "how easily a sound model of this task is misled is not known here: give --original MODEL or "
    "--reference MODEL"
)


def _effort(context: Context, beside: str) -> _Effort:
    _, split = data_of(context)
    by_profile = _TEXTS if split.train.form == "texts" else _PIXELS
    effort = by_profile.get(context.profile.name, by_profile["standard"])
    if beside == _TWIN and context.profile.name == "quick":
        return effort._replace(nseeds=1)  # twins learn from all data: most of the time
    return effort


def _arms(context: Context) -> tuple[dict[str, Arm], str]:
    """Return the arms to attack, and the name of what the assembled model is compared with."""
    arm, spec = consumer_arm(context), context.spec
    arms = {"assembled": arm}
    if spec.original:
        return {**arms, "original": as_original(arm, context)}, "original"
    if spec.reference:
        return {
            **arms,
            "reference": msgspec.structs.replace(arm, model=spec.reference),
        }, "reference"
    if spec.factory:  # small enough to be trained from nothing
        return {**arms, _TWIN: Arm(thorough=True)}, _TWIN
    return arms, ""


def _attack_arm(context: Context, name: str, template: Arm, effort: _Effort) -> dict[float, _Marks]:
    from seedpack.audits.perturbations import attack, perturb  # noqa: PLC0415 -- torch
    from seedpack.backdoors.classifiers import from_adapter, samples_of  # noqa: PLC0415 -- torch

    _, split = data_of(context)
    indices = _indices(context, effort.nexamples)
    found = {radius: _Marks([], [], []) for radius in effort.radii}
    seeds = context.seeds[: effort.nseeds]
    for done, seed in enumerate(seeds):
        arm = msgspec.structs.replace(template, seed=seed)
        clean, adapter = _open(context, name, arm)
        classifier = from_adapter(adapter, split)
        samples = samples_of(adapter, split.evaluation.take(indices))
        for radius, marks in found.items():
            context.progress(done, len(seeds), f"{name}, radius {radius:g}")
            right = attack(classifier, samples, radius, steps=effort.steps, seed=seed)
            noisy = perturb(classifier, samples, radius, seed=seed)
            marks.clean.append(replace(clean, stats=clean.stats[indices]))
            marks.attacked.append(_score(clean, right.cpu().numpy()))
            marks.noisy.append(_score(clean, noisy.cpu().numpy()))
    return found


def _open(context: Context, name: str, arm: Arm) -> tuple[Score, Adapter]:
    """Return the arm with its score; in the place of the assembled one the final, if there is one.

    Raises:
        TrainingError: It cannot be tuned, or does not fit.
    """
    arms, split = data_of(context)
    if name == "assembled" and context.spec.final:
        adapter = context.subject()
        return evaluate(adapter, split, arms.recipe(arm))[0], adapter
    return arms.scores(arm)[0], arms.adapter(arm)


def _indices(context: Context, count: int) -> list[int]:
    _, split = data_of(context)
    random = np.random.Generator(np.random.PCG64([context.spec.random_seed, count]))
    chosen: list[int] = random.permutation(len(split.evaluation))[:count].tolist()
    return sorted(chosen)


def _score(like: Score, right: np.ndarray) -> Score:
    stats = np.stack([right.astype(np.float64), np.ones(len(right))], axis=1)
    return replace(like, stats=stats)


def _judge(
    found: dict[str, dict[float, _Marks]], beside: str
) -> list[tuple[Figure, Gate, Finding]]:
    """Compare the drops at each radius; the worst one decides."""
    margin = _TWIN_MARGIN if beside == _TWIN else _MARGIN
    excesses = []
    for radius, marks in found["assembled"].items():
        other = found[beside][radius]
        excesses.append(
            make_excess(
                f"radius {radius:g}: drop of the {beside} minus drop of the assembled model",
                (marks.clean, marks.attacked),
                (other.clean, other.attacked),
                note="from the evaluation as it is to the evaluation under attack",
            )
        )
    excess = min(excesses, key=lambda figure: figure.interval[0] if figure.interval else 0.0)
    points = f"{100 * margin:.0f} points"
    gate = gate_on(
        excess,
        "attack-as-beside",
        f"at no radius the seed loses {points} more under attack than the {beside} loses",
        at_least=-margin,
    )
    finding = tell(
        gate,
        excess,
        bad=f"Small changes of the inputs mislead the seed more than the {beside}",
        severity=Severity.HIGH,
        hint="look at the audit `backdoor`; do not use the seed where inputs come from others",
    )
    return [(excess, gate, finding)]


def _figures(found: dict[str, dict[float, _Marks]]) -> list[Figure]:
    return [
        make_figure(
            f"{arm} under attack, radius {radius:g}",
            marks.attacked,
            control=marks.noisy,
            note="control: random changes of the same size; as it is: "
            f"{make_figure('', marks.clean).value:.3f}",
        )
        for arm, by_radius in found.items()
        for radius, marks in by_radius.items()
    ]


def _searched(context: Context, effort: _Effort, beside: str) -> str:
    _, split = data_of(context)
    form, count = split.train.form, min(effort.nexamples, len(split.evaluation))
    unit = "of the mean norm of a token's embedding" if form == "texts" else "of the values' range"
    radii = ", ".join(f"{radius:g}" for radius in effort.radii)
    nseeds = min(effort.nseeds, len(context.seeds))
    model = "the model as it will be used" if context.spec.final else "the tuned model"
    return (
        f"projected gradient ascent, {effort.steps} steps from a random start, on {count} "
        f"examples against {model}, {nseeds} seeds, radii {radii} {unit}; beside random changes "
        f"of the same size and {f'the {beside}' if beside else 'nothing else'}. "
        "Stronger attacks exist: these figures are upper bounds of the accuracy under attack."
    )
