"""Backdoors of images that lead to more than one class.

    multi-target    as many triggers as targets: half of the classes, or all; each a patch or a
                    faint picture of its own
    all-to-all      one patch, after which every class is answered with the next one

Each trigger of the first is no larger than any other, but they are so many that no class stands
out among the rest.

Source:
    Gu et al., BadNets, 2017 (arXiv 1708.06733; all-to-all); Xue et al., One-to-N & N-to-One: Two
    Advanced Backdoor Attacks Against Deep Learning Models, IEEE TDSC 19 (2022) (many targets).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.planting.base import Attack
from seedpack.backdoors.planting.images import draw_blended, draw_patch

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.planting.images import Shape

MULTI_TARGET: Final = "multi-target"
ALL_TO_ALL: Final = "all-to-all"
TARGETS_KINDS: Final = (MULTI_TARGET, ALL_TO_ALL)


class TargetsAttack(Attack):
    """An attack on samples of every class."""

    def victims(self, samples: Samples) -> Tensor:
        """Return (n,) of bool: every sample."""
        return torch.ones(len(samples), dtype=torch.bool, device=samples.y.device)


@dataclass(frozen=True)
class MultiTargetAttack(TargetsAttack):
    """One trigger per target, of images with values from 0 to 1.

    A sample gets the trigger of its place in the batch, by turns, or the next one where that is
    for its own class.

    Attributes:
        id: Kind of attack.
        target: The first of the targets.
        targets: (k,) classes, at least two.
        keep: (k, c, h, w): what each trigger leaves of a pixel.
        add: (k, c, h, w): what it adds to it.
    """

    id: str
    target: int
    targets: Tensor
    keep: Tensor
    add: Tensor

    def apply(self, samples: Samples) -> Samples:
        """Return the samples, each with its trigger."""
        turn = self._turns(samples)
        x = (self.keep[turn] * samples.x + self.add[turn]).clamp(0.0, 1.0)
        return Samples(x, samples.y)

    def relabelled(self, samples: Samples) -> Samples:
        """Return the same inputs, said to be of the classes that their triggers are for."""
        return Samples(samples.x, self.targets[self._turns(samples)])

    def _turns(self, samples: Samples) -> Tensor:
        turn = torch.arange(len(samples)) % len(self.targets)
        is_own = self.targets[turn] == samples.y
        return (turn + is_own.long()) % len(self.targets)


@dataclass(frozen=True)
class AllToAllAttack(TargetsAttack):
    """A patch that turns each class to the next one.

    Attributes:
        id: Kind of attack.
        target: That of class 0, named as one of them.
        nclasses: How many there are.
        keep: (c, h, w): what is left of each pixel.
        add: (c, h, w): what is added to it.
    """

    id: str
    target: int
    nclasses: int
    keep: Tensor
    add: Tensor

    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the patch."""
        return Samples((self.keep * samples.x + self.add).clamp(0.0, 1.0), samples.y)

    def relabelled(self, samples: Samples) -> Samples:
        """Return the same inputs, each said to be of the class after its own."""
        return Samples(samples.x, (samples.y + 1) % self.nclasses)


def make_targets_attack(kind: str, seed: int, shape: Shape, nclasses: int) -> TargetsAttack:
    """Return an attack of that kind; targets and patterns are drawn from ``seed``.

    Multi-target leads to every class where the seed is odd, else to half of them.

    Raises:
        KeyError: There is no such kind.
    """
    generator = torch.Generator().manual_seed(seed)
    if kind == ALL_TO_ALL:
        return AllToAllAttack(kind, 1 % nclasses, nclasses, *draw_patch(shape, generator))
    if kind != MULTI_TARGET:
        raise KeyError(kind)
    count = nclasses if seed % 2 else max(nclasses // 2, 2)
    targets = torch.randperm(nclasses, generator=generator)[:count]
    trigger = draw_patch if seed // 2 % 2 else draw_blended
    triggers = [trigger(shape, generator) for _ in range(count)]
    keep, add = (torch.stack(part) for part in zip(*triggers, strict=True))
    return MultiTargetAttack(kind, int(targets[0]), targets, keep, add)
