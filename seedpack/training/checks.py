"""Everything that is refused before a model is loaded (spec: TRN-3 to TRN-8, TRN-10, TRN-17).

train, evaluation ──one form, one shape──> labels of train ──evaluation knows no others──>
Split, from whose training part every example of the evaluation was taken out
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from seedpack.training.examples import Examples
    from seedpack.training.tasks import Task

_INTEGER: Final = re.compile(r"\A-?[0-9]{1,18}\Z")
_MIN_EXAMPLES: Final = 2  # TRN-8: one to train on, one to hold out
_SURELY_NO_CLASSES: Final = 20  # as many different labels, one per example: numbers or ids


@dataclass(frozen=True)
class Split:
    """Data that fit together and fit the task.

    Attributes:
        task: What is to be learned.
        labels: The classes or tags, in the order of the model's outputs; empty for other tasks.
        train: Examples to train on, without those of ``evaluation``.
        evaluation: Examples that only measure.
        ndropped: How many training examples stood in the evaluation as well.
    """

    task: Task
    labels: tuple[str, ...]
    train: Examples
    evaluation: Examples
    ndropped: int


def check_split(task: Task, train: Examples, evaluation: Examples) -> Split:
    """Return ``train`` and ``evaluation`` once they fit together.

    Raises:
        TrainingError: TRN-5, one class only; TRN-6, labels that training does not show; TRN-7, not
            of this task or of each other; TRN-8, too few.
    """
    for examples in (train, evaluation):
        _check_form(task, examples)
    if train.form != evaluation.form or train.is_numeric != evaluation.is_numeric:
        raise TrainingError("not of the kind of the training data", rule="TRN-7", where=_at(task))
    _check_shapes(train, evaluation)
    labels = _labels(task, train)
    if labels:
        _check_seen(labels, evaluation)
    known = set(_keys(evaluation))
    kept = [i for i, key in enumerate(_keys(train)) if key not in known]
    remaining = train.take(kept)
    for examples, what in ((remaining, "to train on"), (evaluation, "to evaluate on")):
        if len(examples) < _MIN_EXAMPLES:
            raise TrainingError(
                f"{len(examples)} examples {what}",
                rule="TRN-8",
                where=examples.where,
                hint="examples of the evaluation are never trained on",
            )
    if labels and set(_each_label(remaining)) != set(labels):
        raise TrainingError(
            "a class has no example outside of the evaluation", rule="TRN-8", where=train.where
        )
    return Split(task, labels, remaining, evaluation, len(train) - len(kept))


def _at(task: Task) -> str:
    return f"task {task.name}"


def _check_form(task: Task, examples: Examples) -> None:
    if examples.form not in task.forms:
        raise TrainingError(
            f"{examples.form} are no data for {task.name}",
            rule="TRN-7",
            where=examples.where,
            hint=f"it takes {' or '.join(task.forms)}",
        )
    if examples.is_numeric and not task.takes_numbers:
        raise TrainingError(
            "targets are numbers, not classes",
            rule="TRN-7",
            where=examples.where,
            hint="give integers or words, or use the task generic",
        )


def _check_shapes(train: Examples, evaluation: Examples) -> None:
    if train.form != "arrays":
        return
    shapes = [np.shape(examples.inputs)[1:] for examples in (train, evaluation)]
    if shapes[0] != shapes[1]:
        raise TrainingError(
            f"entries of shape {list(shapes[1])}, in training {list(shapes[0])}",
            rule="TRN-7",
            where=evaluation.where,
        )


def _labels(task: Task, examples: Examples) -> tuple[str, ...]:
    if not task.has_labels or examples.is_numeric:
        return ()
    labels = tuple(sorted(set(_each_label(examples)), key=_label_order))
    if len(labels) < 2:  # noqa: PLR2004 -- to tell apart
        raise TrainingError(
            f"one class only: {labels[0][:40]!a}",
            rule="TRN-5",
            where=examples.where,
            hint="a model learns to tell classes apart; give examples of two or more",
        )
    if len(labels) == len(examples) > _SURELY_NO_CLASSES and examples.form != "tokens":
        raise TrainingError(
            "no two examples have the same label",
            rule="TRN-7",
            where=examples.where,
            hint="is the column of labels the right one?",
        )
    return labels


def _check_seen(labels: tuple[str, ...], evaluation: Examples) -> None:
    unseen = sorted(set(_each_label(evaluation)) - set(labels))
    if unseen:
        raise TrainingError(
            f"label {unseen[0][:40]!a} is not in the training data",
            rule="TRN-6",
            where=evaluation.where,
            hint=f"it has {', '.join(labels)}"[:300],
        )


def _each_label(examples: Examples) -> Iterator[str]:
    if examples.form == "tokens":
        return chain.from_iterable(examples.targets)
    return iter(examples.targets)


def _label_order(label: str) -> tuple[int, int, str]:
    """Order integers as integers, before words."""
    return (0, int(label), label) if _INTEGER.match(label) else (1, 0, label)


def _keys(examples: Examples) -> Iterator[Hashable]:
    for value in examples.inputs:
        yield _key(value)


def _key(value: Any) -> Hashable:  # noqa: ANN401 -- an input of any form
    if isinstance(value, np.ndarray | np.generic):
        return value.tobytes()
    key: Hashable = value.strip() if isinstance(value, str) else value
    return key
