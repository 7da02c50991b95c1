"""From a task's name to a model at work on it; the one place that knows all adapters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.errors import TrainingError
from seedpack.training.packages import import_package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.training.checks import Split
    from seedpack.training.tasks.base import Adapter

_TORCH: Final = ("torch", "transformers", "accelerate")


def open_adapter(
    split: Split, model: Path, *, factory: str | None = None, random_init: bool = False, seed: int
) -> Adapter:
    """Return ``model`` at the task of ``split``.

    Args:
        split: Checked data.
        model: A transformers folder; with a factory, a file of weights.
        factory: ``module:function`` of the user's own, for plain torch modules.
        random_init: Take the architecture with random weights: the control arm.
        seed: Of whatever is initialised.

    Raises:
        TrainingError: TRN-7, model, data and task do not fit; TRN-12, a package is missing.
        AssemblyError: ASM-1, ASM-5, factory and weights do not fit.
    """
    for name in _TORCH:
        import_package(name, extra="torch")
    if factory is not None:
        return _open_module(split, model, factory, random_init=random_init, seed=seed)
    if not model.is_dir() or split.task.needs_factory:
        raise TrainingError(
            "weights without an architecture",
            rule="TRN-7",
            where=str(model),
            hint="say how the model is built: --factory module:function",
        )
    return _classes()[split.task.name](split, model, random_init=random_init, seed=seed)


def _open_module(
    split: Split, model: Path, factory: str, *, random_init: bool, seed: int
) -> Adapter:
    from seedpack.training.tasks.arrays import ModuleTask  # noqa: PLC0415 -- torch

    if split.train.form != "arrays":
        raise TrainingError(
            f"a factory's model takes arrays, these are {split.train.form}",
            rule="TRN-7",
            where=split.train.where,
            hint="give an npz",
        )
    return ModuleTask(split, model, factory=factory, random_init=random_init, seed=seed)


def _classes() -> dict[str, Callable[..., Adapter]]:
    from seedpack.training.tasks.arrays import ImageClassification  # noqa: PLC0415 -- torch
    from seedpack.training.tasks.language import LanguageModeling  # noqa: PLC0415 -- torch
    from seedpack.training.tasks.questions import QuestionAnswering  # noqa: PLC0415 -- torch
    from seedpack.training.tasks.text import TextClassification  # noqa: PLC0415 -- torch
    from seedpack.training.tasks.tokens import TokenClassification  # noqa: PLC0415 -- torch

    return {
        "image-classification": ImageClassification,
        "language-modeling": LanguageModeling,
        "question-answering": QuestionAnswering,
        "text-classification": TextClassification,
        "token-classification": TokenClassification,
    }
