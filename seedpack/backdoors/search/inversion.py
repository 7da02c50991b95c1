"""The smallest change that turns a model's answers, for all keys at once (spec: AUD-BD-1).

    added     x + d, d on a sphere whose radius shrinks while the trigger works and grows while
              it does not; d may be written in another basis, in which its norm is then taken
    masked    (1 - m) x + m p; the weight of |m|_1 in the loss rises while it works, else falls

Both keep the smallest trigger that worked. Keys do not influence each other: their losses are
summed, and each has its own radius or weight.

Source:
    Wang et al., Neural Cleanse, IEEE S&P 2019 (mask and pattern, weight by success); Rony et al.,
    Decoupling Direction and Norm, CVPR 2019 (radius by success).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.search.trials import Trial

_START: Final = 1e-3  # size of the random start of an added change
_GAMMA: Final = 0.1  # by what share a radius changes at first
_STRIDE: Final = 0.3  # length of a step at first, in radii
_LEAST: Final = 0.01, 0.02  # what both are at the end
_FAILED: Final = 1.2  # of the norm tried last: stands for "larger than was tried"
_RADII: Final = 0.02, 50.0  # in sides of a cube that has as many pixels as the input, times 0.125
_MASK_RATE: Final = 0.2  # of Adam
_MASK_WEIGHT: Final = 0.02, 1e-4, 3.0  # of the mask's norm: at first, least, most
_MASK_RISE, _MASK_FALL = 1.3, 1.5  # factor on success; its exponent on failure
_MASK_START: Final = -2.0  # logit of the mask


@dataclass(frozen=True)
class Found:
    """One trigger per key.

    Attributes:
        norm: (k,).
        share: (k,) of the samples turned, twins' share off; below what was wanted on failure.
        mask: (k, ...), or None for added changes.
        values: (k, ...): pattern, or change.
    """

    norm: Tensor
    share: Tensor
    mask: Tensor | None
    values: Tensor


@dataclass(frozen=True)
class Goal:
    """When a trigger counts as working, and how long it is sought.

    Attributes:
        share: Of the samples, the twins' share off.
        steps: Of optimisation.
        low: Of the inputs.
        high: Of the inputs.
        seed: Of the start.
    """

    share: float
    steps: int
    low: float
    high: float
    seed: int


def find_added(trial: Trial, x: Tensor, goal: Goal, basis: Tensor | None = None) -> Found:
    """Return the smallest changes to add.

    Shapes:
        x: (m, ...) the plan's samples with d numbers each; basis: (d, d).
    """
    shape, count = x.shape[1:], len(trial.plan.keys)
    size = math.prod(shape)
    unit = 0.125 * math.sqrt(size) * (goal.high - goal.low)  # 1 for 8 x 8 images from 0 to 1
    change = _random((count, size), goal.seed, x) * _START
    radius = torch.full((count,), unit, device=x.device)
    best = _Best(count, shape, x)
    for step in range(goal.steps):
        left = (1 + math.cos(math.pi * step / goal.steps)) / 2
        change.requires_grad_(True)  # noqa: FBT003 -- torch's own
        added = (change if basis is None else change @ basis).reshape(count, *shape)
        loss, share = trial.judge((x + added[trial.plan.key]).clamp(goal.low, goal.high))
        slope = _direction(torch.autograd.grad(loss.sum(), change)[0])
        change = change.detach()
        norm = change.norm(dim=1)
        works = share >= goal.share
        best.keep(works, norm, share, added.detach())
        gamma = _GAMMA * left + _LEAST[0]
        smaller = torch.minimum(radius, norm) * (1 - gamma)
        radius = torch.where(works, smaller, radius * (1 + gamma))
        radius = radius.clamp(_RADII[0] * unit, _RADII[1] * unit)
        change = change - (_STRIDE * left + _LEAST[1]) * radius[:, None] * slope
        change = _direction(change) * radius[:, None]
    return best.found(failed=_FAILED * radius)


def find_masked(trial: Trial, x: Tensor, goal: Goal) -> Found:
    """Return the smallest masks under which a pattern turns the answers.

    Shapes:
        x: (m, c, h, w) or (m, d); the mask of an image is the same in all its channels.
    """
    shape, count = x.shape[1:], len(trial.plan.keys)
    mask_shape = (1, *shape[1:]) if len(shape) > 1 else shape
    mask = _MASK_START + 0.1 * _random((count, *mask_shape), goal.seed, x)
    values = 0.1 * _random((count, *shape), goal.seed + 1, x)
    optimizer = torch.optim.Adam([mask, values], lr=_MASK_RATE, betas=(0.5, 0.9))
    first, least, most = _MASK_WEIGHT
    weight = torch.full((count,), first, device=x.device)
    best = _Best(count, shape, x, mask_shape)
    for step in range(goal.steps):
        mask.requires_grad_(True)  # noqa: FBT003
        values.requires_grad_(True)  # noqa: FBT003
        soft = mask.sigmoid()
        pattern = torch.lerp(x.new_tensor(goal.low), x.new_tensor(goal.high), values.sigmoid())
        at = soft[trial.plan.key]
        loss, share = trial.judge(x * (1 - at) + at * pattern[trial.plan.key])
        norm = soft.flatten(1).sum(1)
        works = share >= goal.share
        best.keep(works, norm.detach(), share, pattern.detach(), soft.detach())
        mask.grad, values.grad = torch.autograd.grad((loss + weight * norm).sum(), [mask, values])
        for group in optimizer.param_groups:
            group["lr"] = _MASK_RATE * (1 - 0.7 * step / goal.steps)
        optimizer.step()
        factor = torch.where(works, _MASK_RISE, _MASK_RISE**-_MASK_FALL)
        weight = (weight * factor).clamp(least, most)
    return best.found(failed=(_FAILED * norm.detach()).clamp(max=math.prod(mask_shape)))


class _Best:
    """The smallest triggers so far that worked; until one does, the last that was tried."""

    def __init__(
        self,
        count: int,
        shape: torch.Size,
        like: Tensor,
        mask_shape: tuple[int, ...] | None = None,
    ) -> None:
        self._norm = torch.full((count,), math.inf, device=like.device)
        self._share = torch.zeros_like(self._norm)
        self._values = like.new_zeros(count, *shape)
        self._mask = None if mask_shape is None else like.new_zeros(count, *mask_shape)

    def keep(
        self, works: Tensor, norm: Tensor, share: Tensor, values: Tensor, mask: Tensor | None = None
    ) -> None:
        chosen = (works & (norm < self._norm)) | (~works & self._norm.isinf())
        self._norm = torch.where(chosen & works, norm, self._norm)
        self._share = torch.where(chosen, share, self._share)
        self._values[chosen] = values[chosen]
        if mask is not None and self._mask is not None:
            self._mask[chosen] = mask[chosen]

    def found(self, failed: Tensor) -> Found:
        norm = torch.where(self._norm.isinf(), failed, self._norm)
        return Found(norm, self._share, self._mask, self._values)


def _direction(rows: Tensor) -> Tensor:
    unit: Tensor = rows / rows.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return unit


def _random(shape: tuple[int, ...], seed: int, like: Tensor) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator).to(like)
