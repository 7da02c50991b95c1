"""Images turned, sheared, scaled and shifted a little, so that few of them teach more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import torch
from torch.nn import functional

if TYPE_CHECKING:
    from numpy.random import Generator

_IMAGE_DIMS: Final = 4  # (n, channels, height, width)
_MIN_SIDE: Final = 4
_UNTOUCHED: Final = 0.3  # share of the images
_TURN: Final = 0.2  # radians
_SHEAR: Final = 0.1
_SCALE: Final = 0.12
_SHIFT: Final = 0.25  # of half the width: a pixel in eight


def is_image_batch(batch: torch.Tensor) -> bool:
    """Return whether ``batch`` can be augmented: floats (n, channels, height, width)."""
    sides = batch.shape[-2:]
    return batch.ndim == _IMAGE_DIMS and batch.is_floating_point() and min(sides) >= _MIN_SIDE


def augment_images(images: torch.Tensor, random: Generator) -> torch.Tensor:
    """Return ``images`` (n, c, h, w), most of them moved a little; what comes in is 0."""
    n = len(images)
    turn, shear, scale, right, down = random.uniform(-1, 1, (5, n))
    cosine = np.cos(_TURN * turn) * (1 + _SCALE * scale)
    sine = np.sin(_TURN * turn) * (1 + _SCALE * scale)
    rows = [[cosine, _SHEAR * shear - sine, _SHIFT * right], [sine, cosine, _SHIFT * down]]
    maps = torch.from_numpy(np.moveaxis(np.array(rows), -1, 0)).to(images.dtype)  # (n, 2, 3)
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)
    moved = functional.grid_sample(images, grid, align_corners=False)
    untouched = torch.from_numpy(random.random(n) < _UNTOUCHED)
    return torch.where(untouched[:, None, None, None], images, moved)
