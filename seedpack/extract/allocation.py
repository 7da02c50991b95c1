"""How many bits each matrix gets (spec: extract.md, Rate allocation).

    minimise  sum_l h_l D_l + lambda R_l,  D_l ~ step_l^2, dD_l / dR_l ~ -D_l
        =>    step_l = c / sqrt(h_l)

Steps and sizes are counted in units of 1/256 octave, integers: an exponent e is the number
2^(e / 256). Thus c, the one unknown, is searched among integers, and what differs in a last
bit between two machines is rounded away.

Pure: nothing here encodes, or reads a model.
"""

from __future__ import annotations

import bisect
import math
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.codecs.ecq.rates import estimate_rates
from seedpack.codecs.floats import round_bfloat16, to_float32, widen_bfloat16
from seedpack.codecs.streams import mean_square
from seedpack.codecs.values import all_finite
from seedpack.extract.rows import estimate_row_rates

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from seedpack.extract.rows import Shares
    from seedpack.frameworks import NamedTensor

OCTAVE: Final = 256
# Relative to the root mean square: finer than 2^-8 most values would escape the table of
# 2000 levels; coarser than 4, hardly any value is not zero.
FINEST: Final = -8 * OCTAVE
COARSEST: Final = 2 * OCTAVE

_STEPS: Final = range(FINEST, COARSEST + 1, OCTAVE // 2)  # between them, rates are interpolated
_SAMPLE_VALUES: Final = 1 << 14
_MAX_SCALE: Final = 100 * OCTAVE  # so that every step is a normal float32
_MIN_DIMS: Final = 2
_DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})


class Matrix(NamedTuple):
    """What allocation needs to know of one tensor."""

    name: str
    nvalues: int
    scale: int  # exponent of the root mean square
    rates: tuple[float, ...]  # bits per value at _STEPS, which are relative to scale


class Allocation:
    """Steps of all matrices as a function of one number, the level: the exponent of c."""

    def __init__(self, matrices: Sequence[Matrix], offsets: Mapping[str, int]) -> None:
        """Take ``offsets``, the exponents of 1 / sqrt(h) by name, one for each of ``matrices``."""
        self._matrices = tuple(matrices)
        self._offsets = dict(offsets)
        self.names = frozenset(matrix.name for matrix in matrices)
        relative = [offsets[matrix.name] - matrix.scale for matrix in matrices]
        self.finest = FINEST - max(relative, default=0)  # level at which no step can be finer
        self.coarsest = COARSEST - min(relative, default=0)

    def steps(self, level: int) -> dict[str, float]:
        """Return the step of each matrix, by name."""
        return {
            matrix.name: to_step(matrix.scale + self._relative(matrix, level))
            for matrix in self._matrices
        }

    def rates(self, level: int) -> dict[str, float]:
        """Return about how many bits a value of each matrix takes."""
        return {matrix.name: self._rate(matrix, level) for matrix in self._matrices}

    def estimate_nbytes(self, level: int) -> float:
        """Return about what all matrices take; the coarser, the less."""
        return sum(
            matrix.nvalues * self._rate(matrix, level)
            for matrix in self._matrices
        ) / 8  # fmt: skip

    def find_level(self, nbytes: float) -> int:
        """Return the finest level that takes at most about ``nbytes``, else the coarsest."""
        levels = range(self.finest, self.coarsest)
        found = bisect.bisect_left(levels, -nbytes, key=lambda level: -self.estimate_nbytes(level))
        return self.finest + found

    def _rate(self, matrix: Matrix, level: int) -> float:
        return float(np.interp(self._relative(matrix, level), _STEPS, matrix.rates))

    def _relative(self, matrix: Matrix, level: int) -> int:
        exponent = level + self._offsets[matrix.name] - matrix.scale
        return min(max(exponent, FINEST), COARSEST)


def to_step(exponent: int) -> float:
    """Return 2^(exponent / 256), rounded to the 8 bits of a bfloat16."""
    rounded = round_bfloat16(np.array([2.0 ** (exponent / OCTAVE)], np.float32))
    return float(widen_bfloat16(rounded)[0])


def survey_matrices(
    tensors: Iterable[NamedTensor], shares: Mapping[str, Shares] = MappingProxyType({})
) -> list[Matrix]:
    """Return the tensors that get bits by need, of those that ``ecq`` may take (EXT-13).

    Args:
        tensors: Of the model.
        shares: Of those whose rows are not read equally often.

    Cost:
        One pass over the model; memory is that of its largest tensor.
    """
    return [matrix for tensor in tensors if (matrix := _survey(tensor, shares)) is not None]


def _survey(tensor: NamedTensor, shares: Mapping[str, Shares]) -> Matrix | None:
    if tensor.dtype.name not in _DTYPE_NAMES or len(tensor.shape) < _MIN_DIMS:
        return None
    stored = np.frombuffer(tensor.data, tensor.dtype.storage)
    if not stored.size or not all_finite(stored, tensor.dtype):
        return None
    square = mean_square(stored, tensor.dtype)
    if not square:
        return None
    scale = round(OCTAVE * math.log2(square) / 2)
    if abs(scale) > _MAX_SCALE:
        return None
    steps = [to_step(scale + relative) for relative in _STEPS]
    if tensor.name in shares:
        matrix = to_float32(stored, tensor.dtype).reshape(tensor.shape)
        rates = np.array(estimate_row_rates(matrix, steps, shares[tensor.name]))
    else:
        sample = to_float32(stored[:: -(-stored.size // _SAMPLE_VALUES)], tensor.dtype)
        rates = estimate_rates(sample, steps)
    falling = np.minimum.accumulate(rates)  # a sample's rate may rise by a hair
    return Matrix(tensor.name, stored.size, scale, tuple(falling.tolist()))
