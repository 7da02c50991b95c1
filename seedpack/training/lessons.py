"""Teacher and student brought together: what is read, learned, and judged.

design, teacher, texts ──make_lessons──> Lessons ── fresh_arrays()   shapes; the control arm
                                                 ── give()           arrays and steps
                                                 ── judge            figures on held-out texts
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from seedpack.frameworks.running import load_model
from seedpack.training.distillation import distil
from seedpack.training.readers import agreement, as_reader, embed, encode_texts, open_reader
from seedpack.training.shallow_students import ShallowStudent, copy_layers, list_arrays, make_model
from seedpack.training.static_students import MATRIX_BITS, TOKENS, StaticStudent, shown_tokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.frameworks import ModelSource
    from seedpack.training.distillation import Effort, Student
    from seedpack.training.passages import Passages
    from seedpack.training.readers import Reader, Rows
    from seedpack.training.resumption import Progress
    from seedpack.training.students import Design

    Report = Callable[[int, int], None]


class Trained(NamedTuple):
    """A student that has learned."""

    arrays: dict[str, np.ndarray]
    steps: dict[str, float]


class Judge:
    """Compares a student with its teacher, on texts that only measure (EXT-45)."""

    def __init__(self, teacher: Reader, fresh: Reader, rows: Rows) -> None:
        """Measure the control arm: ``fresh``, of the student's architecture and random weights."""
        self._teacher = teacher
        self._rows = rows
        self.control = float(agreement(teacher, fresh, rows).mean())
        classes = getattr(teacher.model.config, "vocab_size", 0) or 1
        self.metric = "cosine to teacher" if teacher.gives_states else "same answer as teacher"
        self.chance = 0.0 if teacher.gives_states else 1 / classes

    def measure(self, student: ModelSource) -> np.ndarray:
        """Return the figure of each text (n,)."""
        return agreement(self._teacher, as_reader(load_model(student)), self._rows)


class Lessons:
    """A teacher, its texts, and the student to be."""

    def __init__(self, design: Design, teacher: Reader, tokenizer: Any, passages: Passages) -> None:  # noqa: ANN401
        """Read nothing yet but the texts."""
        self._design = design
        self._teacher = teacher
        self._special = list(tokenizer("")["input_ids"])
        self._rows = encode_texts(tokenizer, passages.train, teacher.model.config)
        held_out = encode_texts(tokenizer, passages.held_out, teacher.model.config)
        self._fresh = make_model(design, seed=0)
        self._is_static = design.kind == "static"
        self.judge = Judge(teacher, as_reader(self._fresh), held_out)

    def fresh_arrays(self) -> dict[str, np.ndarray]:
        """Return the tensors of a student that knows nothing, with zeros where they will stay."""
        arrays = list_arrays(self._fresh)
        if self._is_static:
            tokens, _ = shown_tokens(self._rows)
            vectors = np.zeros_like(arrays[TOKENS])
            vectors[tokens] = arrays[TOKENS][tokens]
            arrays[TOKENS] = vectors
        return arrays

    def give(
        self, nbytes: float, effort: Effort, checkpoint: Progress, report: Report | None
    ) -> Trained:
        """Train the student so that its matrices take about ``nbytes``."""
        student: Student
        if self._is_static:
            config = self._design.config
            nbytes -= config["hidden_size"] * config["embedding_size"] * MATRIX_BITS / 8
            student = self._static(max(nbytes, 1.0), checkpoint, report)
        else:
            student = self._shallow()
        steps = distil(student, max(nbytes, 1.0), effort, checkpoint, report)
        return Trained(student.arrays(), steps)

    def _shallow(self) -> Student:
        copy_layers(self._fresh, self._teacher.model, self._design)
        return ShallowStudent(self._fresh, self._teacher, self._rows)

    def _static(self, nbytes: float, checkpoint: Progress, report: Report | None) -> Student:
        known = checkpoint.load("teacher")
        if known is None:
            tokens, _ = shown_tokens(self._rows)
            # Each token between the special ones, as a text of its own.
            before, after = self._special[:1], self._special[1:]
            alone = [[*before, int(token), *after] for token in tokens]
            known = {
                "targets": embed(self._teacher, self._rows, report),
                "singles": embed(self._teacher, alone, report),
            }
            checkpoint.save("teacher", known)
        return StaticStudent(
            self._design.config, self._rows, known["targets"], known["singles"], nbytes
        )


def make_lessons(
    design: Design,
    teacher: ModelSource,
    tokenizer: Any,  # noqa: ANN401 -- transformers has no common class
    passages: Passages,
    folder: Path,
) -> Lessons:
    """Return the lessons of a teacher that can be run.

    Raises:
        ExtractError: EXT-48, the teacher reads no text, or has encoder and decoder.
    """
    return Lessons(design, open_reader(teacher, folder), tokenizer, passages)
