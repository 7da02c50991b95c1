"""Planes: n raw bytes, either verbatim or as one zstd frame of fewer bytes (spec: ZST).

The length alone tells which. zstandard (0.25) obeys a frame's declared size whatever
limit it is given, and a frame of 13 bytes can ask for exabytes; so the header is held
against the signed sizes first, and only a frame that agrees is decompressed.
"""

from __future__ import annotations

import threading
from typing import Final

import zstandard

from seedpack.errors import CodecError
from seedpack.limits import MAX_ZSTD_WINDOW_NBYTES

_MAGIC: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, section 3.1.1

_DICTIONARY_ID_BITS: Final = 0b11  # RFC 8878, section 3.1.1.1.1: of the byte behind the magic

# Exponents and quantised codes have no repeats worth a match, only uneven frequencies. A
# matcher this blind leaves them to zstd's Huffman coder: 0.331 of the raw size on the
# exponents of MiniLM where level 1 keeps 0.384, and decoded twice as fast.
_NO_MATCHES: Final = zstandard.ZstdCompressionParameters(
    strategy=zstandard.STRATEGY_FAST,
    min_match=7,
    hash_log=6,
    chain_log=6,
    search_log=1,
    target_length=0,
    window_log=17,  # a smaller window would make blocks smaller than zstd's largest
    write_content_size=True,
)
_DEFAULT_LEVEL: Final = 3


class _PerThread(threading.local):
    """zstd contexts, which no two threads may use at once."""

    def __init__(self) -> None:
        """Make this thread's contexts."""
        self.decompressor = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_NBYTES)
        self.entropy_coder = zstandard.ZstdCompressor(compression_params=_NO_MATCHES)
        self.matchers: dict[int, zstandard.ZstdCompressor] = {}

    def matcher(self, level: int) -> zstandard.ZstdCompressor:
        """Return this thread's compressor of that level."""
        if level not in self.matchers:
            self.matchers[level] = zstandard.ZstdCompressor(level=level)
        return self.matchers[level]


_contexts: Final = _PerThread()


def encode_plane(raw: bytes | memoryview, *, level: int = _DEFAULT_LEVEL) -> bytes:
    """Return the smallest of: a frame without matches, a frame with matches, ``raw``.

    Args:
        raw: The plane; contiguous.
        level: zstd's level for the frame with matches; text is worth 19.
    """
    frames = (_contexts.entropy_coder.compress(raw), _contexts.matcher(level).compress(raw))
    smallest = min(frames, key=len)
    return smallest if len(smallest) < len(raw) else bytes(raw)


def decode_plane(stored: memoryview, raw_nbytes: int, *, where: str) -> memoryview | bytes:
    """Return the raw bytes of a plane; a verbatim plane is returned as it is, uncopied.

    Args:
        stored: The plane as stored, contiguous bytes; its digest has been checked.
        raw_nbytes: What the manifest says that it stands for.
        where: The place, for a refusal.

    Raises:
        CodecError: ZST-1 to ZST-6; ``rule`` says which. Nothing larger than
            ``raw_nbytes`` is allocated before.
    """
    if len(stored) == raw_nbytes:
        return stored
    _check_header(stored, raw_nbytes, where)
    try:
        raw = _contexts.decompressor.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        _check_end(stored, where)
        raise CodecError("zstd frame is damaged", rule="ZST-6", where=where) from error
    return raw


def _check_header(stored: memoryview, raw_nbytes: int, where: str) -> None:
    """Hold a frame's header against what the manifest says (ZST-1 to ZST-4)."""
    if len(stored) > raw_nbytes:
        message = f"plane of {len(stored)} bytes stands for {raw_nbytes}"
        raise CodecError(message, rule="ZST-1", where=where)
    if bytes(stored[: len(_MAGIC)]) != _MAGIC:
        raise CodecError("plane is no standard zstd frame", rule="ZST-1", where=where)
    try:
        header = zstandard.get_frame_parameters(stored)
    except zstandard.ZstdError as error:
        raise CodecError("zstd frame has no whole header", rule="ZST-6", where=where) from error
    if header.content_size != raw_nbytes:
        unknown = header.content_size == zstandard.CONTENTSIZE_UNKNOWN
        declared = "no size" if unknown else f"{header.content_size} bytes"
        message = f"zstd frame declares {declared}, not {raw_nbytes} bytes"
        raise CodecError(message, rule="ZST-2", where=where)
    if header.window_size > MAX_ZSTD_WINDOW_NBYTES:
        message = f"zstd frame asks for a window of {header.window_size} bytes"
        raise CodecError(message, rule="ZST-3", where=where)
    if stored[len(_MAGIC)] & _DICTIONARY_ID_BITS:
        raise CodecError("zstd frame names a dictionary", rule="ZST-4", where=where)


def _check_end(stored: memoryview, where: str) -> None:
    """Refuse a good frame that something follows (ZST-5); let a bad frame pass."""
    try:
        _contexts.decompressor.decompress(stored, allow_extra_data=True)
    except zstandard.ZstdError:
        return
    raise CodecError("bytes follow the zstd frame", rule="ZST-5", where=where)
