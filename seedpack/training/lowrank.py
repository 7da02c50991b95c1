"""Low-rank differences, trained with their quantisation in the loop (spec: codecs/delta.md).

    linear layer W0 (o, i), frozen --> W0 + step * codes(A) R
        A      (o, r), trained; codes: A rounded to 4 or 8 bits, gradients pass straight through
        R      (r, i), signs drawn from a seed: not trained, not stored
        step   largest magnitude of A over that of a code, anew in each pass

What comes out is integers: ``finish`` puts into the model what a reader will decode, so that
what is measured afterwards is what is stored.

Source: drawn factors, Kopiczko, Blankevoort and Asano, arXiv:2310.11454; frozen ones, Zhang and
others, arXiv:2308.03303; straight-through gradients, Bengio, Leonard and Courville,
arXiv:1308.3432.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils import parametrize

from seedpack.codecs.delta.encoding import Factors, Origin, encode_factors
from seedpack.codecs.delta.signs import random_signs
from seedpack.codecs.prng import derive_seed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seedpack.codecs.base import Encoded


class LowRankUpdate(torch.nn.Module):
    """What is added to one weight while it is trained."""

    def __init__(self, shape: torch.Size, rank: int, bits: int, seed: int) -> None:
        """Begin with a difference of zero."""
        super().__init__()
        rows, columns = shape
        self.seed = seed
        self.bits = bits
        self.largest = (1 << (bits - 1)) - 1
        self.right: torch.Tensor
        self.left = torch.nn.Parameter(torch.zeros(rows, rank))
        signs = random_signs(seed, rank * columns).reshape(rank, columns)
        self.register_buffer("right", torch.from_numpy(signs.astype(np.float32)))

    def step(self) -> torch.Tensor:
        """Return the value of one code."""
        return self.left.detach().abs().max() / self.largest

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """Return the weight plus the difference, whose codes gradients see as if not rounded."""
        step = self.step()
        if not step:
            return weight + self.left @ self.right
        rounded = torch.round(self.left.detach() / step) * step
        return weight + (self.left + (rounded - self.left.detach())) @ self.right

    def factors(self) -> Factors:
        """Return the codes; zeros where nothing was learnt."""
        step = float(self.step()) or 1.0
        codes = torch.round(self.left.detach() / step).to(torch.int8).cpu().numpy()
        rank = codes.shape[1]
        right = random_signs(self.seed, self.right.numel()).reshape(rank, -1)
        scale = max(float(np.float32(step)), 2.0**-126)
        return Factors(codes, right, np.ones(rank, "<u2"), scale, self.bits)


class _Place(NamedTuple):
    name: str  # of the weight
    module: torch.nn.Linear
    update: LowRankUpdate
    magnitude: float  # root mean square of the frozen weight


class LowRankTuning:
    """Updates on the linear layers of a model; everything else of it is frozen.

    Attributes:
        parameters: What is to be trained: one left factor per layer.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        *,
        rank: int | Mapping[str, int],
        bits: int = 4,
        seed: int = 0,
    ) -> None:
        """Put an update on each linear layer that is larger than its factors.

        Args:
            model: Its parameters stop asking for gradients; a new head may be told to again.
            rank: Of each difference; by name of the weight, those not named get none.
            bits: Of each code, 4 or 8.
            seed: Of the drawn factors; each layer derives its own.
        """
        self.model = model
        self._places: list[_Place] = []
        for parameter in model.parameters():
            parameter.requires_grad = False
        for number, (name, module, own) in enumerate(_linear_layers(model, rank)):
            weight, magnitude = module.weight, root_mean_square(module.weight)
            update = LowRankUpdate(weight.shape, own, bits, derive_seed(seed, number))
            parametrize.register_parametrization(module, "weight", update.to(weight.device))
            self._places.append(_Place(f"{name}.weight", module, update, magnitude))
        self.parameters = [place.update.left for place in self._places]

    def groups(self, rate: float) -> list[dict[str, Any]]:
        """Return what an optimiser takes: ``rate`` is in root mean squares of each weight."""
        return [
            {"params": [place.update.left], "lr": rate * place.magnitude} for place in self._places
        ]

    def finish(self, origin: Origin) -> dict[str, Encoded]:
        """Return the layers of a delta seed, and leave their decoded values in the model.

        Args:
            origin: How the base calls the model's tensors.
        """
        encoded = {}
        for name, module, update, _ in self._places:
            factors = update.factors()
            parametrize.remove_parametrizations(module, "weight", leave_parametrized=False)
            weight = module.weight
            if factors.left.any():
                encoded[name] = encode_factors(factors, origin, seed=update.seed)
                _add(weight, factors)
        return encoded


def linear_shapes(model: torch.nn.Module) -> dict[str, tuple[int, int]]:
    """Return rows and columns of the linear layers that could have an update, by their weights."""
    found = (m for m in model.named_modules() if isinstance(m[1], torch.nn.Linear))
    return {f"{name}.weight": (m.out_features, m.in_features) for name, m in found}


def root_mean_square(weight: torch.Tensor) -> float:
    """Return the usual magnitude of a weight; 1 of one that is 0."""
    return float(weight.detach().double().square().mean().sqrt()) or 1.0


def _linear_layers(
    model: torch.nn.Module, rank: int | Mapping[str, int]
) -> Iterator[tuple[str, torch.nn.Linear, int]]:
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            rows, columns = module.weight.shape
            own = rank if isinstance(rank, int) else rank.get(f"{name}.weight", 0)
            if 0 < own * (rows + columns) <= rows * columns:
                yield name, module, own


def _add(weight: torch.Tensor, factors: Factors) -> None:
    """Add what a reader adds: an exact product of integers, rounded, scaled, rounded."""
    products = np.matmul(factors.left.astype(np.float64), factors.right.astype(np.float64))
    difference = products.astype(np.float32) * np.float32(factors.scale)
    with torch.no_grad():
        base = weight.detach().to(torch.float32).cpu()
        weight.copy_((base + torch.from_numpy(difference)).to(weight.dtype))
