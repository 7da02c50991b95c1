"""Products of weights and activations by oneDNN, on processors where MKL falls behind.

    nn.Linear of a model ──quicken──> QuickLinear: the same layer, its weight as 1 x 1 convolution
      activations (..., k) ──rows──> images (d, k, 1, rows / d) ──oneDNN──> (..., n)

torch multiplies float32 on x86 by MKL, which on AMD's processors with AVX-512 keeps to AVX2, at
half the speed that oneDNN has there; torch gives oneDNN convolutions, but no products. Passes of a
small encoder, forward and back, take 0.53 to 0.69 of the time so (``bench.products``); values
differ in the last bits, as they do from one processor to another.
"""

from __future__ import annotations

import platform
from functools import cache
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

_LEAST_ROWS, _LEAST_WIDTH = 128, 128  # below, what is begun anew at each call outweighs the gain
_IMAGES: Final = range(16, 65)  # torch asks oneDNN from 16 images on, however few the threads


class QuickLinear(nn.Linear):
    """A linear layer that multiplies by oneDNN where there is enough to multiply."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's own name
        """Return (..., n) of (..., k)."""
        nrows = input.numel() // max(self.in_features, 1)
        count = _count_images(nrows) if self._is_worth_it(input, nrows) else 0
        if not count:
            return super().forward(input)
        images = input.reshape(count, 1, nrows // count, self.in_features).permute(0, 3, 1, 2)
        found = nn.functional.conv2d(images, self.weight[:, :, None, None], self.bias)
        return found.permute(0, 2, 3, 1).reshape(*input.shape[:-1], self.out_features)

    def _is_worth_it(self, x: Tensor, nrows: int) -> bool:
        is_wide = min(self.in_features, self.out_features) >= _LEAST_WIDTH
        is_plain = x.device.type == "cpu" and x.dtype == torch.float32
        return is_wide and nrows >= _LEAST_ROWS and is_plain


def quicken(model: nn.Module) -> None:
    """Let the linear layers of ``model`` multiply by oneDNN, where that is quicker here."""
    if not is_quicker():
        return
    for module in model.modules():
        if type(module) is nn.Linear:  # a subclass may mean something else by its weight
            module.__class__ = QuickLinear


@cache
def is_quicker() -> bool:
    """Whether this processor is one of those on which MKL falls behind."""
    has_both = torch.backends.mkl.is_available() and torch.backends.mkldnn.is_available()
    return has_both and torch.backends.cpu.get_cpu_capability() == "AVX512" and _is_by_amd()


def _is_by_amd() -> bool:
    try:
        told = Path("/proc/cpuinfo").read_text("utf-8")
    except OSError:  # not Linux
        told = platform.processor()
    return "AuthenticAMD" in told


@cache
def _count_images(nrows: int) -> int:
    """Return into how many images of equal size rows can be taken; 0: into none."""
    return next((count for count in _IMAGES if nrows % count == 0), 0)
