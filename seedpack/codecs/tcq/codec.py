"""Values -> stored chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.raw import takes_more
from seedpack.codecs.streams import (
    DTYPE_NAMES,
    choose_cut,
    default_step,
    encode_chunks,
    is_step,
)
from seedpack.codecs.tcq.decoder import TcqDecoder
from seedpack.codecs.tcq.grid import Coding, Grid
from seedpack.codecs.tcq.paths import choose_paths
from seedpack.codecs.values import all_finite

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class TcqCodec:
    """Lossy: |x - x'| is at most 3 steps, before the roundings (COD-TCQ-8)."""

    id: Final = "tcq"

    def __init__(self, step: float | None = None) -> None:
        """Take a step, whose half is a normal float32; by default that of ``ecq``."""
        if step is not None and not is_step(step / 2):
            raise ValueError(f"half of step {step!r} is no positive normal float32")
        self._step = step

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if dtype.name not in DTYPE_NAMES or not values.size or not all_finite(values, dtype):
            return None
        exact = to_float32(values, dtype)
        half_step = (default_step(exact) if self._step is None else self._step) / 2
        if not is_step(half_step):
            return None
        cut = choose_cut(values, chunk_raw_nbytes)
        paths = choose_paths(exact, half_step, cut, 8 * dtype.itemsize)
        grid = Grid(half_step, paths.quantisers)
        if not (grid.has_levels_in_range() and grid.is_finite(dtype)):
            return None
        table = grid.joint_table()
        layout, chunks = encode_chunks(values, paths.symbols, paths.escaped.__getitem__, table, cut)
        encoded = Encoded(self.id, Coding(cut.chunk_values, layout, grid).pack(), chunks)
        saves = takes_more(values, dtype, encoded.stored_nbytes, chunk_raw_nbytes=chunk_raw_nbytes)
        return encoded if saves else None

    def decoder(self, layer: Layer, dtype: DType) -> TcqDecoder:
        """Check COD-TCQ-1 to COD-TCQ-5, CHK-1 and CHK-3, and allocate the values."""
        return TcqDecoder(layer, dtype)


CODEC: Final = TcqCodec()


def configure(settings: Mapping[str, float]) -> TcqCodec:
    """Return the codec with another ``step``.

    Raises:
        ValueError: Another setting, or a step whose half is no positive normal float32 (wrong
            call).
    """
    if settings.keys() != {"step"}:
        raise ValueError(f"tcq has the setting step, not {sorted(settings)}")
    return TcqCodec(settings["step"])
