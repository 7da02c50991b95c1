"""One plane: verbatim, or a zstd frame whose header is hostile (spec: ZST).

Input: u24 raw size | stored bytes.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

import zstandard

from fuzz.harness import Target, reference, same_verdict
from fuzz.trees import edit_bytes, edit_number
from seedpack.container.planes import decode_plane, encode_plane
from seedpack.limits import MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from random import Random

_SIZE_NBYTES: Final = 3
_SKIPPABLE: Final = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"  # RFC 8878, section 3.1.2
_TEXT: Final = b"seeds of trees and trees of seeds, " * 30
_LONG: Final = 1 << 20


def _check(data: bytes) -> None:
    raw_nbytes = int.from_bytes(data[:_SIZE_NBYTES], "little")
    stored = data[_SIZE_NBYTES:]
    if raw_nbytes > MAX_CHUNK_RAW_NBYTES:
        return  # no caller asks for more (CHK-1)
    with same_verdict(lambda: reference().plane(stored, raw_nbytes)):
        raw = bytes(decode_plane(memoryview(stored), raw_nbytes, where="plane"))
        assert len(raw) == raw_nbytes
        assert raw == reference().plane(stored, raw_nbytes)
        if raw_nbytes:
            again = encode_plane(raw)
            assert bytes(decode_plane(memoryview(again), raw_nbytes, where="plane")) == raw


def _input(raw_nbytes: int, stored: bytes) -> bytes:
    return (raw_nbytes % (1 << 24)).to_bytes(_SIZE_NBYTES, "little") + stored


def _starts() -> dict[str, bytes]:
    return {
        "verbatim": _input(4, b"abcd"),
        "frame": _input(len(_TEXT), encode_plane(_TEXT)),
        "run": _input(_LONG, encode_plane(bytes(_LONG))),
        "exabytes": _input(64, bytes.fromhex("28b52ffde0ffffffffffffff3f010000")),
        "two-frames": _input(len(_TEXT), encode_plane(_TEXT) * 2),
        "skippable": _input(len(_TEXT), encode_plane(_TEXT) + _SKIPPABLE),
    }


def _mutate(data: bytes, random: Random) -> bytes:
    raw_nbytes, stored = int.from_bytes(data[:_SIZE_NBYTES], "little"), data[_SIZE_NBYTES:]
    match random.randrange(5):
        case 0:
            raw = _make_raw(random)
            return _input(len(raw), _compress(raw, random))
        case 1:
            return _input(edit_number(raw_nbytes, random), stored)
        case 2:
            return _input(raw_nbytes, stored + random.choice([_SKIPPABLE, stored, b"\0"]))
        case 3:  # the header alone: descriptor, window, dictionary, size
            return _input(raw_nbytes, stored[:4] + edit_bytes(stored[4:18], random) + stored[18:])
        case _:
            return _input(raw_nbytes, edit_bytes(stored, random))


def _make_raw(random: Random) -> bytes:
    nbytes = random.choice([0, 1, 255, 256, 257, 1000, 65_536, 200_000])
    return random.choice([bytes(nbytes), random.randbytes(nbytes), (_TEXT * 200)[:nbytes]])


def _compress(raw: bytes, random: Random) -> bytes:
    parameters = zstandard.ZstdCompressionParameters(
        compression_level=random.choice([1, 3, 9]),
        window_log=random.choice([10, 17, 23, 24, 27]),
        write_content_size=random.random() < 0.9,  # noqa: PLR2004 -- the rest is ZST-2
        write_checksum=random.choice([True, False]),
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    frame = compressor.compress(raw)
    if random.random() < 0.1:  # noqa: PLR2004 -- a frame that names a dictionary: ZST-4
        frame = frame[:4] + bytes([frame[4] | 1]) + struct.pack("<B", 7) + frame[5:]
    return frame


TARGET: Final = Target(_check, _starts, _mutate, memory_mib=128, max_input_nbytes=4096)
