"""Stored chunks and a base -> values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.delta.differences import (
    Difference,
    EcqDifference,
    LowRankDifference,
    SignDifference,
)
from seedpack.codecs.delta.params import read_reference
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.values import all_finite, allocate_values, check_finite
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.codecs.base import BaseTensors
    from seedpack.codecs.delta.params import Reference
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

DTYPE_NAMES: Final = frozenset({"bfloat16", "float16", "float32"})
SAME: Final = "same"
_METHODS: Final[dict[str, type[EcqDifference | LowRankDifference | SignDifference]]] = {
    "ecq": EcqDifference,
    "lowrank": LowRankDifference,
    "sign": SignDifference,
}
_BLOCK_VALUES: Final = 1 << 16  # added together, so that no copy outgrows the cache


class DeltaDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType, base: BaseTensors) -> None:
        """Check the layer record and the base's before anything of their size is allocated."""
        self._layer = layer
        self._dtype = dtype
        self._base = base
        reference = read_reference(layer)
        self._tensor = reference.tensor
        self._check_base()
        self._difference = _open_difference(layer, reference)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk of the difference."""
        if self._difference is not None:
            self._difference.decode_chunk(index, stored)

    def finish(self) -> np.ndarray:
        """Return the sum of base and difference.

        Raises:
            CodecError: COD-DLT-2, the base is not finite; LAY-7, the sum is not.
        """
        where = f"layer {self._layer.name}"
        values = self._base.read(self._tensor)
        if self._difference is not None:
            if not all_finite(values, self._dtype):
                message = f"NaN or infinity in tensor {self._tensor} of the base"
                raise CodecError(message, rule="COD-DLT-2", where=where)
            values = self._sum(values, self._difference)
        if self._layer.finite:
            check_finite(values, self._dtype, where)
        return values

    def _check_base(self) -> None:
        """Refuse a base without a tensor of this dtype and shape (BAS-3)."""
        found = self._base.describe(self._tensor)
        if found == (self._dtype, tuple(self._layer.shape)):
            return
        what = "no such tensor" if found is None else f"{found[0].name} {list(found[1])}"
        wanted = f"{self._dtype.name} {self._layer.shape}"
        raise CodecError(
            f"the base has {what} under {self._tensor[:80]!a}, needed is {wanted}",
            rule="BAS-3",
            where=f"layer {self._layer.name}",
            hint="the publisher's writer is at fault; ask for a new seed",
        )

    def _sum(self, base: np.ndarray, difference: Difference) -> np.ndarray:
        values = allocate_values(self._layer, self._dtype)
        for place, added in difference.blocks():
            for start in range(place.start, place.stop, _BLOCK_VALUES):
                stop = min(start + _BLOCK_VALUES, place.stop)
                exact = to_float32(base[start:stop], self._dtype)
                with np.errstate(over="ignore"):  # infinity is refused by the caller, LAY-7
                    total = exact + added[start - place.start : stop - place.start]
                store_float32(total, values[start:stop], self._dtype)
        return values


def _open_difference(layer: Layer, reference: Reference) -> Difference | None:
    where = f"layer {layer.name}"
    if reference.method == SAME and not reference.params:
        if layer.chunks:
            message = f"{len(layer.chunks)} chunks, where nothing differs"
            raise CodecError(message, rule="CHK-3", where=where)
        return None
    method = _METHODS.get(reference.method)
    if method is None:
        message = f"unknown method {reference.method[:40]!a}, or params of another"
        raise CodecError(message, rule="COD-DLT-1", where=where)
    if layer.dtype not in DTYPE_NAMES or not layer.finite:
        message = f"differences are of finite 16 or 32 bit floats, not {layer.dtype}"
        raise CodecError(message, rule="COD-DLT-2", where=where)
    return method(layer, reference.params)
