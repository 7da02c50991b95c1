"""Tunes all arms alike, seed by seed, and writes the assembled one."""

from __future__ import annotations

import functools
import itertools
import os
import shutil
from typing import TYPE_CHECKING, Final

from seedpack.errors import ExtractError, StoreError, TrainingError
from seedpack.files import atomic_directory, atomic_output
from seedpack.frameworks import open_model
from seedpack.training import check_split, get_task, read_examples
from seedpack.training.examples import USUAL_COLUMNS
from seedpack.training.recipes import default_recipe
from seedpack.training.sampling import draw_samples, hold_out
from seedpack.tune.plan import TunePlan
from seedpack.tune.report import (
    ASSEMBLED,
    CONTROL,
    ORIGINAL,
    TuneReport,
    compare_arms,
    report_arms,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from seedpack.training import Columns, Examples, Split
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Adapter

    Watch = Callable[[str, int, int], None]

_WEIGHTS: Final = frozenset({"model.safetensors", "config.json"})


def load_split(
    task: str,
    train: str | Path,
    evaluation: str | Path,
    plan: TunePlan,
    *,
    columns: Columns = USUAL_COLUMNS,
) -> Split:
    """Read and check the data of ``task``; nothing of a model is touched.

    Raises:
        TrainingError: TRN-1 to TRN-9.
    """
    chosen = get_task(task)
    split = check_split(
        chosen,
        read_examples(train, chosen.forms, columns=columns),
        read_examples(evaluation, chosen.forms, columns=columns),
    )
    for seed in plan.seeds:
        draw_samples(split, plan.samples, seed=seed)
    return split


def tune_model(
    model: Path,
    task: str,
    train: str | Path,
    evaluation: str | Path,
    *,
    plan: TunePlan | None = None,
    output: Path | None = None,
) -> TuneReport:
    """Tune ``model`` for ``task``: ``load_split``, then ``tune``.

    Args:
        model: A transformers folder, or with a factory a weights file.
        task: One of ``seedpack.training.TASKS``.
        train: What to tune on: a file, a folder of images or the id of a data set.
        evaluation: What to measure on.
        plan: Samples, epochs, seeds, arms; default: all samples, one seed, with control arm.
        output: Where the tuned model goes.

    Raises:
        TrainingError: TRN-1 to TRN-13.
        AssemblyError: ASM-1, ASM-5, factory and weights do not fit.
        StoreError: OUT-1, OUT-2.
    """
    chosen = plan or TunePlan()
    split = load_split(task, train, evaluation, chosen)
    return tune(model, split, chosen, output=output)


def tune(
    model: Path,
    split: Split,
    plan: TunePlan,
    *,
    output: Path | None = None,
    progress: Watch | None = None,
) -> TuneReport:
    """Tune ``model`` and its control arm, and evaluate all arms on the same examples.

    Args:
        model: A transformers folder, or with a factory a weights file.
        split: From ``load_split``.
        plan: How.
        output: Where the tuned model of the first seed goes: a new folder, or a ``.safetensors``
            file for a factory's module.
        progress: Called with the arm, steps done and steps in all.

    Raises:
        TrainingError: TRN-7, model and data do not fit; TRN-12, TRN-13; TRN-18, a checkpoint is of
            another training.
        AssemblyError: ASM-1, ASM-5, factory and weights do not fit.
        StoreError: OUT-1, OUT-2.
    """
    arms = {ASSEMBLED: model}
    if plan.control:
        arms[CONTROL] = model
    if plan.original is not None:
        arms[ORIGINAL] = plan.original
    if output is not None and os.path.lexists(output):
        raise StoreError(
            "already exists",
            rule="OUT-2",
            where=str(output),
            hint="remove it or choose another name",
        )
    for path in set(arms.values()):
        _check_model(path)
    nsamples = plan.samples or len(split.train)
    recipe = default_recipe(nsamples, epochs=plan.epochs, robust=plan.robust)
    scores: dict[str, list[list[Score]]] = {arm: [] for arm in arms}
    begun = _checkpoints(plan, arms)
    for seed in plan.seeds:
        for arm, path in arms.items():
            watch = None if progress is None else functools.partial(progress, arm)
            adapter = tune_arm(
                path,
                split,
                plan,
                recipe,
                seed=seed,
                random_init=arm == CONTROL,
                progress=watch,
                checkpoint=begun.get((arm, seed)),
            )
            scores[arm].append(evaluate(adapter, split, recipe))
            if output is not None and arm == ASSEMBLED and seed == plan.seed:
                write_tuned(adapter, model, output)
    for checkpoint in begun.values():  # only now: a finished arm is not tuned twice either
        checkpoint.unlink(missing_ok=True)
    difference, p, kept = compare_arms(scores)
    return TuneReport(
        task=split.task.name,
        samples=nsamples,
        dropped=split.ndropped,
        seeds=plan.seeds,
        recipe=recipe,
        arms=report_arms(scores),
        control_difference=difference,
        control_p=p,
        retention=kept,
        output=None if output is None else str(output),
    )


def _checkpoints(plan: TunePlan, arms: Iterable[str]) -> dict[tuple[str, int], Path]:
    """Return where each training is written down, nowhere without a folder for it."""
    if plan.checkpoints is None:
        return {}
    plan.checkpoints.mkdir(parents=True, exist_ok=True)
    pairs = itertools.product(arms, plan.seeds)
    return {(arm, seed): plan.checkpoints / f"{arm}-{seed}.safetensors" for arm, seed in pairs}


def _check_model(path: Path) -> None:
    """Refuse what is no model, or points to code, with the rules of extraction."""
    try:
        open_model(path)
    except ExtractError as error:
        raise TrainingError(
            f"{error.message} ({error.rule})", rule="TRN-7", where=error.where, hint=error.hint
        ) from error


def tune_arm(  # noqa: PLR0913 -- one call, all that it depends on
    path: Path,
    split: Split,
    plan: TunePlan,
    recipe: Recipe,
    *,
    seed: int,
    random_init: bool = False,
    alter: Callable[[Examples], Examples] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> Adapter:
    """Return the model of ``path``, or its architecture at random, tuned with one seed.

    Args:
        path: The model.
        split: Checked data.
        plan: Samples and factory.
        recipe: How.
        seed: Of everything random.
        random_init: Take the architecture alone.
        alter: Changes the drawn samples, as audits of wrong or poisoned data do.
        progress: Called with steps done and steps in all.
        checkpoint: A file that is written after each epoch, and gone on from where it exists.

    Raises:
        TrainingError: TRN-7, model and data do not fit; TRN-12, TRN-13; TRN-18, the checkpoint is
            of another training.
        AssemblyError: ASM-1, ASM-5, factory and weights do not fit.
    """
    from seedpack.training.loop import train  # noqa: PLC0415 -- torch
    from seedpack.training.tasks.opening import open_adapter  # noqa: PLC0415 -- torch

    adapter = open_adapter(split, path, factory=plan.factory, random_init=random_init, seed=seed)

    samples = draw_samples(split, plan.samples, seed=seed)
    if alter is not None:
        samples = alter(samples)
    fitted, held = list(range(len(samples))), list[int]()  # TRN-19
    if recipe.holds_out:
        stratify = bool(split.labels) and samples.form != "tokens"
        fitted, held = hold_out(samples, stratify=stratify, seed=seed)
    items = adapter.encode(samples, recipe)
    fit_items, held_items = [items[i] for i in fitted], [items[i] for i in held]
    held_examples = samples.take(held)
    train(
        adapter,
        fit_items,
        held_items,
        recipe,
        seed=seed,
        judge=lambda answers: adapter.score(answers, held_examples)[0].value,
        progress=progress,
        checkpoint=checkpoint,
    )
    return adapter


def evaluate(adapter: Adapter, split: Split, recipe: Recipe) -> list[Score]:
    """Return the scores of a tuned model on the evaluation."""
    from seedpack.training.batches import answer  # noqa: PLC0415 -- torch

    items = adapter.encode(split.evaluation, recipe)
    return adapter.score(answer(adapter, items), split.evaluation)


def write_tuned(adapter: Adapter, model: Path, output: Path) -> None:
    """Write a changed model beside the companions of the one that it came from.

    Args:
        adapter: Holds the model.
        model: The folder or file that it was opened from.
        output: A new folder, or a file.

    Raises:
        StoreError: OUT-1, OUT-2.
    """
    if model.is_dir():
        with atomic_directory(output) as folder:
            _copy_companions(model, folder)
            adapter.save(folder)
        return
    with atomic_output(output) as file:
        file.write(adapter.as_bytes())


def _copy_companions(model: Path, folder: Path) -> None:
    """Copy what lies beside the weights: tokenizer, licence, card."""
    for path in sorted(model.rglob("*")):
        name = path.relative_to(model)
        if path.is_file() and str(name) not in _WEIGHTS and path.suffix != ".bin":
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
