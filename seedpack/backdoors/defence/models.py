"""Defends a stored model: opened at its task, changed, written anew.

    model, Split ──open_adapter──> adapter ──defend──> changed in place ──write_tuned──> output
    clean reference (or none) ──────────────┘

``output`` is there only when the defence is complete.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seedpack.backdoors.classifiers import from_adapter
from seedpack.backdoors.defence.defending import Defending, defend
from seedpack.training.tasks.opening import open_adapter
from seedpack.tune import write_tuned

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.training import Split
    from seedpack.tune import TunePlan


def defend_model(
    model: Path,
    split: Split,
    plan: TunePlan,
    output: Path,
    *,
    reference: Path | None = None,
    options: Defending | None = None,
) -> DefenceReport:
    """Write a defended copy of ``model``.

    Args:
        model: A transformers folder, or with the plan's factory a file of weights.
        split: Clean data.
        plan: Samples, seed and factory.
        output: A new folder, or a file.
        reference: A clean model of the same architecture, which relearning starts from.
        options: How; its seed and reference are those given here.

    Raises:
        TrainingError: TRN-7, no classifier; AUD-DEF-1, too few clean samples.
        StoreError: OUT-1, OUT-2.
    """
    adapter = open_adapter(split, model, factory=plan.factory, seed=plan.seed)
    clean = None
    if reference is not None:
        other = open_adapter(split, reference, factory=plan.factory, seed=plan.seed)
        clean = from_adapter(other, split)
    chosen = replace(options or Defending(), seed=plan.seed, reference=clean)
    report = defend(adapter, split, chosen, samples=plan.samples)
    write_tuned(adapter, model, output)
    return report
