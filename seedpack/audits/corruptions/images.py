"""Corruptions of images and of plain vectors, on arrays as the model takes them.

Shapes:
    n: inputs; images (n, c, h, w); vectors (n, d).

Source:
    Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations, ICLR 2019, whose kinds these are, at one strength each.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    Corrupt = Callable[[Tensor, torch.Generator], Tensor]

_NOISE: Final = 0.15  # standard deviation, as a share of the values' range
_DIM: Final = 0.5  # of the distance to the smallest value
_MISSING: Final = 0.2  # share of a vector's entries
_SHIFT: Final = 8  # one part in this many of the width, at least one pixel
_KERNEL: Final = (0.25, 0.5, 0.25)  # binomial: the smallest Gaussian


def corrupt(name: str, x: Tensor, *, low: float, high: float, seed: int) -> Tensor:
    """Return ``x`` corrupted, of its own shape (AUD-SHI-1).

    Args:
        name: One of ``names_for(x)``.
        x: (n, h, w), (n, c, h, w) or (n, d).
        low: Smallest value that an input can have.
        high: Largest.
        seed: Of everything random.
    """
    generator = torch.Generator().manual_seed(seed)
    scaled = (x - low) / max(high - low, 1e-12)  # 0 to 1
    if _is_vector(x):
        changed = _VECTORS[name](scaled, generator)
    else:
        images = scaled.reshape(len(x), -1, *x.shape[-2:])  # (n, c, h, w)
        changed = _IMAGES[name](images, generator).reshape(x.shape)
    return changed.clamp(0, 1) * (high - low) + low


def names_for(x: Tensor) -> tuple[str, ...]:
    """Return the corruptions that inputs of this shape can have."""
    return tuple(_VECTORS if _is_vector(x) else _IMAGES)


def _is_vector(x: Tensor) -> bool:
    return x.ndim == 2  # noqa: PLR2004 -- (n, d)


def _noise(x: Tensor, generator: torch.Generator) -> Tensor:
    return x + _NOISE * torch.randn(x.shape, generator=generator)


def _dim(x: Tensor, generator: torch.Generator) -> Tensor:
    del generator
    return _DIM * x


def _drop(x: Tensor, generator: torch.Generator) -> Tensor:
    """Replace entries by the mean of their column, as one fills gaps."""
    lost = torch.rand(x.shape, generator=generator) < _MISSING
    return torch.where(lost, x.mean(0, keepdim=True).expand_as(x), x)


def _rotate(degrees: float) -> Corrupt:
    def rotate(x: Tensor, generator: torch.Generator) -> Tensor:
        """Turn each image by the angle, to a random side; what comes in is 0."""
        side = torch.randint(0, 2, (len(x),), generator=generator) * 2.0 - 1
        angle = side * math.radians(degrees)
        zero = torch.zeros_like(angle)
        rows = [angle.cos(), -angle.sin(), zero, angle.sin(), angle.cos(), zero]
        turns = torch.stack(rows, dim=1).reshape(-1, 2, 3)  # (n, 2, 3)
        grid = functional.affine_grid(turns, list(x.shape), align_corners=False)
        return functional.grid_sample(x, grid.to(x), align_corners=False)

    return rotate


def _shift(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move each image to one of four sides; what comes in is 0."""
    by = max(x.shape[-1] // _SHIFT, 1)
    side = torch.randint(0, 4, (len(x),), generator=generator)
    padded = functional.pad(x, (by, by, by, by))  # (n, c, h + 2 by, w + 2 by)
    height, width = x.shape[-2:]
    moved = [
        padded[:, :, dy : dy + height, dx : dx + width]
        for dy, dx in ((by, 0), (by, 2 * by), (0, by), (2 * by, by))
    ]
    return torch.stack(moved)[side, torch.arange(len(x))]


def _blur(x: Tensor, generator: torch.Generator) -> Tensor:
    del generator
    line = torch.tensor(_KERNEL, dtype=x.dtype)
    kernel = (line[:, None] * line).expand(x.shape[1], 1, -1, -1)  # (c, 1, 3, 3)
    padded = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(padded, kernel, groups=x.shape[1])


_IMAGES: Final[dict[str, Corrupt]] = {
    "noise": _noise,
    "rotation by 15 degrees": _rotate(15),
    "rotation by 30 degrees": _rotate(30),
    "shift": _shift,
    "dimmed": _dim,
    "blur": _blur,
}
_VECTORS: Final[dict[str, Corrupt]] = {"noise": _noise, "dimmed": _dim, "missing values": _drop}
