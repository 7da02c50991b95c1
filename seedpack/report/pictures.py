"""A picture as PNG, inside a page (spec: RPT-10).

Picture --IHDR, one filtered row after another, IEND--> PNG --base64--> data: address

Source:
    W3C, Portable Network Graphics (Third Edition), sections 5 and 11.
"""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from seedpack.audits.results import Picture

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES: Final = {1: 0, 3: 2}  # channels -> grey or RGB
_DEPTH: Final = 8  # bits a sample


def encode_png(picture: Picture) -> bytes:
    """Return ``picture``, whose sizes agree (RPT-8), as a PNG file."""
    width = picture.width * picture.channels
    rows = (
        b"\x00" + picture.pixels[start : start + width]  # filter 0: none
        for start in range(0, len(picture.pixels), width)
    )
    head = struct.pack(
        ">IIBBBBB", picture.width, picture.height, _DEPTH, _COLOUR_TYPES[picture.channels], 0, 0, 0
    )
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def data_address(picture: Picture) -> str:
    """Return ``picture`` as a ``data:`` address."""
    return f"data:image/png;base64,{base64.b64encode(encode_png(picture)).decode()}"


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
