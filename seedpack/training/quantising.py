"""Rounding in the loop: a student learns with the levels that its seed will hold.

    values ──nearest level, small ones zero──> values on the grid, gradient as if untouched
    bytes that the matrices may take ──bisection over sampled entropies──> a step for each

Source: straight-through estimator, Bengio, Leonard and Courville, arXiv:1308.3432 (2013).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from seedpack.codecs.ecq.rates import estimate_rates
from seedpack.frameworks.packages import import_torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

_DEAD_ZONE: Final = 0.1  # of a step: ecq's rate-distortion rounding favours the smaller level
_SAMPLE_VALUES: Final = 1 << 18
_TURNS: Final = 14
_FINEST, _COARSEST = -7.0, 2.0  # log2 of step over root mean square


def round_in_loop(values: Any, step: float) -> Any:  # noqa: ANN401 -- tensors
    """Return ``values`` on the grid of ``step``; gradients pass as if they were not rounded."""
    torch = import_torch()
    steps = values.detach() / step
    levels = torch.sign(steps) * torch.round(torch.relu(steps.abs() - _DEAD_ZONE))
    return values + (levels * step - values.detach())


def find_steps(arrays: Mapping[str, np.ndarray], nbytes: float) -> dict[str, float]:
    """Return steps, equal parts of each array's root mean square, at which all take ``nbytes``.

    Args:
        arrays: float32, each with a value that is not zero.
        nbytes: Target; where it is out of reach, the nearest step.
    """
    samples = {name: a.ravel()[:: -(-a.size // _SAMPLE_VALUES)] for name, a in arrays.items()}
    scales = {name: math.sqrt(float((sample**2).mean())) for name, sample in samples.items()}
    low, high = _FINEST, _COARSEST
    for _ in range(_TURNS):
        middle = (low + high) / 2
        steps = {name: scale * 2.0**middle for name, scale in scales.items()}
        bits = sum(
            arrays[name].size * float(estimate_rates(samples[name], [steps[name]])[0])
            for name in arrays
        )
        low, high = (middle, high) if bits / 8 > nbytes else (low, middle)
    return {name: scale * 2.0**high for name, scale in scales.items()}
