"""Codec ``const``: a tensor of equal values, which needs no chunk (spec/codecs/const.md).

params = {value: the bytes of one value}     chunks = none
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.base import Encoded
from seedpack.codecs.values import allocate_values, check_finite, refuse_chunks
from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_LOOK: Final = 64  # values compared first: hardly any other tensor begins so


class ConstCodec:
    """Lossless (COD-CON-3); declines values of which two differ in a bit."""

    id: Final = "const"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form; None where two values differ."""
        del chunk_raw_nbytes  # there is none
        if not is_constant(values):
            return None
        value = values[:1].tobytes() if values.size else bytes(dtype.itemsize)
        return Encoded(self.id, {"value": value}, [])

    def decoder(self, layer: Layer, dtype: DType) -> ConstDecoder:
        """Check COD-CON-1, COD-CON-2, CHK-3 and LAY-7, and allocate the values."""
        return ConstDecoder(layer, dtype)


CODEC: Final = ConstCodec()


def is_constant(values: np.ndarray) -> bool:
    """Return whether no two of ``values`` (v,), of a storage type, differ in a bit."""
    words = values.view(f"<u{values.itemsize}")
    return bool((words[:_LOOK] == words[:1]).all() and (words[_LOOK:] == words[:1]).all())


class ConstDecoder:
    """One layer on its way back."""

    def __init__(self, layer: Layer, dtype: DType) -> None:
        """Check the layer record before anything of its size is allocated."""
        where = f"layer {layer.name}"
        match layer.params:
            case {"value": bytes(value), **others} if not others and len(value) == dtype.itemsize:
                one = np.frombuffer(value, dtype.storage)
            case _:
                message = f"params of codec const are not one value of {dtype.name}"
                raise CodecError(message, rule="COD-CON-1", where=where)
        if dtype.kind == "bool" and int(one[0]) > 1:
            raise CodecError("bool that is neither 0 nor 1", rule="COD-CON-2", where=where)
        refuse_chunks(layer)
        if layer.finite:
            check_finite(one, dtype, where)
        self._value = one
        # Declared sizes are bounded by the manifest's rules and the consumer's policy.
        self._values = allocate_values(layer, dtype)

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Do nothing: a layer with a chunk was refused."""

    def finish(self) -> np.ndarray:
        """Return the values."""
        self._values[...] = self._value
        return self._values
