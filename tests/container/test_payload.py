"""Which chunks a file has, and where each stands (spec: PRT-1, PRT-2, MAN-14)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.manifest import Chunk
from seedpack.container.payload import PlacedChunk, encode_presence, place_chunks
from seedpack.container.preamble import Preamble
from seedpack.errors import FormatError
from tests.refusals import refused


def preamble_for(payload_nbytes: int, presence: bytes = b"") -> Preamble:
    return Preamble(128, 300, len(presence), payload_nbytes, bytes(32))


def chunks_of(*sizes: int) -> list[Chunk]:
    return [Chunk(nbytes, bytes([index]) * 32) for index, nbytes in enumerate(sizes)]


@pytest.mark.spec("PRT-1", "MAN-14")
def test_without_a_bitmap_all_chunks_stand_in_order():
    chunks = chunks_of(10, 3, 7)
    start = 64 + 128 + 300
    assert place_chunks(chunks, b"", preamble_for(20)) == [
        PlacedChunk(0, 10, bytes(32), start),
        PlacedChunk(1, 3, b"\x01" * 32, start + 10),
        PlacedChunk(2, 7, b"\x02" * 32, start + 13),
    ]


@pytest.mark.spec("PRT-1", "PRT-2")
def test_absent_chunks_take_no_room():
    presence = bytes([0b0000_0101])
    placed = place_chunks(chunks_of(10, 3, 7), presence, preamble_for(17, presence))
    start = 64 + 128 + 300 + 1
    assert [chunk.offset for chunk in placed] == [start, None, start + 10]


def test_a_seed_may_have_no_chunk():
    assert place_chunks([], b"", preamble_for(0)) == []


@given(st.lists(st.tuples(st.integers(1, 100), st.booleans()), min_size=1, max_size=40))
def test_placing_inverts_the_bitmap(drawn):
    chunks = chunks_of(*(nbytes for nbytes, _ in drawn))
    present = [index for index, (_, here) in enumerate(drawn) if here]
    presence = encode_presence(present, len(chunks))
    payload_nbytes = sum(chunks[index].stored_nbytes for index in present)
    preamble = preamble_for(payload_nbytes, presence)
    placed = place_chunks(chunks, presence, preamble)
    assert [chunk.index for chunk in placed if chunk.offset is not None] == present
    ends = [c.offset + c.stored_nbytes for c in placed if c.offset is not None]
    starts = [c.offset for c in placed if c.offset is not None]
    assert [*starts, preamble.file_nbytes] == [preamble.payload_offset, *ends]


@given(st.integers(1, 40), st.binary(max_size=6))
def test_no_second_bitmap_is_accepted(nchunks, presence):
    chunks = chunks_of(*[1] * nchunks)
    present = [i for i in range(nchunks) if presence and i // 8 < len(presence)
               and presence[i // 8] >> (i % 8) & 1]  # fmt: skip
    payload_nbytes = len(present) if presence else nchunks
    try:
        place_chunks(chunks, presence, preamble_for(payload_nbytes, presence))
    except FormatError:
        return
    assert encode_presence(present if presence else range(nchunks), nchunks) == presence


def test_bits_go_from_the_lowest_of_the_first_byte():
    assert encode_presence([0], 9) == b"\x01\x00"
    assert encode_presence([1, 7], 9) == b"\x82\x00"
    assert encode_presence([8], 9) == b"\x00\x01"
    assert encode_presence([], 8) == b"\x00"
    assert encode_presence([], 1) == b"\x00"


def test_a_complete_file_has_no_bitmap():
    assert encode_presence(range(9), 9) == b""
    assert encode_presence([], 0) == b""


@pytest.mark.spec("PRT-1")
@pytest.mark.parametrize("nchunks, nbytes", [(8, 2), (9, 1), (9, 3), (16, 1), (0, 1)])
def test_a_bitmap_of_another_size_is_refused(nchunks, nbytes):
    presence = bytes(nbytes)
    message = f"presence bitmap of {nbytes} bytes for {nchunks} chunks"
    with refused(FormatError, "PRT-1", "presence bitmap", message):
        place_chunks(chunks_of(*[1] * nchunks), presence, preamble_for(0, presence))


@pytest.mark.spec("PRT-2")
@pytest.mark.parametrize(
    "nchunks, presence",
    [(3, b"\x07"), (8, b"\xff"), (3, b"\x08"), (3, b"\x0d"), (3, b"\x80"), (9, b"\x00\x02"),
     (9, b"\xff\x01")],
)  # fmt: skip
def test_a_bitmap_without_a_gap_or_with_unused_bits_is_refused(nchunks, presence):
    message = "presence bitmap without an absent chunk, or with unused bits set"
    with refused(FormatError, "PRT-2", "presence bitmap", message):
        place_chunks(chunks_of(*[1] * nchunks), presence, preamble_for(0, presence))


@pytest.mark.spec("PRT-2")
@pytest.mark.parametrize("nchunks, presence", [(3, b"\x06"), (8, b"\xfe"), (9, b"\xff\x00")])
def test_a_bitmap_that_lacks_one_chunk_is_accepted(nchunks, presence):
    preamble = preamble_for(nchunks - 1, presence)
    placed = place_chunks(chunks_of(*[1] * nchunks), presence, preamble)
    assert [chunk.offset for chunk in placed].count(None) == 1


@pytest.mark.spec("MAN-14")
@pytest.mark.parametrize("declared", [19, 21, 0])
def test_the_payload_is_the_sum_of_its_chunks(declared):
    message = f"payload of {declared} bytes, the chunks have 20"
    with refused(FormatError, "MAN-14", "byte 24", message):
        place_chunks(chunks_of(10, 3, 7), b"", preamble_for(declared))


@pytest.mark.spec("MAN-14", "PRT-3")
def test_absent_chunks_are_not_part_of_the_payload():
    presence = b"\x05"
    with refused(FormatError, "MAN-14", "byte 24", "payload of 20 bytes, the chunks have 17"):
        place_chunks(chunks_of(10, 3, 7), presence, preamble_for(20, presence))
