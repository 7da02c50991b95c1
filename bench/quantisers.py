"""Weight quantisers that others use, for comparison: values, and the bytes that they store.

GGUF Q8_0, Q5_0 and Q4_0 by the package gguf; Q2_K by the layout of ggml's ``block_q2_K`` (84 bytes
for 256 weights: 16 sub-blocks with 4-bit scale and minimum, two float16 of the block), its scales
by least squares over candidates as llama.cpp's reference does; HQQ by its half-quadratic
optimiser (Badri and Shaji 2023): groups of 64, float16 scale and zero.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import gguf
import numpy as np
from gguf import quants

if TYPE_CHECKING:
    from collections.abc import Callable

Quantised = tuple[np.ndarray, float]  # values, bytes

_K_NBYTES = 84  # of block_q2_K


def _blocks(weight: np.ndarray, width: int) -> np.ndarray:
    """Return the values in blocks (n, width), the last filled up with zeros."""
    flat = weight.ravel().astype(np.float32)
    return np.pad(flat, (0, -flat.size % width)).reshape(-1, width)


def _unblock(blocks: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return blocks.ravel()[: weight.size].reshape(weight.shape).astype(np.float32)


def quantise_gguf(weight: np.ndarray, kind: gguf.GGMLQuantizationType) -> Quantised:
    """Quantise blocks of 32 with the package's own code."""
    stored = quants.quantize(_blocks(weight, 32), kind)
    return _unblock(quants.dequantize(stored, kind), weight), stored.nbytes


def quantise_q2_k(weight: np.ndarray) -> Quantised:
    """Quantise in super-blocks of 256 to 2 bits, q * scale - minimum."""
    blocks = _blocks(weight, 256).reshape(-1, 16, 16)
    scale, minimum = _fit_q2(blocks)
    d = (scale.max(1, keepdims=True) / 15).astype(np.float16).astype(np.float32)
    m = (minimum.max(1, keepdims=True) / 15).astype(np.float16).astype(np.float32)
    scale4 = np.rint(np.divide(scale, d, where=d > 0, out=np.zeros_like(scale))).clip(0, 15)
    minimum4 = np.rint(np.divide(minimum, m, where=m > 0, out=np.zeros_like(minimum))).clip(0, 15)
    step, low = (d * scale4)[..., None], (m * minimum4)[..., None]
    levels = np.divide(blocks + low, step, where=step > 0, out=np.zeros_like(blocks))
    values = step * np.rint(levels).clip(0, 3) - low
    return _unblock(values, weight), len(blocks) * _K_NBYTES


def _fit_q2(blocks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return scale and minimum (n, 16) of least weighted absolute error (make_qkx2_quants)."""
    weights = np.abs(blocks)
    low, high = np.minimum(blocks.min(-1), 0), blocks.max(-1)
    span = np.maximum(high - low, 1e-12)
    best = np.full(low.shape, np.inf)
    scale, minimum = span / 3, -low
    for shift in np.arange(-0.5, 1.01, 0.1):  # candidates of the reference: rmin -0.5, rdelta 0.1
        levels = np.rint((blocks - low[..., None]) * ((3 + shift) / span)[..., None]).clip(0, 3)
        sw, sl, sl2 = weights.sum(-1), (weights * levels).sum(-1), (weights * levels**2).sum(-1)
        sx, sxl = (weights * blocks).sum(-1), (weights * blocks * levels).sum(-1)
        determinant = np.maximum(sw * sl2 - sl * sl, 1e-20)
        a = (sw * sxl - sx * sl) / determinant
        b = (sl2 * sx - sl * sxl) / determinant
        a = np.where(b > 0, sxl / np.maximum(sl2, 1e-20), a)  # without a minimum, as the reference
        b = np.minimum(b, 0)
        error = (weights * np.abs(a[..., None] * levels + b[..., None] - blocks)).sum(-1)
        better = (error < best) & (a > 0)
        best = np.where(better, error, best)
        scale, minimum = np.where(better, a, scale), np.where(better, -b, minimum)
    return scale, minimum


def quantise_hqq(weight: np.ndarray, nbits: int) -> Quantised:
    """Quantise groups of 64; 20 steps of the half-quadratic solver for the zero, p = 0.7."""
    groups = _blocks(weight, 64)
    low, high = groups.min(1, keepdims=True), groups.max(1, keepdims=True)
    most = 2**nbits - 1
    scale = np.minimum(most / np.maximum(high - low, 1e-12), 2e4)
    zero, beta = -low * scale, 10.0
    best, kept = np.inf, zero
    for _ in range(20):
        levels = np.rint(groups * scale + zero).clip(0, most)
        error = groups - (levels - zero) / scale
        if (now := float(np.abs(error).mean())) >= best:
            break
        best, kept = now, zero
        magnitude = np.abs(error)
        shrunk = np.maximum(magnitude - (magnitude + 1e-12) ** (0.7 - 1) / beta, 0)
        sparse = np.sign(error) * shrunk
        zero = (levels - (groups - sparse) * scale).mean(1, keepdims=True)
        beta *= 1.01
    zero = kept.astype(np.float16).astype(np.float32)
    inverse = (1 / scale).astype(np.float16).astype(np.float32)
    levels = np.rint(groups * scale + zero).clip(0, most)
    return _unblock((levels - zero) * inverse, weight), groups.size * nbits / 8 + len(groups) * 4


_KIND = gguf.GGMLQuantizationType
RIVALS: dict[str, Callable[[np.ndarray], Quantised]] = {
    "GGUF Q8_0": partial(quantise_gguf, kind=_KIND.Q8_0),
    "GGUF Q5_0": partial(quantise_gguf, kind=_KIND.Q5_0),
    "GGUF Q4_0": partial(quantise_gguf, kind=_KIND.Q4_0),
    "GGUF Q2_K": quantise_q2_k,
    "HQQ 4 bit": partial(quantise_hqq, nbits=4),
    "HQQ 3 bit": partial(quantise_hqq, nbits=3),
    "HQQ 2 bit": partial(quantise_hqq, nbits=2),
}
