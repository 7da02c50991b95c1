"""Planes: verbatim or one zstd frame, and nothing else (spec: ZST)."""

from __future__ import annotations

import random
import struct
import threading

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from seedpack.container.planes import decode_plane, encode_plane
from seedpack.errors import CodecError
from tests.refusals import refused

MIB = 1 << 20
RAW = b"seed" * 256
FRAME = zstandard.ZstdCompressor(level=3, write_content_size=True).compress(RAW)
UNSIZED = zstandard.ZstdCompressor(write_content_size=False).compress(RAW)
# Single segment, two bytes of size (1024 - 256), one of dictionary id: 7; then one run.
DICTIONARY_FRAME = bytes.fromhex("28b52ffd6107000303200000")
SKIPPABLE = struct.pack("<II", 0x184D2A50, 4) + b"skip"
TINY_BOMB = bytes.fromhex("28b52ffde06c06060663636363")  # 13 bytes that ask for 7e18

structured = st.one_of(
    st.binary(max_size=300),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(0, 3000)).map(lambda t: t[0] * t[1]),
    st.integers(0, 1 << 30).map(
        lambda seed: bytes(int(v) & 255 for v in _gaussians(seed))  # skewed, without repeats
    ),
)


def _gaussians(seed):
    source = random.Random(seed)
    return [source.gauss(120, 3) for _ in range(2000)]


def refusal(stored, raw_nbytes):
    with pytest.raises(CodecError) as caught:
        decode_plane(memoryview(stored), raw_nbytes, where="chunk 7")
    assert caught.value.where == "chunk 7"
    return caught.value.rule


def outcome(stored, raw_nbytes):
    """Return the size decoded, or which family of rules refused."""
    try:
        return len(decode_plane(memoryview(stored), raw_nbytes, where="p"))
    except CodecError as error:
        return error.rule[:-1] + "*"


def rle_frame(raw_nbytes, window_descriptor):
    """Return a frame of one run, with a window of one's choice, built from RFC 8878 by hand."""
    header = b"\x28\xb5\x2f\xfd" + bytes([0x80, window_descriptor]) + struct.pack("<I", raw_nbytes)
    blocks, left = b"", raw_nbytes
    while left:
        size = min(left, 128 * 1024)
        left -= size
        blocks += struct.pack("<I", size << 3 | 1 << 1 | (left == 0))[:3] + b"\x00"
    return header + blocks


@pytest.mark.spec("ZST-1", "ZST-6")
@given(structured)
@example(b"")
@example(b"x")
def test_decoding_inverts_encoding(raw):
    stored = encode_plane(raw)
    assert bytes(decode_plane(memoryview(stored), len(raw), where="p")) == raw


@given(structured)
def test_a_frame_is_kept_only_where_it_is_strictly_smaller(raw):
    stored = encode_plane(raw)
    assert stored == raw or len(stored) < len(raw)


@given(structured)
def test_encoding_is_deterministic_in_every_thread(raw):
    others = []
    thread = threading.Thread(target=lambda: others.append(encode_plane(raw)))
    thread.start()
    thread.join()
    assert others == [encode_plane(raw)]


@pytest.mark.spec("ZST-1")
def test_a_frame_as_long_as_its_raw_size_is_not_kept():
    # Both look alike to a reader, who takes a plane of the raw size for verbatim.
    runs = [b"a" * n for n in range(1, 64)]
    frames = [zstandard.ZstdCompressor(level=3).compress(raw) for raw in runs]
    tied = [raw for raw, frame in zip(runs, frames, strict=True) if len(frame) == len(raw)]
    assert tied
    for raw in tied:
        assert encode_plane(raw) == raw


def test_uneven_frequencies_are_entropy_coded_without_matches():
    raw = bytes(int(v) & 255 for v in random.Random(1).choices(range(118, 123), k=100_000))
    level_3 = zstandard.ZstdCompressor(level=3).compress(raw)
    assert len(encode_plane(raw)) < len(level_3) < len(raw) / 2


def test_repeats_are_found_and_a_higher_level_finds_more():
    words = [b"alpha ", b"beta ", b"gamma ", b"delta, ", b"and ", b"so on\n"]
    text = b"".join(random.Random(2).choices(words, k=9_000))
    assert len(encode_plane(text, level=19)) < len(encode_plane(text)) < len(text) / 4
    assert encode_plane(text, level=3) == encode_plane(text)


def test_a_plane_as_long_as_its_raw_size_is_handed_back_uncopied():
    stored = memoryview(bytearray(FRAME))
    assert decode_plane(stored, len(FRAME), where="p") is stored


@pytest.mark.spec("ZST-1")
def test_zst_1_a_plane_longer_than_its_raw_size_is_refused():
    assert refusal(RAW, len(RAW) - 1) == "ZST-1"
    assert refusal(FRAME, len(FRAME) - 1) == "ZST-1"
    assert refusal(b"x", 0) == "ZST-1"


