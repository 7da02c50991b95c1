"""The tasks that a model can be tuned and judged on: one line each here, one file each beside.

name ──> Task ──forms──> which DATA it takes           (nothing of torch)
──metrics─> what is measured, first the one that decides
──open()──> Adapter: batches, loss, answers (imports torch)
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from seedpack.training.examples import Form


@dataclass(frozen=True)
class Task:
    """What a task takes and how it is judged.

    Attributes:
        name: As on the command line.
        forms: Of examples that it takes.
        metrics: What is measured; the first one decides.
        has_labels: Whether an answer is one of a closed set that the training data shows.
        takes_numbers: Whether a target may be a number instead of a class.
        needs_factory: Whether the model comes from a factory of the user, always.
    """

    name: str
    forms: tuple[Form, ...]
    metrics: tuple[str, ...]
    has_labels: bool = True
    takes_numbers: bool = False
    needs_factory: bool = False


_CLASSES: Final = ("accuracy", "macro-f1")
TASKS: Final = {
    task.name: task
    for task in (
        Task("text-classification", ("texts",), _CLASSES),
        Task("image-classification", ("images", "arrays"), _CLASSES),
        Task("token-classification", ("tokens",), ("entity-f1", "token-accuracy")),
        Task("question-answering", ("questions",), ("f1", "exact-match"), has_labels=False),
        Task(
            "language-modeling", ("lines",), ("next-token-accuracy", "perplexity"), has_labels=False
        ),
        Task("generic", ("arrays",), _CLASSES, takes_numbers=True, needs_factory=True),
    )
}


def get_task(name: str) -> Task:
    """Return the task of that name.

    Raises:
        TrainingError: TRN-7, there is none.
    """
    if name not in TASKS:
        raise TrainingError(
            f"no task {name[:40]!a}", rule="TRN-7", where="task", hint=f"one of {', '.join(TASKS)}"
        )
    return TASKS[name]
