"""Values -> stored chunks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq.decoder import DTYPE_NAMES, EcqDecoder
from seedpack.codecs.ecq.grid import ESCAPE, Coding, Grid, are_levels, is_step
from seedpack.codecs.ecq.levels import (
    choose_levels,
    find_thresholds,
    round_to_levels,
    scale_counts,
)
from seedpack.codecs.floats import round_bfloat16, to_float32, widen_bfloat16
from seedpack.codecs.rans import CodeTable, Layout, encode_lanes, longest_tail
from seedpack.codecs.rans.layouts import MAX_LANE_VALUES
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.values import all_finite
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_DEFAULT_STEP: Final = 0.25  # times the root mean square: about 4 bits per value
# Chunks are sized by what they store: at these rates a quarter of what raw would, or less.
_CHUNK_GROWTH: Final = 4
# A lane costs 15 bits or more, and fewer than 512 lanes cost time: 0.007 to 0.015 bits a value.
_LANES: Final = 512
_MIN_LANE_VALUES: Final = 1024


class EcqCodec:
    """Lossy: |x - x'| is at most 1.5 steps, before the roundings (COD-ECQ-8)."""

    id: Final = "ecq"

    def __init__(self, step: float | None = None) -> None:
        """Take a step, a normal float32; by default a quarter of each tensor's root mean square."""
        if step is not None and not is_step(step):
            raise ValueError(f"step {step!r} is no positive normal float32")
        self._step = step

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if dtype.name not in DTYPE_NAMES or not values.size or not all_finite(values, dtype):
            return None
        exact = to_float32(values, dtype)
        step = _default_step(exact) if self._step is None else self._step
        if not is_step(step):
            return None
        levels = round_to_levels(exact, step, find_thresholds(exact, step))
        grid = _choose_grid(levels, step)
        if not (are_levels(grid.lowest, grid.table.frequencies.size - 1) and grid.is_finite(dtype)):
            return None
        encoded = _encode_symbols(values, grid.symbols_of(levels), grid, chunk_raw_nbytes)
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if encoded.stored_nbytes < lossless.stored_nbytes else None

    def decoder(self, layer: Layer, dtype: DType) -> EcqDecoder:
        """Check COD-ECQ-1 to COD-ECQ-5, CHK-1 and CHK-3, and allocate the values."""
        return EcqDecoder(layer, dtype)


CODEC: Final = EcqCodec()


def configure(settings: Mapping[str, float]) -> EcqCodec:
    """Return the codec with another ``step``.

    Raises:
        ValueError: Another setting, or a step that is no positive normal float32 (wrong call).
    """
    if settings.keys() != {"step"}:
        raise ValueError(f"ecq has the setting step, not {sorted(settings)}")
    return EcqCodec(settings["step"])


def _default_step(exact: np.ndarray) -> float:
    """Return a step of 8 bits, so that no order of summation shows in it."""
    mean_square = np.square(exact, dtype=np.float64).mean()
    rounded = round_bfloat16(np.array([math.sqrt(mean_square) * _DEFAULT_STEP], np.float32))
    return float(widen_bfloat16(rounded)[0])


def _choose_grid(levels: np.ndarray, step: float) -> Grid:
    lowest, counts = choose_levels(levels)
    escaped = levels.size - int(counts.sum())
    return Grid(step, lowest, CodeTable(scale_counts(np.array([escaped, *counts]))))


def _encode_symbols(
    values: np.ndarray, symbols: np.ndarray, grid: Grid, chunk_raw_nbytes: int
) -> Encoded:
    most = min(chunk_raw_nbytes * _CHUNK_GROWTH, MAX_CHUNK_RAW_NBYTES) // values.itemsize
    nchunks = -(-values.size // most)
    chunk_values = -(-values.size // nchunks)  # so that none is much shorter than the others
    lane_values = min(max(chunk_values // _LANES, _MIN_LANE_VALUES), MAX_LANE_VALUES)
    starts = range(0, values.size, chunk_values)
    streams = [symbols[start : start + chunk_values] for start in starts]
    layout = Layout(lane_values, longest_tail(streams, grid.table, lane_values))
    chunks = []
    for start, stream in zip(starts, streams, strict=True):
        escaped = values[start : start + chunk_values][stream == ESCAPE]
        chunks.append(encode_lanes(stream, grid.table, layout) + escaped.tobytes())
    return Encoded(EcqCodec.id, Coding(chunk_values, layout, grid).pack(), chunks)
