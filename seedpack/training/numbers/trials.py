"""The arms of a trained seed: original, seed, the student of the same bytes, random numbers.

factory(width=w) ──as wide as the seed's bytes allow, 4 bits a weight──> student
each arm ──scores of the evaluation──> Score, beside chance
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np
import torch

from seedpack.dtypes import DTYPES
from seedpack.errors import TrainingError
from seedpack.frameworks.factories import make_module
from seedpack.frameworks.sources import TensorInfo
from seedpack.training.numbers.budget import make_plain
from seedpack.training.numbers.virtual import VirtualModel, answer_of
from seedpack.training.scores import score_classes, score_numbers

if TYPE_CHECKING:
    from seedpack.frameworks.factories import Factory
    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.numbers.budget import Budget
    from seedpack.training.scores import Score

Module: TypeAlias = torch.nn.Module  # for those above who only pass it on

_STUDENT_BITS: Final = 4
_WIDTHS: Final = 256  # how finely the student's width is searched
_BATCH: Final = 256


@dataclass(frozen=True)
class Tensors:
    """Examples as torch takes them.

    Shapes:
        n: examples.
    """

    inputs: torch.Tensor  # (n, ...)
    labels: torch.Tensor  # (n,) classes, or numbers
    labels_of_all: int  # classes; 0 for numbers


def to_tensors(examples: Examples, split: Split) -> Tensors:
    """Return ``examples``, whose labels are those of ``split``."""
    inputs = np.asarray(examples.inputs)
    floats = torch.from_numpy(inputs.astype(np.float32 if inputs.dtype.kind != "i" else np.int64))
    if examples.is_numeric:
        return Tensors(floats, torch.from_numpy(np.asarray(examples.targets, np.float32)), 0)
    places = {label: index for index, label in enumerate(split.labels)}
    labels = torch.tensor([places[label] for label in examples.targets])
    return Tensors(floats, labels, len(split.labels))


def check_answers(module: torch.nn.Module, data: Tensors) -> None:
    """Refuse a module that cannot take the data, or has not a score for each class.

    Raises:
        TrainingError: TRS-1.
    """
    hint = "x of the data is what the module takes, y the number of the score, from 0"
    try:
        with torch.no_grad():
            scores = answer_of(module(data.inputs[:2]))
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        message = f"the module cannot take the data: {error}"[:300]
        raise TrainingError(message, rule="TRS-1", where="factory", hint=hint) from error
    expected = (2, data.labels_of_all) if data.labels_of_all else (2,)
    if tuple(scores.shape) != expected and not (not data.labels_of_all and scores.numel() == 2):  # noqa: PLR2004 -- two examples
        message = f"answers of shape {list(scores.shape)}, the data needs {list(expected)}"
        raise TrainingError(message, rule="TRS-1", where="factory", hint=hint)


def check_untied(module: torch.nn.Module) -> None:
    """Refuse a module that uses one parameter under two names.

    Raises:
        TrainingError: TRS-1.
    """
    tied = len(trainable_names(module)) - len(list(module.parameters()))
    if tied:
        message = f"{tied} parameters are tied to others, which cannot be trained"
        raise TrainingError(message, rule="TRS-1", where="factory")


def measure(module: torch.nn.Module, data: Tensors, train: Tensors) -> Score:
    """Return the first metric of the task for what ``module`` answers."""
    with torch.no_grad():
        scores = torch.cat([answer_of(module(part)) for part in data.inputs.split(_BATCH)])
    if not data.labels_of_all:
        numbers = scores.reshape(-1).double().numpy()
        mean = float(train.labels.double().mean())
        return score_numbers(numbers, data.labels.double().numpy(), mean=mean)[0]
    majority = int(torch.bincount(train.labels).argmax())
    return score_classes(
        scores.argmax(-1).tolist(),
        data.labels.tolist(),
        nclasses=data.labels_of_all,
        majority=majority,
    )[0]


def has_width(factory: Factory) -> bool:
    """Return whether ``factory`` can build narrower modules of the same family."""
    try:
        return "width" in inspect.signature(factory).parameters
    except (TypeError, ValueError):  # of a callable without a signature
        return False


def make_student(factory: Factory, nbytes: int, *, seed: int) -> tuple[VirtualModel, Budget] | None:
    """Return the widest module of ``factory`` that takes at most ``nbytes`` at 4 bits, untrained.

    None where even the narrowest takes more.
    """
    low, high = 0, _WIDTHS  # the widest known to fit, the narrowest known not to
    while high - low > 1:
        middle = (low + high) // 2
        if _plain_budget(factory, middle / _WIDTHS)[1].nbytes <= nbytes:
            low = middle
        else:
            high = middle
    if not low:
        return None
    module, budget = _plain_budget(factory, low / _WIDTHS)
    return VirtualModel(module, budget, seed=seed), budget


def _plain_budget(factory: Any, width: float) -> tuple[torch.nn.Module, Budget]:  # noqa: ANN401 -- a factory with an option
    module = make_module(partial(factory, width=width))
    infos = [
        TensorInfo(name, DTYPES[str(value.dtype).removeprefix("torch.")], tuple(value.shape))
        for name, value in module.state_dict().items()
    ]
    return module, make_plain(infos, trainable_names(module), _STUDENT_BITS)


def trainable_names(module: torch.nn.Module) -> frozenset[str]:
    """Return the names of all parameters, tied ones by each of their names."""
    return frozenset(name for name, _ in module.named_parameters(remove_duplicate=False))
