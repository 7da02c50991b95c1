"""What extraction with training and tuning share: data, tasks, figures, loops.

    DATA ──data──> Examples ──checks──> refused here, before any model is loaded (spec: TRN)
                      │
                   sampling ──> training part │ held-out part │ evaluation, never trained on
                      │
    model ──tasks──> encoded items ──loop──> tuned model ──> answers ──scores──> Score
                                                                           │
                                       statistics ── intervals, retention ─┘

torch and transformers are imported when a model is loaded; whatever stands before that,
refusals included, works without them.
"""

from __future__ import annotations

from seedpack.training.checks import Split, check_split
from seedpack.training.data import read_examples
from seedpack.training.examples import Answer, Columns, Examples, Question
from seedpack.training.tasks import TASKS, get_task

__all__ = [
    "TASKS",
    "Answer",
    "Columns",
    "Examples",
    "Question",
    "Split",
    "check_split",
    "get_task",
    "read_examples",
]