@pytest.mark.spec("ZST-1")
@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x28\xb5\x2f",
        SKIPPABLE + FRAME,
        FRAME[4:],  # magicless
        b"\x27\xb5\x2f\xfd" + FRAME[4:],  # zstd v0.7
        b"\x1e\xb5\x2f\xfd" + FRAME[4:],  # zstd v0.1
    ],
    ids=["empty", "short", "skippable first", "magicless", "v0.7", "v0.1"],
)
def test_zst_1_a_shorter_plane_begins_with_the_standard_magic(stored):
    assert refusal(stored, len(RAW)) == "ZST-1"


@pytest.mark.spec("ZST-2")
def test_zst_2_the_declared_size_is_the_raw_size():
    assert refusal(FRAME, len(RAW) + 1) == "ZST-2"
    assert refusal(FRAME, len(RAW) - 1) == "ZST-2"
    assert refusal(UNSIZED, len(RAW)) == "ZST-2"


@pytest.mark.spec("ZST-2", "ZST-3")
def test_a_tiny_frame_that_asks_for_exabytes_allocates_nothing():
    assert refusal(TINY_BOMB, 4 * MIB) == "ZST-2"
    assert refusal(TINY_BOMB, 7161677109403190892) == "ZST-3"


@pytest.mark.spec("ZST-2")
def test_a_bomb_of_a_gibibyte_is_refused_by_its_header():
    bomb = zstandard.ZstdCompressor(level=1).compress(bytes(64 * MIB))
    assert len(bomb) < 8192
    assert refusal(bomb, 4 * MIB) == "ZST-2"


@pytest.mark.spec("ZST-3")
def test_zst_3_a_window_of_8_mib_is_accepted_and_the_next_refused():
    raw = bytes(MIB)
    eight, nine = (23 - 10) << 3, (23 - 10) << 3 | 1  # mantissa 1: an eighth more
    assert decode_plane(memoryview(rle_frame(MIB, eight)), MIB, where="p") == raw
    assert refusal(rle_frame(MIB, nine), MIB) == "ZST-3"
    for window_log in (27, 31):
        assert refusal(rle_frame(MIB, (window_log - 10) << 3), MIB) == "ZST-3"


@pytest.mark.spec("ZST-4")
def test_zst_4_a_dictionary_is_refused():
    assert refusal(DICTIONARY_FRAME, len(RAW)) == "ZST-4"


@pytest.mark.spec("ZST-5")
@pytest.mark.parametrize(
    "tail", [b"\x00", FRAME, FRAME[:5], SKIPPABLE, b"garbage"], ids=lambda tail: tail.hex()[:12]
)
def test_zst_5_nothing_follows_the_frame(tail):
    assert refusal(FRAME + tail, len(RAW)) == "ZST-5"


@pytest.mark.spec("ZST-6")
@pytest.mark.parametrize("nbytes", range(4, len(FRAME)))
def test_zst_6_every_truncation_is_refused(nbytes):
    assert refusal(FRAME[:nbytes], len(RAW)) == "ZST-6"


@pytest.mark.spec("ZST-6")
def test_zst_6_a_frame_whose_blocks_yield_less_or_more_than_declared_is_refused():
    honest = rle_frame(1000, 0)
    for declared in (999, 1001):
        lying = honest[:6] + struct.pack("<I", declared) + honest[10:]
        assert refusal(lying, declared) == "ZST-6"


@pytest.mark.parametrize(
    ("stored", "raw_nbytes", "rule", "message"),
    [
        (bytes(9), 8, "ZST-1", "plane of 9 bytes stands for 8"),
        (bytes(7), 8, "ZST-1", "plane is no standard zstd frame"),
        (FRAME[:6], 1024, "ZST-6", "zstd frame has no whole header"),
        (FRAME, 1025, "ZST-2", "zstd frame declares 1024 bytes, not 1025 bytes"),
        (rle_frame(9000, 14 << 3), 9000, "ZST-3", "zstd frame asks for a window of 16777216 bytes"),
        (FRAME[:-1], 1024, "ZST-6", "zstd frame is damaged"),
        (FRAME + b"x", 1024, "ZST-5", "bytes follow the zstd frame"),
        (UNSIZED, 1024, "ZST-2", "zstd frame declares no size, not 1024 bytes"),
        (DICTIONARY_FRAME, 1024, "ZST-4", "zstd frame names a dictionary"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_refusal_says_what_it_saw(stored, raw_nbytes, rule, message):
    with refused(CodecError, rule, "p", message):
        decode_plane(memoryview(stored), raw_nbytes, where="p")


@pytest.mark.spec("ZST-6")
@given(st.data())
def test_a_damaged_frame_gives_the_raw_size_or_a_refusal(data):
    raw = data.draw(structured)
    stored = bytearray(encode_plane(raw))
    for _ in range(data.draw(st.integers(1, 4))):
        if stored:
            stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    assert outcome(stored, len(raw)) in {len(raw), "ZST-*"}


@given(st.binary(max_size=80), st.integers(0, 4 * MIB), st.booleans())
def test_any_bytes_give_the_raw_size_or_a_refusal(stored, raw_nbytes, magic):
    stored = b"\x28\xb5\x2f\xfd" + stored if magic else stored
    assert outcome(stored, raw_nbytes) in {raw_nbytes, "ZST-*"}
