"""Defends a stored model: opened at its task, changed, written anew.

    model, Split ──open_adapter──> adapter ──defend──> changed in place ──write_tuned──> output
    clean reference (or none) ──a head, where it has none──┘
          └─ fitted to the clean samples, as tuning begins

``output`` is there only when the defence is complete.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from seedpack.backdoors.classifiers import from_adapter, samples_of
from seedpack.backdoors.defence.defending import Defending, defend, held_out
from seedpack.errors import TrainingError
from seedpack.training.recipes import default_recipe
from seedpack.training.sampling import draw_samples
from seedpack.training.tasks.opening import open_adapter
from seedpack.tune import write_tuned

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.defence.report import DefenceReport
    from seedpack.training import Split
    from seedpack.training.tasks.base import Adapter
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
        reference: A clean model of the same architecture, which relearning starts from; it need
            not know the task.
        options: How; its seed and reference are those given here.

    Raises:
        TrainingError: TRN-7, no classifier, or a reference of another architecture; AUD-DEF-1,
            too few clean samples.
        StoreError: OUT-1, OUT-2.
    """
    adapter = open_adapter(split, model, factory=plan.factory, seed=plan.seed)
    clean = None
    if reference is not None:
        clean = _open_reference(reference, adapter, split, plan)
    chosen = replace(options or Defending(), seed=plan.seed, reference=clean)
    report = defend(adapter, split, chosen, samples=plan.samples)
    write_tuned(adapter, model, output)
    return report


def _open_reference(path: Path, suspect: Adapter, split: Split, plan: TunePlan) -> Classifier:
    """Return a clean model that can take the suspect's place (AUD-DEF-7).

    Raises:
        TrainingError: TRN-7.
    """
    adapter = open_adapter(split, path, factory=plan.factory, seed=plan.seed)
    if _shapes(adapter) != _shapes(suspect):
        raise TrainingError(
            "the reference is of another architecture than the model",
            rule="TRN-7",
            where=str(path),
            hint="give the clean model that this one was tuned from, with the same kind of head",
        )
    if not adapter.has_trained_head:
        recipe = default_recipe(plan.samples or len(split.train))
        examples = draw_samples(split, plan.samples, seed=plan.seed)
        is_held = held_out(samples_of(adapter, examples).y, plan.seed).tolist()
        items = adapter.encode(examples, recipe)
        # The samples that a method is chosen by stay unseen.
        fitted = [item for item, held in zip(items, is_held, strict=True) if not held]
        adapter.warm_start(fitted, (), recipe)
    return from_adapter(adapter, split)


def _shapes(adapter: Adapter) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in adapter.model.state_dict().items()}
