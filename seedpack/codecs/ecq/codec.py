"""Values -> stored chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.ecq.grid import Coding, Grid, are_levels
from seedpack.codecs.ecq.levels import (
    DEFAULT_MU,
    choose_levels,
    find_thresholds,
    round_to_levels,
    scale_counts,
)
from seedpack.codecs.rans import CodeTable
from seedpack.codecs.raw import saves
from seedpack.codecs.streams import (
    DTYPE_NAMES,
    ESCAPE,
    Cut,
    choose_cut,
    default_step,
    encode_chunks,
    is_step,
)
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class EcqCodec:
    """Lossy: |x - x'| is at most 1.5 steps, before the roundings (COD-ECQ-8)."""

    id: Final = "ecq"

    def __init__(self, step: float | None = None, mu: float = DEFAULT_MU) -> None:
        """Take a step, a normal float32; by default a quarter of each tensor's root mean square.

        ``mu``, 0 to 1, is what a bit is worth, in squared steps of error: 0 rounds to nearest.
        """
        if step is not None and not is_step(step):
            raise ValueError(f"step {step!r} is no positive normal float32")
        if not 0 <= mu <= 1:
            raise ValueError(f"mu {mu!r} is not within 0 and 1")
        self._step, self._mu = step, mu

    @property
    def step(self) -> float | None:
        """The step of every tensor; None where each has its own."""
        return self._step

    @property
    def mu(self) -> float:
        """What a bit is worth."""
        return self._mu

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if not values.size:
            return None
        encoded = self.encode_cut(values, dtype, choose_cut(values, chunk_raw_nbytes))
        if encoded is None:
            return None
        is_worth_it = saves(encoded, values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if is_worth_it else None

    def encode_cut(self, values: np.ndarray, dtype: DType, cut: Cut) -> Encoded | None:
        """Return the stored form, in these chunks and lanes; None where it cannot hold the values.

        Args:
            values: (v,), v >= 1, as for ``encode``.
            dtype: As for ``encode``.
            cut: Chunks and lanes.
        """
        if dtype.name not in DTYPE_NAMES or not all_finite(values, dtype):
            return None
        step = default_step(values, dtype) if self._step is None else self._step
        if not is_step(step):
            return None
        thresholds = find_thresholds(values, step, self._mu, dtype=dtype)
        levels = round_to_levels(values, step, thresholds, dtype=dtype)
        grid = _choose_grid(levels, step)
        if not (are_levels(grid.lowest, grid.table.frequencies.size - 1) and grid.is_finite(dtype)):
            return None
        return _encode_levels(values, levels, grid, cut)

    def decoder(self, layer: Layer, dtype: DType) -> EcqDecoder:
        """Check COD-ECQ-1 to COD-ECQ-5, CHK-1 and CHK-3, and allocate the values."""
        return EcqDecoder(layer, dtype)


CODEC: Final = EcqCodec()


def configure(settings: Mapping[str, float]) -> EcqCodec:
    """Return the codec with another ``step`` or ``mu``.

    Raises:
        ValueError: Another setting, a step that is no positive normal float32, or a mu that is
            not within 0 and 1 (wrong call).
    """
    if not settings.keys() <= {"step", "mu"}:
        raise ValueError(f"ecq has the settings step and mu, not {sorted(settings)}")
    return EcqCodec(settings.get("step"), settings.get("mu", DEFAULT_MU))


def encode_integers(integers: np.ndarray, *, chunk_raw_nbytes: int) -> Encoded:
    """Return the stored form of integers as float32 with the step 1, exactly.

    Args:
        integers: (v,) int32, v >= 1, magnitudes up to 2^23.
        chunk_raw_nbytes: As for a tensor.
    """
    grid = _choose_grid(integers, 1.0)
    cut = choose_cut(integers, chunk_raw_nbytes)
    return _encode_levels(integers.astype(np.float32), integers.copy(), grid, cut)


def _choose_grid(levels: np.ndarray, step: float) -> Grid:
    lowest, counts = choose_levels(levels)
    escaped = levels.size - int(counts.sum())
    return Grid(step, lowest, CodeTable(scale_counts(np.array([escaped, *counts]))))


def _encode_levels(values: np.ndarray, levels: np.ndarray, grid: Grid, cut: Cut) -> Encoded:
    symbols = levels  # in place, and piece by piece: no copy of a large tensor's
    for span in cut.spans(levels.size):
        symbols[span] = grid.symbols_of(levels[span])
    layout, chunks = encode_chunks(
        values, symbols, lambda span: symbols[span] == ESCAPE, grid.table, cut
    )
    return Encoded(EcqCodec.id, Coding(cut.chunk_values, layout, grid).pack(), chunks)
