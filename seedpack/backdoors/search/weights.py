"""How a model's weights differ from those it was tuned from, beside clean twins' (AUD-BD-6).

    tensors of model and base ──difference──> relative norm, effective rank, largest row
    the same of twins tuned from that base ──mean, spread──> z of each

Tuning changes matrices a little and in many directions; what somebody writes into them, or into
single rows of an embedding, is often of low rank or in few rows. It is evidence, never a verdict:
a tuning of another kind differs as well.

Source:
    Roy and Vetterli, EUSIPCO 2007 (effective rank: the exponential of the spectrum's entropy).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    Weights = Mapping[str, Tensor]

_MATRIX: Final = 2  # dimensions
_MOST_SIDE: Final = 2048  # of a matrix whose spectrum is computed; taller ones go by their columns
_FLOOR: Final = 0.05  # of the logarithms: 5 % are no difference


@dataclass(frozen=True)
class Difference:
    """What was done to one matrix.

    Attributes:
        name: Of the tensor.
        norm: Of the difference, relative to the base.
        rank: Effective rank of the difference, from 1.
        row: Place of the row that changed most.
        row_share: Share of the squared difference that lies in it.
    """

    name: str
    norm: float
    rank: float
    row: int
    row_share: float


@dataclass(frozen=True)
class Outlier:
    """A difference and how unusual it is among the twins'.

    Attributes:
        difference: Of the model.
        z: Of norm (larger), rank (smaller) and largest row (larger), in that order.
    """

    difference: Difference
    z: tuple[float, float, float]

    @property
    def worst(self) -> float:
        """The largest of them."""
        return max(self.z)


def differences(weights: Weights, base: Weights) -> list[Difference]:
    """Return what distinguishes each matrix of ``weights`` from that of ``base``.

    Tensors that are not in both, that differ in shape, or that are equal are left out.

    Shapes:
        (o, i) or (o, ...), taken as (o, product of the others).

    Cost:
        One spectrum of the smaller Gram matrix per tensor: O(o i min(o, i)).
    """
    found = []
    for name, tensor in weights.items():
        other = base.get(name)
        if other is None or tensor.shape != other.shape or tensor.dim() < _MATRIX:
            continue
        if not tensor.is_floating_point():
            continue
        change = (tensor.double() - other.double()).flatten(1)
        square = float(change.square().sum())
        if square > 0 and math.isfinite(square):
            found.append(_describe(name, change, square, float(other.double().norm())))
    return found


def outliers(
    weights: Weights, base: Weights, twins: Sequence[Weights], *, least: float
) -> list[Outlier]:
    """Return the matrices whose z among the twins is at least ``least``, the worst first.

    Args:
        weights: Of the model.
        base: What model and twins were tuned from.
        twins: At least two.
        least: z.
    """
    usual = [{d.name: _marks(d) for d in differences(twin, base)} for twin in twins]
    found = []
    for difference in differences(weights, base):
        rows = [marks[difference.name] for marks in usual if difference.name in marks]
        if len(rows) < _MATRIX:
            continue
        columns = zip(_marks(difference), zip(*rows, strict=True), strict=True)
        first, second, third = (_z(value, column) for value, column in columns)
        found.append(Outlier(difference, (first, second, third)))
    return sorted((o for o in found if o.worst >= least), key=lambda o: -o.worst)


def _describe(name: str, change: Tensor, square: float, base_norm: float) -> Difference:
    rows = change.square().sum(1)
    row = int(rows.argmax())
    smaller = change if change.shape[0] <= change.shape[1] else change.T
    rank = _effective_rank(smaller) if min(change.shape) <= _MOST_SIDE else math.nan
    norm = math.sqrt(square) / max(base_norm, 1e-12)
    return Difference(name, norm, rank, row, float(rows[row]) / square)


def _effective_rank(matrix: Tensor) -> float:
    values = torch.linalg.eigvalsh(matrix @ matrix.T).clamp_min(0)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float((-(shares * shares.log()).sum()).exp())


def _marks(difference: Difference) -> tuple[float, float, float]:
    """Return what is compared, each larger where it is more suspicious."""
    rank = 0.0 if math.isnan(difference.rank) else -math.log(difference.rank)
    return math.log(difference.norm), rank, math.log(difference.row_share)


def _z(value: float, usual: Sequence[float]) -> float:
    spread = max(stdev(usual) * math.sqrt(1 + 1 / len(usual)), _FLOOR)
    return (value - fmean(usual)) / spread
