"""Stored chunks -> values."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from seedpack.codecs.base import Partial
from seedpack.codecs.ecq.decoder import EcqDecoder
from seedpack.codecs.floats import store_float32
from seedpack.codecs.raw import RawDecoder
from seedpack.codecs.scatter.form import PARTS_DTYPE, read_form
from seedpack.codecs.scatter.order import gather
from seedpack.codecs.values import allocate_values, check_finite
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from collections.abc import Collection

    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class ScatterDecoder:
    """One layer on its way back: parts are decoded chunk by chunk, then put in order."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        self._form = form = read_form(layer)
        self._layer, self._dtype = layer, dtype
        first = EcqDecoder if "step" in layer.params else RawDecoder
        kind = DTYPES[form.first.dtype]
        self._first: EcqDecoder | RawDecoder = first(form.first, kind)
        self._low = EcqDecoder(form.low, DTYPES[PARTS_DTYPE]) if form.low else None
        if form.whole is not None:
            self._first.decode_chunk(0, memoryview(form.whole))

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place; copies are others' (COD-SCA-6)."""
        part, number = divmod(index - self._form.ncopies_before, self._form.nchunks)
        if part == 0:
            self._first.decode_chunk(number, stored)
        elif part == 1 and self._low is not None:
            self._low.decode_chunk(number, stored)

    def finish(self) -> np.ndarray:
        """Return the values (COD-SCA-5)."""
        return self.finish_without(()).values

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, 0 where the chunk of the value, or of its top bits, is lost."""
        nchunks = self._form.nchunks
        rows = self._first.finish().reshape(nchunks, -1)
        own = [index - self._form.ncopies_before for index in lost]
        lost_first = [index for index in own if 0 <= index < nchunks]
        rows[lost_first] = 0
        lost_low: list[int] = []
        if self._low is not None:
            low = self._low.finish().reshape(nchunks, -1)
            lost_low = [i - nchunks for i in own if nchunks <= i < 2 * nchunks]
            low[lost_low + lost_first] = 0
            rows += low  # float32, rounded once (COD-SCA-5)
        values = self._in_order(rows)
        is_known = self._spread(rows.shape, lost_first, present=False)
        is_coarse = self._spread(rows.shape, lost_low, present=True) & is_known
        return Partial(values, is_known, is_coarse)

    def _in_order(self, rows: np.ndarray) -> np.ndarray:
        """Return the tensor's values of (K, M), with nothing behind the last one (COD-SCA-4)."""
        where = f"layer {self._layer.name}"
        nvalues = math.prod(self._layer.shape)
        values = gather(rows)
        behind = values[nvalues:].view(np.uint8)
        if behind.any():
            raise CodecError("value behind the last one", rule="COD-SCA-4", where=where)
        if self._low is None:
            return values[:nvalues]
        out = allocate_values(self._layer, self._dtype)
        store_float32(values[:nvalues], out, self._dtype)
        check_finite(out, self._dtype, where)
        return out

    def _spread(self, shape: tuple[int, ...], chosen: list[int], *, present: bool) -> np.ndarray:
        """Return ``present`` for each value of the ``chosen`` chunks, its opposite for others."""
        marks = np.full(shape, not present)
        marks[chosen] = present
        return gather(marks)[: math.prod(self._layer.shape)]
