"""Defensive assembly of one classifier: choose on controls, apply, guard, measure, say.

    clean samples ──split──> to learn from │ held out
    bases (clean twins, else the suspect) ──plant_controls──> known backdoors
    ──try_methods──> methods, best first (and plain fine-tuning beside them)
    suspect ──best method──> held-out accuracy within the guard? found triggers gone?
        ──no──> the next that removed as many controls
    chosen ──on all clean samples──> defended model ──evaluation──> before, after, intervals
reference or random weights ──labels alone, the same samples──> what the suspect was worth

The choice sees clean samples only; ``evaluation`` measures and decides nothing.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import from_adapter, samples_of
from seedpack.backdoors.defence.base import form_of, require_enough
from seedpack.backdoors.defence.controls import make_twin, plant_controls
from seedpack.backdoors.defence.outcomes import (
    is_gone,
    make_claim,
    measure_accuracy,
    report_found,
    report_method,
    report_untaught,
    slack,
)
from seedpack.backdoors.defence.portfolio import try_methods
from seedpack.backdoors.defence.reactivation import compare_comebacks
from seedpack.backdoors.defence.registry import CONTROL, UNTAUGHT, defences_for
from seedpack.backdoors.defence.report import ComebackReport, DefenceReport
from seedpack.training.sampling import draw_samples

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.defence.base import Defence
    from seedpack.backdoors.defence.controls import Control
    from seedpack.backdoors.defence.portfolio import Trial, Watch
    from seedpack.backdoors.planting.base import Attack
    from seedpack.training.checks import Split
    from seedpack.training.tasks.base import Adapter

_HELD_OUT: Final = 0.25  # share of the clean samples
_APART: Final = 1000  # between the random seeds of planted twins and of the clean one
_CANDIDATES: Final = 3  # methods that are applied to the suspect at most


@dataclass(frozen=True)
class Defending:
    """How to defend.

    Attributes:
        ncontrols: Backdoors to plant.
        guard: Accuracy that may be lost on held-out samples, beyond twice the standard error.
        methods: To choose from; empty: all that fit the inputs.
        twins: Clean models of the same architecture to plant in; empty: copies of the suspect.
        reference: A clean model that relearning starts from; None: fresh weights.
        found: Triggers that a search found in the suspect.
        draws: Handfuls of the reactivation test; 0: no such test.
        seed: Of everything random.
        watch: Told about progress.
    """

    ncontrols: int = 3
    guard: float = 0.03
    methods: tuple[Defence, ...] = ()
    twins: tuple[Classifier, ...] = ()
    reference: Classifier | None = None
    found: tuple[Attack, ...] = ()
    draws: int = 2
    seed: int = 0
    watch: Watch | None = field(default=None, compare=False)


def defend(
    adapter: Adapter, split: Split, options: Defending | None = None, *, samples: int | None = None
) -> DefenceReport:
    """Defend the adapter's model in place, so that ``adapter.save`` writes the defended one.

    Args:
        adapter: Of a classification task.
        split: Clean data: the training part is learnt from, the evaluation measures.
        options: How.
        samples: Training examples to use, drawn class by class; None: all.

    Raises:
        TrainingError: TRN-7, no classifier; TRN-8, there are fewer samples; AUD-DEF-1, too few.
    """
    options = options or Defending()
    classifier = from_adapter(adapter, split)
    # AUD-DEF-7, those that a tuning with this seed sees: who has two hundred has no others.
    clean = samples_of(adapter, draw_samples(split, samples, seed=options.seed))
    defended, report = defend_classifier(
        classifier, clean, samples_of(adapter, split.evaluation), options
    )
    classifier.module.load_state_dict(defended.module.state_dict())
    return report


def defend_classifier(
    suspect: Classifier, samples: Samples, evaluation: Samples, options: Defending
) -> tuple[Classifier, DefenceReport]:
    """Return a defended copy and the report.

    Args:
        suspect: Is not changed.
        samples: Clean; all that the choice and the methods see.
        evaluation: Clean; measures the result, decides nothing.
        options: How.

    Raises:
        TrainingError: AUD-DEF-1, too few clean samples.
    """
    require_enough(samples)
    started = time.monotonic()
    is_held = held_out(samples.y, options.seed)
    learnt, judged = samples.take(~is_held), samples.take(is_held)
    bases = options.twins or (suspect,)
    planted = plant_controls(
        bases, learnt, judged, options.ncontrols, options.seed, options.reference
    )
    stage = _Stage(learnt, judged, [c for c in planted if c.took], len(planted), options)
    trials = stage.race(options.methods or tuple(defences_for(form_of(suspect))))
    chosen, guard_kept = stage.choose(suspect, trials)
    defended = stage.run(chosen.defence, suspect, samples)
    report = DefenceReport(
        **make_claim(chosen, len(stage.controls), stage.nplanted),
        **measure_accuracy(suspect, defended, evaluation),
        untaught=report_untaught(
            stage.run(UNTAUGHT, suspect, samples),
            defended,
            evaluation,
            has_reference=options.reference is not None,
        ),
        chosen=chosen.defence.id,
        samples=len(samples),
        chance=1 / suspect.nclasses,
        guard=options.guard,
        guard_kept=guard_kept,
        methods=tuple(report_method(trial) for trial in (*trials, *stage.race((CONTROL,)))),
        found=tuple(
            report_found(suspect, defended, attack, evaluation) for attack in options.found
        ),
        comebacks=stage.comebacks(chosen),
        seed=options.seed,
        seconds=time.monotonic() - started,
    )
    return defended, report


@dataclass(frozen=True)
class _Stage:
    """What the choice is made with."""

    learnt: Samples
    held_out: Samples
    controls: list[Control]
    nplanted: int
    options: Defending

    def run(
        self, defence: Defence, classifier: Classifier, samples: Samples, number: int = 0
    ) -> Classifier:
        seed, reference = self.options.seed + number, self.options.reference
        return defence.run(classifier, samples, seed=seed, reference=reference)

    def race(self, methods: Sequence[Defence]) -> list[Trial]:
        def apply(defence: Defence, planted: Classifier, number: int) -> Classifier:
            return self.run(defence, planted, self.learnt, number)

        return try_methods(self.controls, methods, apply, self.held_out, self.options.watch)

    def choose(self, suspect: Classifier, trials: list[Trial]) -> tuple[Trial, bool]:
        """Return the best method that keeps guard and found triggers, else the best of all."""
        best = trials[0]
        equals = [t for t in trials if t.removed.count(True) == best.removed.count(True)]
        tried = []
        for trial in equals[:_CANDIDATES]:
            defended = self.run(trial.defence, suspect, self.learnt)
            lost = suspect.accuracy(self.held_out) - defended.accuracy(self.held_out)
            nfound = sum(
                not is_gone(suspect, defended, attack, self.held_out)
                for attack in self.options.found
            )
            is_kept = lost <= self.options.guard + slack(suspect, defended, self.held_out)
            tried.append((nfound, not is_kept, lost, trial))
            if is_kept and not nfound:
                break
        _, is_broken, _, chosen = min(tried, key=lambda row: row[:3])
        return chosen, not is_broken

    def comebacks(self, chosen: Trial) -> tuple[ComebackReport, ...]:
        """Return the reactivation test of each control, beside a twin made the same way."""
        options = self.options
        if not options.draws or not self.controls:
            return ()
        base = self.controls[0].base
        twin = make_twin(base, self.learnt, options.seed + _APART, options.reference)
        return tuple(
            self._comeback(control, self._defended(chosen, number), twin)
            for number, control in enumerate(self.controls)
        )

    def _defended(self, chosen: Trial, number: int) -> Classifier:
        """Return a control after the method, as it was in the race."""
        if number < len(chosen.defended):
            return chosen.defended[number]
        return self.run(chosen.defence, self.controls[number].planted, self.learnt, number)

    def _comeback(self, control: Control, defended: Classifier, twin: Classifier) -> ComebackReport:
        result = compare_comebacks(
            defended,
            (twin,),
            control.attack,
            self.learnt,
            self.held_out,
            draws=self.options.draws,
            seed=self.options.seed,
        )
        return ComebackReport(
            attack=control.attack.id,
            steps=result.steps,
            defended=_mean(result.defended),
            twin=_mean(result.twin),
            excess=fmean(result.excess),
            no_sooner=result.is_no_sooner,
        )


def held_out(y: Tensor, seed: int) -> Tensor:
    """Return which samples (n,) the choice is judged on: of all classes about equal shares.

    Args:
        y: Classes of the clean samples (n,).
        seed: Of the draw.
    """
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    order = order[y[order].argsort(stable=True)]
    is_held = torch.zeros(len(y), dtype=torch.bool)
    is_held[order[:: round(1 / _HELD_OUT)]] = True
    return is_held


def _mean(curves: Sequence[Sequence[float]]) -> tuple[float, ...]:
    return tuple(map(fmean, zip(*curves, strict=True)))
