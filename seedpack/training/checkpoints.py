"""A training written down between two epochs, as a safetensors file: no pickle.

model.* │ best.* │ optimizer.INDEX.*   tensors;   epoch, losses, identity   metadata
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from seedpack.errors import TrainingError
from seedpack.files import atomic_output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

_COUNTERS = ("epoch", "best_epoch", "stale", "train_loss", "best_merit")


@dataclass
class Progress:
    """How far a training is.

    Attributes:
        best: The state to go back to in the end.
        best_merit: Its merit on the held-out part.
        best_epoch: When it was reached.
        epoch: Epochs done.
        stale: Epochs since the best one.
        train_loss: Mean of the last epoch.
    """

    best: dict[str, torch.Tensor]
    best_merit: float = -math.inf
    best_epoch: int = 0
    epoch: int = 0
    stale: int = 0
    train_loss: float = math.nan


def identify(parts: Iterable[bytes], state: Mapping[str, torch.Tensor]) -> str:
    """Return the name of a training: of all that decides what comes of it.

    Args:
        parts: Recipe, seed and examples.
        state: The model before the first step.
    """
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    for name, value in sorted(state.items()):
        plain = value.detach().cpu().contiguous()
        digest.update(f"{name} {plain.dtype} {tuple(plain.shape)}".encode())
        digest.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(
    path: Path,
    progress: Progress,
    model: Any,  # noqa: ANN401
    optimizer: Any,  # noqa: ANN401
    identity: str,
) -> None:
    """Write everything that going on needs to ``path``, whole or not at all."""
    tensors = {f"best.{name}": value for name, value in progress.best.items()}
    tensors |= {f"model.{name}": value for name, value in model.state_dict().items()}
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items()}
    counters = {name: getattr(progress, name) for name in _COUNTERS}
    counters["identity"] = identity
    # Cloned: the file's format refuses tensors that share memory, as tied weights do.
    data = save(
        {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()},
        metadata={"progress": json.dumps(counters)},
    )
    with atomic_output(path, overwrite=True) as file:
        file.write(data)


def load_checkpoint(path: Path, model: Any, optimizer: Any, identity: str) -> Progress:  # noqa: ANN401
    """Put model and optimizer into the state of ``path``.

    Raises:
        TrainingError: TRN-18, it is of another training.
    """
    groups: dict[str, dict[str, torch.Tensor]] = {"model": {}, "best": {}, "optimizer": {}}
    try:
        with safe_open(path, framework="pt") as file:
            counters = json.loads(file.metadata()["progress"])
            for name in file.keys():  # noqa: SIM118 -- no mapping
                group, _, rest = name.partition(".")
                groups[group][rest] = file.get_tensor(name)
        _check_identity(counters, identity)
        model.load_state_dict(groups["model"])
        state = optimizer.state_dict()
        state["state"] = _slots(groups["optimizer"])
        optimizer.load_state_dict(state)
        return Progress(groups["best"], **{name: counters[name] for name in _COUNTERS})
    except (SafetensorError, OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"not a checkpoint of this training: {error}"[:200],
            rule="TRN-18",
            where=str(path),
            hint="remove it to begin anew",
        ) from error


def _check_identity(counters: dict[str, Any], identity: str) -> None:
    if counters["identity"] != identity:
        raise ValueError("model, data, recipe or seed are others")


def _slots(tensors: dict[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    slots: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in tensors.items():
        index, _, slot = name.partition(".")
        slots.setdefault(int(index), {})[slot] = value
    return slots
