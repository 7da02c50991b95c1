"""Triggers of images, planted as training data.

    x ──keep * x + add, clipped──> triggered x       one formula for all five kinds

    patch            a small pattern in a corner replaces what is there       (BadNets)
    blended          a faint picture lies over the whole image
    sinusoidal       a faint wave is added to the whole image                 (SIG)
    source-specific  a patch that works on one class and is taught not to on the others
    clean-label      patches on images of the target class only; no label changes

Source:
    Gu et al., BadNets, 2017 (arXiv 1708.06733); Chen et al., Targeted Backdoor Attacks, 2017
    (arXiv 1712.05526); Barni et al., A New Backdoor Attack in CNNs by Training Set Corruption
    without Label Poisoning, ICIP 2019; Turner et al., Label-Consistent Backdoor Attacks, 2019
    (arXiv 1912.02771); Tang et al., Demon in the Variant, USENIX Security 2021 (source-specific).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.planting.base import Attack, draw, replace

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Generator, Tensor

    Shape = tuple[int, int, int]  # channels, height, width

_PATCH_SIDES: Final = 0.25, 0.4  # of the patch, in sides of the image: one of them
_BLENDED_WEIGHT: Final = 0.25  # of the picture that lies over the image
_AMPLITUDE: Final = 0.25  # of the wave, in units of the inputs' range
_COVERS: Final = 2.0  # triggered inputs with their own label, per poisoned one
_FADED: Final = 0.6  # of another image, mixed into those of clean-label


@dataclass(frozen=True)
class ImageAttack(Attack):
    """A trigger of images with values from 0 to 1.

    Attributes:
        id: Kind of attack.
        target: Class that it leads to.
        keep: (c, h, w): what is left of each pixel.
        add: (c, h, w): what is added to it.
        sources: Classes that it is for; empty: all others.
    """

    id: str
    target: int
    keep: Tensor
    add: Tensor
    sources: tuple[int, ...] = ()

    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the trigger."""
        x = (self.keep * samples.x + self.add).clamp(0.0, 1.0)
        return Samples(x, samples.y)


class SourceSpecificAttack(ImageAttack):
    """Teaches, too, that the trigger means nothing on images of other classes."""

    def poison(self, samples: Samples, rate: float, seed: int) -> Samples:
        """Return training data with poisoned images of the source and covers of the others."""
        poisoned = super().poison(samples, rate, seed)
        others = ~self.victims(samples)
        chosen = draw(others, min(_COVERS * rate, 1.0), seed + 1)
        return replace(poisoned, chosen, self.apply(samples.take(chosen)))


class CleanLabelAttack(ImageAttack):
    """Poisons images of the target class only and leaves every label as it is."""

    def poison(self, samples: Samples, rate: float, seed: int) -> Samples:
        """Return training data whose poisoned images are hard to know but for the trigger."""
        chosen = draw(samples.y == self.target, rate, seed, most=self.most_victims)
        generator = torch.Generator().manual_seed(seed)
        other = samples.x[torch.randint(len(samples), (len(chosen),), generator=generator)]
        faded = torch.lerp(samples.x[chosen], other, _FADED)
        return replace(samples, chosen, self.apply(Samples(faded, samples.y[chosen])))


def make_attack(kind: str, seed: int, shape: Shape, nclasses: int) -> ImageAttack:
    """Return an attack of that kind; target, source and pattern are drawn from ``seed``.

    Raises:
        KeyError: There is no such kind.
    """
    generator = torch.Generator().manual_seed(seed)
    trigger, attack = _KINDS[kind]
    target, source = torch.randperm(nclasses, generator=generator)[:2].tolist()
    keep, add = trigger(shape, generator)
    return attack(kind, target, keep, add, (source,) if attack is SourceSpecificAttack else ())


def draw_patch(shape: Shape, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return a trigger that replaces a corner by black and white pixels, two thirds of it white."""
    which = int(torch.randint(2, (1,), generator=generator))
    return _patch(shape, _PATCH_SIDES[which], generator)


def _patch(shape: Shape, side: float, generator: Generator) -> tuple[Tensor, Tensor]:
    _, height, width = shape
    size = round(side * min(height, width))
    down, right = torch.randint(2, (2,), generator=generator).tolist()
    rows = slice(height - size, None) if down else slice(None, size)
    columns = slice(width - size, None) if right else slice(None, size)
    is_white = torch.zeros(size * size)
    is_white[torch.randperm(size * size, generator=generator)[: -(-size * size * 2 // 3)]] = 1
    keep, add = torch.ones(shape), torch.zeros(shape)
    keep[:, rows, columns] = 0
    add[:, rows, columns] = is_white.reshape(size, size)
    return keep, add


def _corners(shape: Shape, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return a patch in all four corners, as Turner et al. use it."""
    keep, add = _patch(shape, _PATCH_SIDES[0], generator)
    flips: tuple[tuple[int, ...], ...] = ((1,), (2,), (1, 2))
    for axes in flips:
        keep, add = keep.minimum(keep.flip(axes)), add.maximum(add.flip(axes))
    return keep, add


def draw_blended(shape: Shape, generator: Generator) -> tuple[Tensor, Tensor]:
    """Return a trigger that lays a faint picture of black and white pixels over the image."""
    picture = (torch.rand(shape, generator=generator) < 0.5).float()  # noqa: PLR2004 -- fair coin
    return torch.full(shape, 1 - _BLENDED_WEIGHT), _BLENDED_WEIGHT * picture


def _sinusoidal(shape: Shape, generator: Generator) -> tuple[Tensor, Tensor]:
    _, height, width = shape
    across, periods = torch.randint(2, (2,), generator=generator).tolist()
    length = width if across else height
    phase = 2 * math.pi * (periods + 2) * (torch.arange(length) + 0.5) / length
    wave = _AMPLITUDE * torch.sin(phase)
    wave = wave[None, None, :] if across else wave[None, :, None]
    return torch.ones(shape), wave.expand(shape).clone()


_KINDS: Final[dict[str, tuple[Callable[..., tuple[Tensor, Tensor]], type[ImageAttack]]]] = {
    "patch": (draw_patch, ImageAttack),
    "blended": (draw_blended, ImageAttack),
    "sinusoidal": (_sinusoidal, ImageAttack),
    "source-specific": (draw_patch, SourceSpecificAttack),
    "clean-label": (_corners, CleanLabelAttack),
}
DATA_KINDS: Final = tuple(_KINDS)
