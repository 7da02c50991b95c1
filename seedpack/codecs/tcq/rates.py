"""What a step would cost, from a sample and without encoding."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.ecq.rates import estimate_rates as estimate_grid_rates
from seedpack.codecs.tcq.menu import make_ruler
from seedpack.codecs.tcq.paths import learn_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.codecs.tcq.menu import Counts

_WALKED_VALUES: Final = 1 << 13  # of a sample that lies in no order
# Times the root mean square: 5 bits. Finer steps cost what they cost a plain grid.
_FINE: Final = 0.125
_ESCAPE_BITS: Final = 32


def estimate_rates(sample: np.ndarray, steps: Sequence[float]) -> np.ndarray:
    """Return bits per value (s,) at ``steps``: the entropy of what cheapest paths take.

    Args:
        sample: (v,) float32, finite, v >= 1. Levels much rarer than the sample can show make
            the estimate low: by 0.1 bits where there are an eighth as many levels as values.
        steps: (s,), of the codec's setting.

    Cost:
        Some 10 ms per step coarser than an eighth of the root mean square.
    """
    fine = _FINE * float(np.sqrt(np.square(sample, dtype=np.float64).mean()))
    few = sample[:: -(-sample.size // _WALKED_VALUES)]
    return np.array(
        [
            _path_entropy(few, step)
            if step > fine
            else float(estimate_grid_rates(sample, [step])[0])
            for step in steps
        ]
    )


def _path_entropy(sample: np.ndarray, step: float) -> float:
    ruler = make_ruler(sample, step / 2)
    counts = learn_counts(sample, ruler, _ESCAPE_BITS)
    return sum(map(_total_bits, counts)) / sample.size


def _total_bits(counts: Counts) -> float:
    each = np.append(counts.levels, counts.escape)
    each = each[each > 0]
    bits = float((each * np.log2(each.sum() / np.maximum(each, 1))).sum()) if each.size else 0.0
    return bits + counts.escape * _ESCAPE_BITS
