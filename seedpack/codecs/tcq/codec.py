"""Values -> stored chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.raw import saves
from seedpack.codecs.streams import (
    DTYPE_NAMES,
    choose_cut,
    default_step,
    encode_chunks,
    is_step,
)
from seedpack.codecs.tcq.decoder import TcqDecoder
from seedpack.codecs.tcq.grid import Coding, Grid
from seedpack.codecs.tcq.menu import DEFAULT_MU
from seedpack.codecs.tcq.paths import Weights, choose_paths
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from seedpack.codecs.streams import Cut
    from seedpack.codecs.tcq.paths import Paths
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class TcqCodec:
    """Lossy: |x - x'| is at most 3 steps, before the roundings (COD-TCQ-8)."""

    id: Final = "tcq"

    def __init__(self, step: float | None = None, mu: float = DEFAULT_MU) -> None:
        """Take a step, whose half is a normal float32; by default that of ``ecq``.

        ``mu``, above 0 and at most 1, is what a bit is worth, in squared steps of error.
        """
        if step is not None and not is_step(step / 2):
            raise ValueError(f"half of step {step!r} is no positive normal float32")
        if not 0 < mu <= 1:
            raise ValueError(f"mu {mu!r} is not above 0 and at most 1")
        self._step, self._weights = step, Weights((mu,))

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        return encode_weighted(values, dtype, self._step, self._weights, chunk_raw_nbytes)

    def decoder(self, layer: Layer, dtype: DType) -> TcqDecoder:
        """Check COD-TCQ-1 to COD-TCQ-5, CHK-1 and CHK-3, and allocate the values."""
        return TcqDecoder(layer, dtype)


CODEC: Final = TcqCodec()


def configure(settings: Mapping[str, float]) -> TcqCodec:
    """Return the codec with another ``step`` or ``mu``.

    Raises:
        ValueError: Another setting, a step whose half is no positive normal float32, or a mu that
            is not above 0 and at most 1 (wrong call).
    """
    if not settings.keys() <= {"step", "mu"}:
        raise ValueError(f"tcq has the settings step and mu, not {sorted(settings)}")
    return TcqCodec(settings.get("step"), settings.get("mu", DEFAULT_MU))


def encode_weighted(
    values: np.ndarray,
    dtype: DType,
    step: float | None,
    weights: Weights,
    chunk_raw_nbytes: int,
) -> Encoded | None:
    """Return the stored form of values whose errors do not count alike; None as ``encode``.

    Args:
        values: 1-D, contiguous, of numpy type ``dtype.storage``.
        dtype: What the stored bits mean.
        step: Twice the half step; None for the default.
        weights: Of the values.
        chunk_raw_nbytes: As for any codec.
    """
    if dtype.name not in DTYPE_NAMES or not values.size or not all_finite(values, dtype):
        return None
    exact = to_float32(values, dtype)
    half_step = (default_step(exact) if step is None else step) / 2
    if not is_step(half_step):
        return None
    cut = choose_cut(values, chunk_raw_nbytes)
    paths = choose_paths(exact, half_step, cut, 8 * dtype.itemsize, weights)
    grid = Grid(half_step, paths.quantisers)
    return store_paths(values, dtype, grid, paths, cut, chunk_raw_nbytes=chunk_raw_nbytes)


def store_paths(
    values: np.ndarray,
    dtype: DType,
    grid: Grid,
    paths: Paths,
    cut: Cut,
    *,
    chunk_raw_nbytes: int,
) -> Encoded | None:
    """Return the stored form of ``values`` whose paths are known; None as ``encode``.

    Args:
        values: (v,) of numpy type ``dtype.storage``: what escapes is taken from here.
        dtype: What the stored bits mean.
        grid: Of the quantisers of ``paths``.
        paths: Of all values.
        cut: The one by which they were found.
        chunk_raw_nbytes: As for any codec.
    """
    if not (grid.has_levels_in_range() and grid.is_finite(dtype)):
        return None
    table = grid.joint_table()
    layout, chunks = encode_chunks(values, paths.symbols, paths.escaped.__getitem__, table, cut)
    encoded = Encoded(TcqCodec.id, Coding(cut.chunk_values, layout, grid).pack(), chunks)
    is_worth_it = saves(encoded, values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
    return encoded if is_worth_it else None
