"""What a step would cost, from a sample and without encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seedpack.codecs.ecq.levels import DEFAULT_MU, find_thresholds, round_to_levels

if TYPE_CHECKING:
    from collections.abc import Sequence


def estimate_rates(
    sample: np.ndarray, steps: Sequence[float], mu: float = DEFAULT_MU
) -> np.ndarray:
    """Return bits per value (s,) at ``steps``: the entropy of the levels that values take.

    Args:
        sample: (v,) float32, finite, v >= 1. Levels much rarer than the sample can show make
            the estimate low: by 0.1 bits where there are an eighth as many levels as values.
        steps: (s,), distances between levels.
        mu: Of the rounding; see ``find_thresholds``.
    """
    return np.array([_entropy(sample, step, mu) for step in steps])


def _entropy(sample: np.ndarray, step: float, mu: float) -> float:
    levels = round_to_levels(sample, step, find_thresholds(sample, step, mu))
    _, counts = np.unique(levels, return_counts=True)
    shares = counts / sample.size
    return float(-(shares * np.log2(shares)).sum()) + 0.0  # no negative zero
