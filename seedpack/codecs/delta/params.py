"""The params of a delta layer: which tensor of the base, which method, and the method's own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.errors import CodecError

if TYPE_CHECKING:
    from seedpack.container.manifest import Layer, Params

_FLOAT: Final = struct.Struct("<f")
_MIN_SCALE: Final = 2.0**-126  # the smallest normal float32: no product with an integer is less
_MAX_SCALE: Final = (2 - 2.0**-23) * 2.0**127


class Reference(NamedTuple):
    """Where the base has the tensor, and how the rest of the params is to be read."""

    tensor: str  # name in the base
    method: str
    params: Params  # the method's own


def pack_reference(method: str, skip: int, prefix: str) -> Params:
    """Return the params that say which tensor of the base, and which method."""
    packed: Params = {"method": method}
    if skip:
        packed["skip"] = skip
    if prefix:
        packed["prefix"] = prefix
    return packed


def read_reference(layer: Layer) -> Reference:
    """Return what every delta layer says.

    Raises:
        CodecError: COD-DLT-1.
    """
    params = dict(layer.params)
    method, skip, prefix = (
        params.pop("method", None),
        params.pop("skip", 0),
        params.pop("prefix", ""),
    )
    if not isinstance(method, str):
        raise _refusal(layer, "params of codec delta name no method")
    # Absent is the one form of nothing skipped and nothing put in front.
    if (
        not isinstance(skip, int)
        or not isinstance(prefix, str)
        or skip > len(layer.name)
        or layer.params.get("skip") == 0
        or layer.params.get("prefix") == ""
    ):
        raise _refusal(layer, "params do not say where the base has the tensor")
    return Reference(prefix + layer.name[skip:], method, params)


def pack_scale(scale: float) -> bytes:
    """Return a float32 as params hold it."""
    return _FLOAT.pack(scale)


def unpack_scale(packed: bytes) -> float | None:
    """Return the positive normal float32 that ``packed`` is, None if it is something else."""
    if len(packed) != _FLOAT.size:
        return None
    (scale,) = _FLOAT.unpack(packed)
    return float(scale) if _MIN_SCALE <= scale <= _MAX_SCALE else None


def _refusal(layer: Layer, message: str) -> CodecError:
    return CodecError(message, rule="COD-DLT-1", where=f"layer {layer.name}")
