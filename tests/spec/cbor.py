"""Carry msgpack over to CBOR, value by value, for a checker that reads only CBOR.

Nothing is repaired on the way: duplicate keys stay duplicate, extension types become
tags, floats stay floats, so that what the grammar refuses is what the file holds.
"""

from __future__ import annotations

import struct

import msgpack

_EXTENSION_TAG = 0x53454544  # unassigned; a tag that the grammar nowhere allows


class Pairs(list[tuple[object, object]]):
    """A map as it stands in the file."""


def read_msgpack(data: bytes) -> object:
    """Decode one msgpack value, maps as pairs.

    Raises:
        ValueError: ``data`` is not exactly one msgpack value (msgpack's errors are of this kind).
    """
    return msgpack.unpackb(data, object_pairs_hook=Pairs, strict_map_key=False, timestamp=0)


def encode(value: object) -> bytes:
    """Encode plain values, maps as dictionaries or as pairs."""
    for kind, encoder in _ENCODERS:
        if isinstance(value, kind):
            return encoder(value)
    msg = f"no CBOR for {value!r}"
    raise TypeError(msg)


def _encode_map(pairs: list[tuple[object, object]]) -> bytes:
    return _head(5, len(pairs)) + b"".join(encode(key) + encode(value) for key, value in pairs)


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes([major << 5 | argument])
    for code, nbytes in ((24, 1), (25, 2), (26, 4), (27, 8)):
        if argument < 1 << 8 * nbytes:
            return bytes([major << 5 | code]) + argument.to_bytes(nbytes)
    msg = f"{argument} has no CBOR head"
    raise ValueError(msg)


# The first kind that fits: bool before int, extension types and pairs before the tuples and
# lists that they are.
_ENCODERS = (
    (type(None), lambda _: b"\xf6"),
    (bool, lambda flag: b"\xf5" if flag else b"\xf4"),
    (int, lambda n: _head(0, n) if n >= 0 else _head(1, -1 - n)),
    (float, lambda x: b"\xfb" + struct.pack(">d", x)),
    (bytes, lambda data: _head(2, len(data)) + data),
    (str, lambda text: _head(3, len(text.encode())) + text.encode()),
    ((msgpack.ExtType, msgpack.Timestamp), lambda x: _head(6, _EXTENSION_TAG) + encode(repr(x))),
    (dict, lambda mapping: _encode_map(list(mapping.items()))),
    (Pairs, _encode_map),
    (list, lambda items: _head(4, len(items)) + b"".join(map(encode, items))),
)
