"""Examples as tasks see them, whatever file they came from.

form        inputs                     targets
texts       str                        label: str
tokens      tuple of str               tags: tuple of str
questions   Question                   answers: tuple of Answer
lines       str                        none; a language model predicts the text itself
arrays      (n, ...) numbers           (n,) classes as str, or (n,) numbers
images      Path of an image           label: str
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

import numpy as np

from seedpack import limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Form = Literal["texts", "tokens", "questions", "lines", "arrays", "images"]

MAX_DATA_NBYTES: Final = 1 * limits.GIB  # TRN-2: of one file
MAX_ARRAYS_NBYTES: Final = 4 * limits.GIB  # TRN-2: decoded
MAX_EXAMPLES: Final = 2_000_000  # TRN-2
MAX_TEXT_NBYTES: Final = 1 * limits.MIB  # TRN-2: of one text
MAX_PIXELS: Final = 64 * limits.MIB  # TRN-2: of one image


class Question(NamedTuple):
    """A question about a text."""

    question: str
    context: str


class Answer(NamedTuple):
    """A part of the context."""

    start: int  # characters from the start of the context
    text: str


class Columns(NamedTuple):
    """Names of the columns to read; empty: recognised by their usual names."""

    text: str = ""
    label: str = ""


USUAL_COLUMNS: Final = Columns()


@dataclass(frozen=True)
class Examples:
    """A list of inputs with what should be answered.

    Attributes:
        form: What inputs and targets are.
        inputs: One per example.
        targets: One per example; empty where the form has none.
        where: The file or data set, for messages.
    """

    form: Form
    inputs: Any  # a list, or an array whose first axis counts
    targets: Any
    where: str

    def __len__(self) -> int:
        """Return the number of examples."""
        return len(self.inputs)

    def take(self, indices: Sequence[int]) -> Examples:
        """Return the examples at ``indices``, in that order."""
        return replace(
            self,
            inputs=_take(self.inputs, indices),
            targets=_take(self.targets, indices) if len(self.targets) else self.targets,
        )

    @property
    def is_numeric(self) -> bool:
        """Whether the targets are numbers to be predicted, not classes."""
        return isinstance(self.targets, np.ndarray) and self.targets.dtype.kind == "f"


def _take(
    values: Sequence[Any] | NDArray[Any], indices: Sequence[int]
) -> Sequence[Any] | NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values[list(indices)]
    return [values[i] for i in indices]
