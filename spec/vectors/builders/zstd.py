"""Vectors of section 7, planes: zstd frames as pieces of attachments and as planes of `raw`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .frames import (
    MAGIC,
    compressed_block,
    frame,
    raw_block,
    reserved_block,
    rle_block,
    runs,
    zeros,
)
from .writer import Draft, attachment, layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Cases, Vector

N = 1000
CONTENT = b"s" * N
BLOCK = rle_block(115, N)
GOOD = zeros(N, 115)


def piece(stored: bytes, content: bytes = CONTENT) -> bytes:
    """Return a file whose attachment is stored so."""
    return Draft(attachments=[attachment("a.txt", content, stored=[stored])]).build()


def plane(stored: bytes) -> bytes:
    """Return a file whose layer's only plane is stored so."""
    chunk = struct.pack("<I", len(stored)) + stored
    return Draft([layer("w", "uint8", [N], CONTENT, stored=[chunk])]).build()


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _begin()
    yield from _declared()
    yield from _behind()
    yield from _inside()


def _refuse(rule: str, cases: Cases) -> Iterator[Vector]:
    for name, (stored, about, attack) in cases.items():
        data = piece(stored)
        yield refused(f"zstd/{name}", data, rule, about, mode="decode", attack=attack)
        if name in _AS_PLANES:
            data = plane(stored)
            long = f"as a plane of a layer: {about}"
            yield refused(f"zstd/plane-{name}", data, rule, long, mode="decode", attack=attack)


_AS_PLANES = {"garbage", "fcs-7e18", "no-size", "window-2-27", "dictionary-1", "second-frame"}
_AS_PLANES |= {"garbage-behind", "frame-cut", "bomb-of-blocks", "fcs-one-more", "skippable-first"}


def _accepted() -> Iterator[Vector]:
    cases = {
        "good": (GOOD, "ZST-2", "a frame"),
        "size-in-2-bytes": (frame(BLOCK, N, size_nbytes=2), "ZST-2", "size in 2 bytes"),
        "size-in-8-bytes": (frame(BLOCK, N, size_nbytes=8), "ZST-2", "size in 8 bytes"),
        "window-8-mib": (frame(BLOCK, N, window=13 << 3), "ZST-3", "the largest window"),
        "window-1-kib": (frame(BLOCK, N, window=0), "ZST-3", "the smallest window"),
        "two-blocks": (runs(b"a" * 500 + b"b" * 500), "ZST-6", "two blocks"),
    }
    for name, (stored, rule, about) in cases.items():
        content = b"a" * 500 + b"b" * 500 if name == "two-blocks" else CONTENT
        yield accepted(f"zstd/{name}", piece(stored, content), about, shows=(rule,))
    yield accepted("zstd/plane-good", plane(GOOD), "a frame as a plane", shows=("ZST-2",))
    verbatim = piece(GOOD, GOOD)
    about = "a verbatim piece that looks like a frame is not decoded"
    yield accepted("zstd/verbatim-frame", verbatim, about, shows=("ZST-1",), attack=(82,))


def _begin() -> Iterator[Vector]:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00skip"
    cases = {
        "garbage": (b"garbage", "no frame at all", (76,)),
        "one-byte": (b"(", "one byte", (79,)),
        "magic-cut": (MAGIC[:3], "three bytes of the magic", (79,)),
        "magicless": (frame(BLOCK, N, magic=b""), "a frame without magic", (78,)),
        "legacy-v0.7": (frame(BLOCK, N, magic=b"\x27\xb5\x2f\xfd"), "the magic of v0.7", (78,)),
        "legacy-v0.1": (frame(BLOCK, N, magic=b"\x1e\xb5\x2f\xfd"), "the magic of v0.1", (78,)),
        "skippable-first": (skippable + GOOD, "a skippable frame comes first", (75,)),
        "skippable-only": (skippable, "a skippable frame alone", (75,)),
        "gzip": (b"\x1f\x8b\x08" + bytes(20), "a gzip stream", (82,)),
    }
    yield from _refuse("ZST-1", cases)
    halves = [frame(BLOCK, N), b"s" * (N + 1)]
    chunk = struct.pack("<2I", *map(len, halves)) + b"".join(halves)
    part = layer("w", "uint16", [N], b"ss" * N, stored=[chunk])
    about = "a plane is one byte longer than its raw size"
    yield refused("zstd/plane-too-long", Draft([part]).build(), "ZST-1", about, mode="decode")
    chunk = struct.pack("<2I", len(GOOD), 0) + GOOD
    part = layer("w", "uint16", [N], b"ss" * N, stored=[chunk])
    about = "a plane has no byte at all"
    yield refused("zstd/plane-empty", Draft([part]).build(), "ZST-1", about, mode="decode")


