"""Values -> stored chunks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq import EcqCodec
from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.floats import to_float32
from seedpack.codecs.parts import prefixed
from seedpack.codecs.raw import CODEC as RAW
from seedpack.codecs.scatter.decoder import ScatterDecoder
from seedpack.codecs.scatter.form import DTYPES_OF_LEVELS, LOW, MAX_PIECES, pack_whole
from seedpack.codecs.scatter.order import scatter
from seedpack.codecs.streams import Cut, default_step, is_step
from seedpack.codecs.values import all_finite
from seedpack.container.manifest import Chunk, Layer
from seedpack.dtypes import DTYPES
from seedpack.limits import MAX_BINARY_NBYTES, MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from seedpack.container.manifest import Params
    from seedpack.dtypes import DType

_F32: Final = DTYPES["float32"]
_USUAL_CHUNKS: Final = 16  # of a layer, where nothing else is asked for
_MIN_CHUNK_NBYTES: Final = 256  # below, the record of a chunk (40 bytes) weighs too much
_LEAST_TOP_STEPS: Final = 2  # a top step of fewer low ones leaves the low part no bit to hold
_LOW_LEVELS: Final = 16  # of low steps, that a top step has by default: 4 bits
_LANES: Final = 4  # of small chunks: a lane costs 15 bits, and its rows time
_MIN_LANE_VALUES, _MAX_LANE_VALUES = 64, 1024


class Cutting(NamedTuple):
    """How a tensor is cut into chunks."""

    chunk_nbytes: int | None = None  # of each, about; by default a sixteenth of the tensor's
    min_chunks: int = 4  # fewer lose too much of a layer at once
    whole_nbytes: int = 2048  # what is smaller costs little in its record, where it cannot be lost
    most_nbytes: int | None = None  # of any chunk, where one more makes them that small


class ScatterCodec:
    """As exact as what stores its chunks: lossless, or |x - x'| at most 1.5 steps (COD-SCA-7)."""

    id: Final = "scatter"

    def __init__(
        self,
        inner: EcqCodec | None = None,
        *,
        exact: bool = False,
        cutting: Cutting | None = None,
        top_bits: bool = False,
    ) -> None:
        """Take what stores the chunks, and how they are cut.

        Args:
            inner: Quantises; with its own default step where none is given.
            exact: Store the values themselves instead.
            cutting: Into how many chunks.
            top_bits: Give bits below a quarter of the root mean square chunks of their own.
        """
        cutting = cutting or Cutting()
        nbytes = cutting.chunk_nbytes
        if nbytes is not None and not 1 <= nbytes <= MAX_CHUNK_RAW_NBYTES:
            raise ValueError(f"chunks of {nbytes} bytes")
        self._inner, self._exact = inner or EcqCodec(), exact
        self._cutting, self._top_bits = cutting, top_bits and not exact

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where it could not hold the values or saves nothing."""
        if not values.size:
            return None
        if self._exact:
            return self._encode_exact(values, dtype)
        if dtype.name not in DTYPES_OF_LEVELS or not all_finite(values, dtype):
            return None
        inner = self._inner
        if self._top_bits and inner.step is None:
            inner = _finer(inner, values, dtype)
        once = inner.encode(values, dtype, chunk_raw_nbytes=MAX_CHUNK_RAW_NBYTES)
        if once is None:
            return None
        nchunks = self._count_chunks(once.stored_nbytes, values, dtype)
        encoded = self._encode_levels(inner, values, dtype, nchunks)
        if encoded is not None and self._is_too_large(encoded) and nchunks < values.size:
            encoded = self._encode_levels(inner, values, dtype, nchunks + 1)
        lossless = RAW.encode(values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
        saves = encoded is not None and encoded.record_nbytes < lossless.record_nbytes
        return encoded if saves else None

    def decoder(self, layer: Layer, dtype: DType) -> ScatterDecoder:
        """Check COD-SCA-1 to COD-SCA-3, the parts' rules, CHK-1 and CHK-3."""
        return ScatterDecoder(layer, dtype)

    def _encode_exact(self, values: np.ndarray, dtype: DType) -> Encoded:
        nbytes = RAW.encode(values, dtype, chunk_raw_nbytes=MAX_CHUNK_RAW_NBYTES).stored_nbytes
        nchunks = self._count_chunks(nbytes, values, dtype)
        stored = _encode_rows(scatter(values, nchunks), dtype)
        if self._is_too_large(stored) and nchunks < values.size:
            stored = _encode_rows(scatter(values, nchunks + 1), dtype)
        return Encoded(self.id, *self._place(stored))

    def _is_too_large(self, stored: Encoded) -> bool:
        most_nbytes = self._cutting.most_nbytes
        return most_nbytes is not None and max(map(len, stored.chunks), default=0) > most_nbytes

    def _encode_levels(
        self, inner: EcqCodec, values: np.ndarray, dtype: DType, nchunks: int
    ) -> Encoded | None:
        if self._top_bits and nchunks > 1:
            both = self._encode_both(inner, values, dtype, nchunks)
            if both is not None:
                return both
        rows = scatter(values, nchunks)
        stored = inner.encode_cut(rows.ravel(), dtype, _cut(rows))
        if stored is None:
            return None
        return Encoded(self.id, *self._place(stored))

    def _encode_both(
        self, inner: EcqCodec, values: np.ndarray, dtype: DType, nchunks: int
    ) -> Encoded | None:
        """Return top and low bits in chunks of their own; None where there are no low ones."""
        rows = scatter(to_float32(values, dtype), nchunks)
        flat = rows.ravel()
        step, top_step = inner.step, default_step(values, dtype)
        if step is None or top_step < _LEAST_TOP_STEPS * step:
            return None
        top = EcqCodec(top_step, mu=0).encode_cut(flat, _F32, _cut(rows))
        if top is None:
            return None
        rest = flat - _decode(top, flat.size)
        low = inner.encode_cut(rest, _F32, _cut(rows))
        if low is None:
            return None
        return Encoded(self.id, top.params | prefixed(LOW, low.params), top.chunks + low.chunks)

    def _count_chunks(self, stored_nbytes: int, values: np.ndarray, dtype: DType) -> int:
        """Return K, 1 where the layer's record is to hold it."""
        least = -(-values.size * max(dtype.itemsize, _F32.itemsize) // MAX_CHUNK_RAW_NBYTES)
        goal, min_chunks, whole_nbytes, _ = self._cutting
        goal = goal or max(stored_nbytes // _USUAL_CHUNKS, _MIN_CHUNK_NBYTES)
        nchunks = max(-(-stored_nbytes // goal), least)
        if nchunks < max(min_chunks, 2) and stored_nbytes <= whole_nbytes:
            return 1
        return min(max(nchunks, min_chunks), values.size)

    def _place(self, stored: Encoded) -> tuple[Params, list[bytes]]:
        """Return params and chunks; of a small tensor the params hold the chunk."""
        whole_nbytes = min(self._cutting.whole_nbytes, MAX_PIECES * MAX_BINARY_NBYTES)
        if len(stored.chunks) == 1 and stored.stored_nbytes <= whole_nbytes:
            return stored.params | pack_whole(stored.chunks[0]), []
        return stored.params, stored.chunks


CODEC: Final = ScatterCodec()


def configure(settings: Mapping[str, float]) -> ScatterCodec:
    """Return the codec with ``step`` and ``mu`` of its levels, or ``exact``; ``chunk_nbytes``.

    Raises:
        ValueError: Another setting, or one out of range (wrong call).
    """
    if not settings.keys() <= {"chunk_nbytes", "exact", "mu", "step"}:
        raise ValueError(
            f"scatter has the settings chunk_nbytes, exact, mu, step, not {sorted(settings)}"
        )
    levels = {name: settings[name] for name in ("mu", "step") if name in settings}
    nbytes = settings.get("chunk_nbytes")
    return ScatterCodec(
        EcqCodec(**levels),
        exact=bool(settings.get("exact", 0)),
        cutting=Cutting(None if nbytes is None else int(nbytes)),
    )


def _finer(inner: EcqCodec, values: np.ndarray, dtype: DType) -> EcqCodec:
    """Return the codec with four bits more than by default, which is where the top ones end."""
    step = default_step(values, dtype) / _LOW_LEVELS
    return EcqCodec(step, inner.mu) if is_step(step) else inner


def _encode_rows(rows: np.ndarray, dtype: DType) -> Encoded:
    """Return exact values, a chunk for each row."""
    return RAW.encode(rows.ravel(), dtype, chunk_raw_nbytes=rows.shape[1] * dtype.itemsize)


def _cut(rows: np.ndarray) -> Cut:
    """Return the cut of rows (K, M) into K chunks."""
    lane_values = rows.shape[1] // _LANES
    return Cut(rows.shape[1], min(max(lane_values, _MIN_LANE_VALUES), _MAX_LANE_VALUES))


def _decode(encoded: Encoded, nvalues: int) -> np.ndarray:
    """Return what float32 values of codec ``ecq`` decode to."""
    layer = Layer(
        chunks=[Chunk(len(stored), b"") for stored in encoded.chunks],
        codec=encoded.codec,
        digest=b"",
        dtype=_F32.name,
        finite=True,
        name="top bits",
        params=encoded.params,
        shape=[nvalues],
    )
    decoder = EcqDecoder(layer, _F32)
    for number, stored in enumerate(encoded.chunks):
        decoder.decode_chunk(number, memoryview(stored))
    return decoder.finish()
