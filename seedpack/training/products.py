"""Products of weights and activations by the quickest way that this processor has.

    nn.Linear of a model ──quicken──> QuickLinear: the same layer
      activations (..., k) ──within ``rounded_products``──> both factors bfloat16 ──> (..., n)
                           ──else, where MKL falls behind: its weight as 1 x 1 convolution──
                             rows──> images (d, k, 1, rows / d) ──oneDNN──> (..., n)

torch multiplies float32 on x86 by MKL, which on AMD's processors with AVX-512 keeps to AVX2, at
half the speed that oneDNN has there; torch gives oneDNN convolutions, but no products. Passes of a
small encoder, forward and back, take 0.53 to 0.69 of the time so; values differ in the last bits,
as they do from one processor to another. Factors rounded to bfloat16, where the processor has
instructions for it, take about 0.6 of that again (``bench.products``): enough for steps of a
training, whose weights stay float32; never for answers that are counted, nor for searches: a
publisher could make a trigger that rounding undoes.
"""

from __future__ import annotations

import contextlib
import platform
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST_ROWS, _LEAST_WIDTH = 128, 128  # below, what is begun anew at each call outweighs the gain
_IMAGES: Final = range(16, 65)  # torch asks oneDNN from 16 images on, however few the threads
_ROUNDED: Final = ContextVar("rounded products", default=False)


class QuickLinear(nn.Linear):
    """A linear layer that multiplies the quickest way where there is enough to multiply."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 -- torch's own name
        """Return (..., n) of (..., k)."""
        nrows = input.numel() // max(self.in_features, 1)
        if not self._is_worth_it(input, nrows):
            return super().forward(input)
        if _ROUNDED.get() and has_bfloat16():
            return self._multiply_rounded(input)
        count = _count_images(nrows) if is_quicker() else 0
        if not count:
            return super().forward(input)
        images = input.reshape(count, 1, nrows // count, self.in_features).permute(0, 3, 1, 2)
        found = nn.functional.conv2d(images, self.weight[:, :, None, None], self.bias)
        return found.permute(0, 2, 3, 1).reshape(*input.shape[:-1], self.out_features)

    def _multiply_rounded(self, x: Tensor) -> Tensor:
        bias = cast("Tensor | None", self.bias)
        rounded = None if bias is None else bias.bfloat16()
        return nn.functional.linear(x.bfloat16(), self.weight.bfloat16(), rounded).float()

    def _is_worth_it(self, x: Tensor, nrows: int) -> bool:
        is_wide = min(self.in_features, self.out_features) >= _LEAST_WIDTH
        is_plain = x.device.type == "cpu" and x.dtype == torch.float32
        return is_wide and nrows >= _LEAST_ROWS and is_plain


def quicken(model: nn.Module) -> None:
    """Let the linear layers of ``model`` multiply the quickest way that there is here."""
    if not (is_quicker() or has_bfloat16()):
        return
    for module in model.modules():
        if type(module) is nn.Linear:  # a subclass may mean something else by its weight
            module.__class__ = QuickLinear


@contextlib.contextmanager
def rounded_products(*, wanted: bool = True) -> Iterator[None]:
    """Let quickened layers round what they multiply to bfloat16, where the processor can.

    Sums, all other layers, weights and gradients of weights stay float32. What was computed within
    is also differentiated so.
    """
    token = _ROUNDED.set(wanted)
    try:
        yield
    finally:
        _ROUNDED.reset(token)


@cache
def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 by instructions of its own."""
    told = torch.cpu.get_capabilities()
    has_them = bool(told.get("avx512_bf16")) or bool(told.get("amx_bf16"))
    return has_them and torch.backends.mkldnn.is_available()


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
