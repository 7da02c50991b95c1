"""zstd frames written by hand (RFC 8878), so that no library decides on their bytes."""

from __future__ import annotations

MAGIC = b"\x28\xb5\x2f\xfd"
MAX_BLOCK_NBYTES = 1 << 17
FCS_FLAGS = {1: 0, 2: 1, 4: 2, 8: 3}
DICT_FLAGS = {0: 0, 1: 1, 2: 2, 4: 3}


def raw_block(content: bytes, *, last: bool = True) -> bytes:
    """Return a block of bytes as they are."""
    return _header(len(content), 0, last=last) + content


def rle_block(byte: int, count: int, *, last: bool = True) -> bytes:
    """Return a block that stands for `count` times one byte."""
    return _header(count, 1, last=last) + bytes([byte])


def compressed_block(content: bytes, *, last: bool = True) -> bytes:
    """Return a block of literals and sequences, encoded in `content`."""
    return _header(len(content), 2, last=last) + content


def reserved_block(*, last: bool = True) -> bytes:
    """Return a block of the type that is reserved."""
    return _header(1, 3, last=last) + b"\0"


def _header(nbytes: int, kind: int, *, last: bool) -> bytes:
    return (nbytes << 3 | kind << 1 | last).to_bytes(3, "little")


def frame(  # noqa: PLR0913 -- the fields of the frame header
    blocks: bytes,
    size: int | None,
    *,
    size_nbytes: int = 4,
    window: int | None = None,
    dictionary: bytes = b"",
    checksum: bytes = b"",
    magic: bytes = MAGIC,
) -> bytes:
    """Return one frame.

    Args:
        blocks: All blocks.
        size: Content size to declare, or None for none.
        size_nbytes: In how many bytes the size stands: 1, 2, 4 or 8.
        window: Window descriptor byte; without it the content is the window.
        dictionary: Dictionary id of 0, 1, 2 or 4 bytes.
        checksum: Four bytes, or none.
        magic: What stands first.
    """
    flags = FCS_FLAGS[size_nbytes] << 6 if size is not None else 0
    flags |= (window is None) << 5 | bool(checksum) << 2 | DICT_FLAGS[len(dictionary)]
    header = bytes([flags]) + (b"" if window is None else bytes([window])) + dictionary
    if size is not None:
        header += (size - 256 * (size_nbytes == 2)).to_bytes(size_nbytes, "little")
    return magic + header + blocks + checksum


def zeros(n: int, byte: int = 0) -> bytes:
    """Return a good frame of n times one byte."""
    sizes = [min(MAX_BLOCK_NBYTES, n - at) for at in range(0, n, MAX_BLOCK_NBYTES)]
    blocks = b"".join(rle_block(byte, k, last=i + 1 == len(sizes)) for i, k in enumerate(sizes))
    return frame(blocks, n)


def runs(content: bytes) -> bytes:
    """Return a good frame of RLE blocks, one for each run of equal bytes."""
    blocks: list[tuple[int, int]] = []
    for byte in content:
        if blocks and blocks[-1][0] == byte and blocks[-1][1] < MAX_BLOCK_NBYTES:
            blocks[-1] = (byte, blocks[-1][1] + 1)
        else:
            blocks.append((byte, 1))
    body = b"".join(rle_block(b, n, last=i + 1 == len(blocks)) for i, (b, n) in enumerate(blocks))
    return frame(body, len(content))
