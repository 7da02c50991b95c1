"""The sets that a model is tried on beside its evaluation: given by the user, or generated.

--shift DATA ──read, checked as evaluation──> Shift
evaluation, some of it ──each corruption────> Shift, with the places of its examples
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.audits.measures import consumer_arm, data_of
from seedpack.training import Columns, check_split, read_examples

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits.base import Context
    from seedpack.training import Examples, Split
    from seedpack.training.tasks.base import Adapter, Item

_MAX_EXAMPLES: Final = {"quick": 300, "standard": 500}  # of generated corruptions; else all
_CORRUPTIBLE: Final = frozenset({"arrays", "images", "texts", "tokens"})


@dataclass(frozen=True)
class Shift:
    """One set of other data.

    Attributes:
        name: For the report.
        examples: What is asked.
        indices: Where its examples are in the evaluation; None: they are others.
        change: Of the encoded inputs; None: the examples themselves are changed.
    """

    name: str
    examples: Examples
    indices: list[int] | None = None
    change: Callable[[list[Item], Split, Adapter], list[Item]] | None = None


def given_shifts(context: Context) -> list[Shift]:
    """Read what the user gave.

    Raises:
        TrainingError: TRN-1 to TRN-7, it is no data for the task, or has labels of its own:
            AUD-SHI-3.
    """
    _, split = data_of(context)
    shifts = []
    for path in context.spec.shifts:
        columns = Columns(*context.spec.columns)
        examples = read_examples(path, split.task.forms, columns=columns)
        checked = check_split(split.task, split.train, examples)
        shifts.append(Shift(f"data {path.rpartition('/')[2]}", checked.evaluation))
    return shifts


def generated_shifts(context: Context) -> list[Shift]:
    """Corrupt the evaluation, or as much of it as the profile has time for."""
    _, split = data_of(context)
    form = split.evaluation.form
    if form not in _CORRUPTIBLE:
        return []
    count = min(len(split.evaluation), _MAX_EXAMPLES.get(context.profile.name, 1 << 31))
    random = np.random.Generator(np.random.PCG64([context.spec.random_seed, count]))
    indices = sorted(random.permutation(len(split.evaluation))[:count].tolist())
    examples = split.evaluation.take(indices)
    seed = context.spec.random_seed
    if form in {"texts", "tokens"}:
        return [
            Shift(name, replace(examples, inputs=inputs), indices)
            for name, inputs in _corrupted_texts(examples, seed)
        ]
    return [
        Shift(name, examples, indices, _change_of(name, seed))
        for name in _names_of_arrays(context, examples)
    ]


def _corrupted_texts(examples: Examples, seed: int) -> list[tuple[str, list[Any]]]:
    from seedpack.audits.corruptions import texts  # noqa: PLC0415 -- where asked for

    if examples.form == "texts":
        return [(n, texts.corrupt(n, examples.inputs, seed=seed)) for n in texts.NAMES]
    names = texts.NAMES_IN_PLACE
    return [(n, texts.corrupt_words(n, examples.inputs, seed=seed)) for n in names]


def _names_of_arrays(context: Context, examples: Examples) -> tuple[str, ...]:
    import torch  # noqa: PLC0415 -- torch

    from seedpack.audits.corruptions import images  # noqa: PLC0415 -- torch

    arms, _ = data_of(context)
    adapter = arms.untuned(context.spec.model)
    item = adapter.encode(examples.take([0]), arms.recipe(consumer_arm(context)))[0]
    return images.names_for(torch.as_tensor(item["x"])[None])


def _change_of(name: str, seed: int) -> Callable[[list[Item], Split, Adapter], list[Item]]:
    def change(items: list[Item], split: Split, adapter: Adapter) -> list[Item]:
        import torch  # noqa: PLC0415 -- torch

        from seedpack.audits.corruptions import images  # noqa: PLC0415 -- torch
        from seedpack.backdoors.classifiers import samples_of  # noqa: PLC0415 -- torch

        known = samples_of(adapter, split.train).x  # what inputs of this model can be
        x = torch.stack([torch.as_tensor(item["x"]) for item in items])
        low, high = float(known.min()), float(known.max())
        changed = images.corrupt(name, x, low=low, high=high, seed=seed).numpy()
        return [{**item, "x": changed[i]} for i, item in enumerate(items)]

    return change
