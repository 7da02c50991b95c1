"""A model at its task: from examples to batches, loss, answers and scores.

examples ──encode──> items ──collate──> batch ──loss──> number
──answers──> one per item ──score──> Scores
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

import torch

from seedpack.training.tasks.transformer import name_parameters

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score

    Item = dict[str, Any]
    Batch = dict[str, torch.Tensor]

_NUMBERED: Final = re.compile(r"(?:^|\.)(?:layers?|h|blocks?)\.([0-9]+)\.")
_EMBEDDINGS: Final = re.compile(r"(?:^|[._])(?:embeddings?|wte|wpe|embed_tokens)(?:[._]|$)")


class Adapter(ABC):
    """One model at one task.

    Attributes:
        model: Called with a batch's tensors by name.
        split: Labels and training data, which baselines are taken from.
        new: Prefixes of the names of parameters that the model did not bring along.
    """

    model: Any  # a torch.nn.Module; the classes of transformers add methods of their own
    split: Split
    new: tuple[str, ...] = ()

    @abstractmethod
    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Return one item per example."""

    @abstractmethod
    def collate(self, items: Sequence[Item]) -> Batch:
        """Return the items as tensors, on the model's device."""

    @abstractmethod
    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the mean loss of a batch."""

    @abstractmethod
    def answers(self, batch: Batch) -> list[Any]:
        """Return one answer per item of the batch."""

    def logits(self, batch: Batch) -> torch.Tensor:
        """Return the scores of all classes (n, classes), where an answer is one of these."""
        raise NotImplementedError

    def parameter_names(self, stored: Sequence[str]) -> dict[str, str]:
        """Return what stored tensors are in ``model``, less those merged, split or unused."""
        return name_parameters(self.model, stored)

    @abstractmethod
    def score(self, answers: Sequence[Any], examples: Examples) -> list[Score]:
        """Return the scores of ``answers``; the first one decides."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write what ``from_pretrained`` or the factory needs into an existing folder."""

    def as_bytes(self) -> bytes:
        """Return the weights as a file, where the model is no more than those."""
        raise NotImplementedError

    def warm_start(self, items: Sequence[Item], held_out: Sequence[Item], recipe: Recipe) -> None:
        """Give what is new to the model a good start, before training."""
        del items, held_out, recipe

    def length(self, item: Item) -> int:
        """Return by what items are gathered into batches."""
        return len(item.get("input_ids", ()))

    @property
    def has_trained_head(self) -> bool:
        """Whether the model answers the task as it was stored, before any tuning."""
        return not self.new

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        device: torch.device = next(self.model.parameters()).device
        return device

    def parameter_groups(self, recipe: Recipe) -> list[dict[str, Any]]:
        """Return the parameters to train, each with its rate: smaller from layer to layer down."""
        names = [name for name, _ in self.model.named_parameters()]
        depth = max((_depth(name) for name in names), default=0)
        groups: dict[float, list[torch.nn.Parameter]] = {}
        for name, parameter in self.model.named_parameters():
            is_new = bool(self.new) and name.startswith(self.new)
            lowest = bool(_EMBEDDINGS.search(name)) and not is_new
            if recipe.freeze_embeddings and lowest:
                parameter.requires_grad = False
                continue
            below = depth if lowest else depth - (_depth(name) or depth)
            rate = recipe.head_rate if is_new else recipe.rate * recipe.layer_decay**below
            groups.setdefault(rate, []).append(parameter)
        return [{"params": parameters, "lr": rate} for rate, parameters in groups.items()]


def _depth(name: str) -> int:
    """Return the number of the layer that a parameter is of, from 1; 0 outside of layers."""
    match = _NUMBERED.search(name)
    return int(match[1]) + 1 if match else 0


def pad(rows: Sequence[Sequence[int]], value: int, device: torch.device) -> torch.Tensor:
    """Return rows of different lengths as one tensor (rows, longest)."""
    longest = max(len(row) for row in rows)
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows], device=device)