def _declared() -> Iterator[Vector]:
    bomb = bytes.fromhex("28b52ffde06c06060663636363")
    gib = frame(b"".join(rle_block(0, 1 << 17, last=i == 99) for i in range(100)), 1 << 30)
    cases = {
        "fcs-7e18": (bomb, "13 bytes ask for 7e18 bytes", (69,)),
        "fcs-one-more": (frame(BLOCK, N + 1), "one byte more than the plane", (70,)),
        "fcs-one-less": (frame(BLOCK, N - 1), "one byte less than the plane", (70,)),
        "fcs-0": (frame(BLOCK, 0), "a size of zero", (70,)),
        "fcs-1-gib": (gib, "1 GiB from 400 bytes", (72,)),
        "fcs-2-64-minus-1": (frame(BLOCK, 2**64 - 1, size_nbytes=8), "2^64 - 1", (69,)),
        "fcs-2-64-minus-2": (frame(BLOCK, 2**64 - 2, size_nbytes=8), "2^64 - 2", (69,)),
        "no-size": (frame(BLOCK, None, window=0), "no content size", (71,)),
    }
    yield from _refuse("ZST-2", cases)
    windows = {
        "window-9-mib": (13 << 3 | 1, "a window of 9 MiB"),
        "window-16-mib": (14 << 3, "a window of 16 MiB"),
        "window-2-27": (17 << 3, "a window of 2^27"),
        "window-2-31": (21 << 3, "a window of 2^31"),
    }
    for name, (window, about) in windows.items():
        stored = frame(BLOCK, N, window=window)
        yield from _refuse("ZST-3", {name: (stored, about, (73,))})
    stored = frame(BLOCK, N, dictionary=b"\0")
    yield from _refuse("ZST-4", {"dictionary-0": (stored, "a dictionary id that is 0", (77,))})
    for nbytes in (1, 2, 4):
        stored = frame(BLOCK, N, dictionary=b"\x07" + bytes(nbytes - 1))
        about = f"a dictionary id of {nbytes} bytes"
        yield from _refuse("ZST-4", {f"dictionary-{nbytes}": (stored, about, (77,))})


def _behind() -> Iterator[Vector]:
    cases = {
        "second-frame": (GOOD + GOOD, "a second frame", (74,)),
        "second-frame-empty": (GOOD + frame(raw_block(b""), 0), "an empty second frame", (74,)),
        "second-frame-cut": (GOOD + GOOD[:6], "a part of a second frame", (74, 79)),
        "skippable-behind": (GOOD + b"\x50\x2a\x4d\x18\0\0\0\0", "a skippable frame", (75,)),
        "garbage-behind": (GOOD + b"garbage", "garbage behind the frame", (76,)),
        "zero-byte-behind": (GOOD + b"\0", "a zero byte behind the frame", (76,)),
    }
    yield from _refuse("ZST-5", cases)


def _inside() -> Iterator[Vector]:
    literals = bytes([4 << 3]) + b"ssss"  # 4 raw literals
    rest = rle_block(115, N - 4)
    ten = rle_block(115, 10, last=False)
    # no literals; one sequence, whose three codes are constants: 0 literals, offset code, match 3
    offset_0 = compressed_block(b"\x00\x01\x54\x00\x01\x00\x03", last=False)
    offset_61 = compressed_block(b"\x00\x01\x54\x00\x06\x00\x40", last=False)
    cases = {
        "frame-cut": (GOOD[:-1], "the last byte of the frame is missing", (79,)),
        "frame-header-only": (GOOD[:9], "ends behind the frame header", (79,)),
        "frame-header-cut": (GOOD[:7], "ends inside the frame header", (79,)),
        "no-last-block": (frame(rle_block(115, N, last=False), N), "no last block", (79,)),
        "too-little": (frame(rle_block(115, N - 1), N), "one byte less than declared", (70,)),
        "too-much": (frame(rle_block(115, N + 1), N), "one byte more than declared", (70,)),
        "bomb-of-blocks": (
            frame(
                b"".join(rle_block(0, 1 << 17, last=i == 99) for i in range(100)), N, window=13 << 3
            ),
            "12 MiB from a frame that declares 1,000 bytes",
            (72,),
        ),
        "reserved-block": (frame(reserved_block(), N), "a block of the reserved type", (81,)),
        "reserved-bit": (_set(GOOD, 4, 0x08), "the reserved bit of the header is set", (81,)),
        "checksum-false": (frame(BLOCK, N, checksum=b"\1\2\3\4"), "a false checksum", (80,)),
        "checksum-missing": (frame(BLOCK, N, checksum=b"\1\2\3\4")[:-4], "no checksum", (79,)),
        "sequences-extraneous": (
            frame(compressed_block(literals + b"\0\xaa", last=False) + rest, N),
            "a byte behind an empty list of sequences",
            (81,),
        ),
        "huffman-cut": (
            frame(compressed_block(bytes([0x42, 0x10, 0x00, 0xFF]), last=False) + rest, N),
            "a Huffman tree that ends too soon",
            (81,),
        ),
        "offset-0": (
            frame(ten + offset_0 + rle_block(115, N - 13), N),
            "a match at distance 0",
            (81,),
        ),
        "offset-before-begin": (
            frame(ten + offset_61 + rle_block(115, N - 13), N),
            "a match before the first byte",
            (81,),
        ),
        "block-empty-compressed": (frame(compressed_block(b"") + rest, N), "an empty block", (81,)),
    }
    yield from _refuse("ZST-6", cases)


def _set(data: bytes, at: int, bits: int) -> bytes:
    return data[:at] + bytes([data[at] | bits]) + data[at + 1 :]
