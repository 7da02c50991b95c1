"""A training in progress, in one safetensors file; its header holds JSON, nothing holds code."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from seedpack.errors import TrainingError
from seedpack.files import atomic_output

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

_EVERY: Final = 200  # steps
_HINT: Final = "remove it to start anew"


class Checkpoints:
    """Writes and reads the one checkpoint of one training."""

    def __init__(self, path: Path, identity: str, *, every: int = _EVERY) -> None:
        """Use ``path``.

        Args:
            path: Replaced at each checkpoint, whole or not at all.
            identity: Of model, data and course: a checkpoint of another is refused.
            every: Steps between checkpoints.
        """
        self.path = path
        self._identity = identity
        self._every = every

    def after_step(
        self, step: int, steps: int, student: nn.Module, optimizer: torch.optim.Optimizer
    ) -> None:
        """Write a checkpoint if it is time for one, and after the last step."""
        if step % self._every and step < steps:
            return
        tensors = {f"number.{name}": value for name, value in student.named_parameters()}
        for index, slots in optimizer.state_dict()["state"].items():
            tensors |= {f"adam.{index}.{name}": value for name, value in slots.items()}
        metadata = {"progress": json.dumps({"step": step, "identity": self._identity})}
        kept = {name: value.detach().clone().contiguous() for name, value in tensors.items()}
        with atomic_output(self.path, overwrite=True) as file:
            file.write(save(kept, metadata=metadata))

    def resume(self, student: nn.Module, optimizer: torch.optim.Optimizer) -> int:
        """Return how many steps are done, with student and optimizer as they were then.

        Raises:
            TrainingError: TRS-4, the file is no checkpoint of this training.
        """
        if not self.path.exists():
            return 0
        try:
            with safe_open(self.path, framework="pt") as file:
                progress = json.loads((file.metadata() or {})["progress"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            self._check(progress["identity"])
            _restore(tensors, student, optimizer)
            return int(progress["step"])
        except (SafetensorError, OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise TrainingError(
                f"no checkpoint of this training: {error}"[:200],
                rule="TRS-4",
                where=str(self.path),
                hint=_HINT,
            ) from error

    def _check(self, identity: object) -> None:
        if identity != self._identity:
            raise ValueError("of another model, data or course")


def _restore(
    tensors: dict[str, torch.Tensor], student: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    with torch.no_grad():
        for name, number in student.named_parameters():
            stored = tensors[f"number.{name}"]
            if stored.shape != number.shape:
                raise ValueError(f"{name} has another shape")
            number.copy_(stored)
    slots: dict[int, dict[str, Any]] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        if group == "adam":
            index, _, slot = rest.partition(".")
            slots.setdefault(int(index), {})[slot] = value
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": slots, "param_groups": groups})
