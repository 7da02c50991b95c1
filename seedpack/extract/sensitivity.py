"""How much an error in each matrix harms what the model does, without any data.

    framework runs the model?  h_l = harm of noise in matrix l / energy of the noise
    it cannot                  h_l = 1 / mean square of l: equal relative error

Neither says how much the seed will keep: that is measured on a task.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.extract.allocation import OCTAVE
from seedpack.frameworks.inputs import RANDOM
from seedpack.frameworks.probing import PROBE, probe_harm

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.extract.allocation import Matrix
    from seedpack.frameworks.observing import RunningModel

_COARSE: Final = OCTAVE // 4  # what machines and versions of torch disagree on is far less
_SEEN: Final = 1e-6  # less harm than this is rounding


class Sensitivity(NamedTuple):
    """Exponents of 1 / sqrt(h) by name, and where they come from."""

    how: str
    probe: str  # for the recipe
    offsets: dict[str, int]


def measure_sensitivity(running: RunningModel | None, matrices: Sequence[Matrix]) -> Sensitivity:
    """Return the sensitivity of ``matrices``, by the probe where there is a model that runs."""
    names = [matrix.name for matrix in matrices]
    harm = None if running is None else probe_harm(running, names)
    probed = {} if harm is None else _offsets(matrices, harm)
    if probed:
        return Sensitivity("data-free probe", PROBE + RANDOM, probed)
    equal = {matrix.name: matrix.scale for matrix in matrices}
    return Sensitivity("equal relative error", "none", equal)


def _offsets(matrices: Sequence[Matrix], harm: Mapping[str, float]) -> dict[str, int]:
    """Return offsets relative to what noise of equal relative size does; empty if it does nothing.

    What the probe does not see (a pooler, the head of another task) gets the median.
    """
    seen = {
        matrix.name: _round(math.log2(matrix.nvalues / harm[matrix.name]) / 2)
        for matrix in matrices
        if harm.get(matrix.name, 0) > _SEEN
    }
    if not seen:
        return {}
    median = statistics.median_low(seen.values())
    return {matrix.name: matrix.scale + seen.get(matrix.name, median) for matrix in matrices}


def _round(octaves: float) -> int:
    return round(octaves * OCTAVE / _COARSE) * _COARSE
