"""Weights that may change in a few ways only, while they are trained.

    W ──LowRankChange──> W + left @ right             rank 4
    W ──CodeChange─────> step x codes                 4 bits, each code at most two from its own

Everything else of the model (vectors, such as biases) stays as it is.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_RANK: Final = 4
_LEVELS: Final = 7  # of 4 bits, on either side of zero
_MOVES: Final = 2  # levels that a code may move


class LowRankChange(nn.Module):
    """A difference of low rank, nothing at first."""

    def __init__(self, weight: Tensor, seed: int) -> None:
        """Start at no difference."""
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        rows = weight.flatten(1)
        scale = rows.shape[1] ** -0.5
        self.left = nn.Parameter(torch.zeros(len(rows), _RANK))
        self.right = nn.Parameter(scale * torch.randn(_RANK, rows.shape[1], generator=generator))

    def forward(self, weight: Tensor) -> Tensor:
        """Return the changed weight."""
        return weight + (self.left @ self.right).reshape(weight.shape)


class CodeChange(nn.Module):
    """Integers times a step per row; they train as if they were not rounded."""

    def __init__(self, weight: Tensor, seed: int) -> None:
        """Start at the nearest codes."""
        super().__init__()
        del seed
        rows = weight.detach().flatten(1)
        self.step = (rows.abs().amax(1, keepdim=True) / _LEVELS).clamp(min=1e-12)
        self.start = (rows / self.step).round()
        self.moves = nn.Parameter(torch.zeros_like(rows))

    def forward(self, weight: Tensor) -> Tensor:
        """Return what the moved codes decode to."""
        near = self.moves.clamp(-_MOVES, _MOVES)
        # Rounded values with the slope of the unrounded ones (straight-through estimator).
        codes = self.start + near + (near.round() - near).detach()
        codes = codes.clamp(-_LEVELS - 1, _LEVELS)
        return (self.step * codes).reshape(weight.shape)


@contextmanager
def changed(
    module: nn.Module, make: Callable[[Tensor, int], nn.Module], seed: int
) -> Iterator[None]:
    """Let only ``make``'s numbers train; afterwards they have become part of the weights."""
    trained = [p for p in module.parameters() if p.requires_grad]
    module.requires_grad_(requires_grad=False)
    weights = [
        (layer, name, value)
        for layer in module.modules()
        for name, value in layer.named_parameters(recurse=False)
        if value.ndim > 1
    ]
    for number, (layer, name, value) in enumerate(weights):
        parametrize.register_parametrization(layer, name, make(value, seed + number))
    yield
    for layer, name, _ in weights:
        parametrize.remove_parametrizations(layer, name)
    for parameter in trained:
        parameter.requires_grad_()
