"""Signature records: fixed sizes, fixed places (spec: SIG)."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack import limits
from seedpack.container.signature_area import (
    ED25519,
    ML_DSA_65,
    SignatureRecord,
    encode_record,
    encode_signature_area,
    parse_signature_area,
    place_record,
)
from seedpack.errors import FormatError, SeedError
from tests.refusals import refused

RESERVE = 65_472
MAX_TIME = 253_402_300_799
AGAIN = "fetch the file again"


def ed25519(number: int, expires: int = 0) -> SignatureRecord:
    return SignatureRecord(ED25519, expires, number.to_bytes(32, "big"), bytes(range(64)))


def ml_dsa(number: int, expires: int = 0) -> SignatureRecord:
    return SignatureRecord(ML_DSA_65, expires, number.to_bytes(32, "big"), b"\x5a" * 3_309)


def area_of(*records: SignatureRecord, reserve: bool = False) -> bytearray:
    return bytearray(encode_signature_area(list(records), reserve=reserve))


def seal(area: bytearray, at: int, nbytes: int) -> bytearray:
    """Write the right CRC into the record at ``at``, after a change to it."""
    area[at + 4 : at + 8] = bytes(4)
    area[at + 4 : at + 8] = struct.pack("<I", zlib.crc32(area[at : at + nbytes]))
    return area


record_lists = st.lists(
    st.tuples(st.booleans(), st.integers(0, MAX_TIME)), max_size=16
).map(
    lambda drawn: [
        (ml_dsa if is_long else ed25519)(number, expires)
        for number, (is_long, expires) in enumerate(drawn)
    ]
)  # fmt: skip


# ---------------------------------------------------------------- records


@pytest.mark.spec("SIG-3", "SIG-5", "SIG-6")
@pytest.mark.parametrize("record, nbytes", [(ed25519(7, 99), 128), (ml_dsa(7, 99), 3_456)])
def test_a_record_is_laid_out_as_the_specification_says(record, nbytes):
    body = encode_record(record)
    end = 48 + len(record.signature)
    assert len(body) == nbytes
    assert body[:4] == struct.pack("<HH", record.algorithm, 0)
    assert body[4:8] == struct.pack("<I", zlib.crc32(body[:4] + bytes(4) + body[8:]))
    assert body[8:16] == struct.pack("<Q", 99)
    assert body[16:48] == (7).to_bytes(32, "big")
    assert body[48:end] == record.signature
    assert body[end:] == bytes(nbytes - end)


@pytest.mark.spec("SIG-4")
@pytest.mark.parametrize(
    "cursor, algorithm, place",
    [
        (64, ED25519, 64),
        (64, ML_DSA_65, 64),
        (4_096 - 128, ED25519, 4_096 - 128),
        (4_096 - 64, ED25519, 4_096),
        (4_096 - 3_456, ML_DSA_65, 4_096 - 3_456),
        (4_096 - 3_456 + 64, ML_DSA_65, 4_096),
        (4_096, ML_DSA_65, 4_096),
        (8_192 + 3_456, ED25519, 8_192 + 3_456),
        (8_192 + 3_456, ML_DSA_65, 12_288),
    ],
)
def test_a_record_stands_at_the_lowest_place_that_crosses_no_page(cursor, algorithm, place):
    assert place_record(cursor, algorithm) == place


# ---------------------------------------------------------------- the three laws


@pytest.mark.spec("SIG-1", "SIG-4")
@given(record_lists, st.booleans())
def test_parsing_inverts_encoding(records, reserve):
    area = encode_signature_area(records, reserve=reserve)
    assert parse_signature_area(area) == records
    assert len(area) % 64 == 0
    assert len(area) == RESERVE if reserve else len(area) <= RESERVE


@given(record_lists, st.booleans(), st.data())
def test_no_second_encoding_is_accepted(records, reserve, data):
    area = area_of(*records, reserve=reserve)
    if not area:
        return
    at = data.draw(st.integers(0, len(area) - 1))
    area[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(FormatError) as caught:
        parse_signature_area(bytes(area))
    assert caught.value.rule.startswith("SIG-")


@given(st.one_of(st.binary(max_size=300), st.integers(0, 2_000).map(bytes)))
def test_any_bytes_give_the_same_area_again_or_a_refusal(area):
    try:
        records = parse_signature_area(area)
    except SeedError:
        return
    assert encode_signature_area(records, reserve=len(area) == RESERVE) == area


# ---------------------------------------------------------------- whole areas


@pytest.mark.spec("SIG-1")
def test_no_records_need_no_area():
    assert encode_signature_area([], reserve=False) == b""
    assert parse_signature_area(b"") == []
    assert parse_signature_area(bytes(RESERVE)) == []


@pytest.mark.spec("SIG-1")
def test_a_minimal_area_ends_with_its_last_record():
    assert len(area_of(ed25519(1), ed25519(2))) == 256
    assert len(area_of(ml_dsa(1), ml_dsa(2))) == 4_096 - 64 + 3_456


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("extra", [64, 4_096, RESERVE - 128 - 64])
def test_zero_bytes_behind_the_records_are_refused_unless_they_fill_the_reserve(extra):
    message = "signature area is neither minimal nor the full reserve"
    with refused(FormatError, "SIG-1", "byte 192", message, AGAIN):
        parse_signature_area(bytes(area_of(ed25519(1))) + bytes(extra))


@pytest.mark.spec("SIG-1")
def test_an_area_of_zero_without_records_is_refused():
    message = "signature area is neither minimal nor the full reserve"
    with refused(FormatError, "SIG-1", "byte 64", message, AGAIN):
        parse_signature_area(bytes(64))


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("record, cut", [(ed25519(1), 64), (ml_dsa(1), 64), (ml_dsa(1), 3_392)])
def test_a_record_that_ends_outside_the_area_is_refused(record, cut):
    message = "signature record ends outside the area"
    with refused(FormatError, "SIG-1", "byte 64", message, AGAIN):
        parse_signature_area(bytes(area_of(record)[:-cut]))


@pytest.mark.spec("SIG-2")
@pytest.mark.parametrize("make", [ed25519, ml_dsa])
def test_sixteen_records_are_accepted(make):
    records = [make(number) for number in range(16)]
    assert parse_signature_area(bytes(area_of(*records))) == records
    assert parse_signature_area(bytes(area_of(*records, reserve=True))) == records


@pytest.mark.spec("SIG-2")
def test_a_seventeenth_record_is_refused_by_the_writer():
    with refused(FormatError, "SIG-2", "byte 64", "more than 16 signatures", AGAIN):
        area_of(*map(ed25519, range(17)))


@pytest.mark.spec("SIG-2")
def test_a_seventeenth_record_is_refused_by_the_reader():
    area = area_of(*map(ed25519, range(16))) + encode_record(ed25519(16))
    with refused(FormatError, "SIG-2", "byte 64", "more than 16 signatures", AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-3")
@pytest.mark.parametrize("algorithm", [3, 256, 257, 65_535])
def test_an_unknown_algorithm_is_refused(algorithm):
    area = area_of(ed25519(1), ed25519(2))
    area[128:130] = struct.pack("<H", algorithm)
    message = f"unknown signature algorithm {algorithm}"
    with refused(FormatError, "SIG-3", "byte 192", message, AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-3")
def test_an_unknown_algorithm_at_a_page_is_refused():
    area = area_of(ml_dsa(1), ml_dsa(2))
    area[4_032:4_034] = struct.pack("<H", 3)
    with refused(FormatError, "SIG-3", "byte 4096", "unknown signature algorithm 3", AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-3")
@pytest.mark.parametrize("bit", range(16))
def test_every_flag_of_a_record_is_refused(bit):
    area = area_of(ed25519(1), ed25519(2))
    area[130:132] = struct.pack("<H", 1 << bit)
    message = f"reserved flags set: {1 << bit:#06x}"
    with refused(FormatError, "SIG-3", "byte 194", message, AGAIN):
        parse_signature_area(bytes(seal(area, 128, 128)))


# ---------------------------------------------------------------- places


@pytest.mark.spec("SIG-4")
def test_a_record_that_could_stand_lower_is_refused():
    area = area_of(ed25519(1)).ljust(4_032, b"\0") + encode_record(ed25519(2))
    message = "signature record is not at the lowest place"
    with refused(FormatError, "SIG-4", "byte 4096", message, AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-4", "SIG-5")
@pytest.mark.parametrize("gap, at", [(bytes(128), 128 + 64), (bytes(576 + 4_096), 3_520)])
def test_a_record_behind_a_gap_is_refused(gap, at):
    first = ed25519(1) if at == 192 else ml_dsa(1)
    area = bytes(area_of(first)) + gap + encode_record(ed25519(2))
    message = "bytes outside the signature records are not zero"
    with refused(FormatError, "SIG-5", f"byte {at}", message, AGAIN):
        parse_signature_area(area)


@pytest.mark.spec("SIG-4")
def test_a_first_record_that_skips_its_page_is_refused():
    area = bytes(4_032) + encode_record(ml_dsa(1))
    message = "signature record is not at the lowest place"
    with refused(FormatError, "SIG-4", "byte 4096", message, AGAIN):
        parse_signature_area(area)


@pytest.mark.spec("SIG-4")
def test_a_record_across_a_page_is_refused():
    area = bytes(area_of(ml_dsa(1))) + encode_record(ml_dsa(2))
    with refused(FormatError, "SIG-4", "byte 3520", "signature record crosses a page", AGAIN):
        parse_signature_area(area)


@pytest.mark.spec("SIG-4")
def test_a_long_record_goes_to_the_next_page_and_a_short_one_may_follow_it():
    records = [ed25519(1), ml_dsa(2), ed25519(3), ml_dsa(4), ed25519(5), ml_dsa(6)]
    area = area_of(*records)
    # 128 + 3,456 bytes fit behind the preamble; the second long one does not
    assert area[128 : 128 + 3_456] == encode_record(ml_dsa(2))
    assert area[3_584 : 3_584 + 128] == encode_record(ed25519(3))
    assert area[3_712:4_032] == bytes(320)
    assert area[4_032 : 4_032 + 3_456] == encode_record(ml_dsa(4))
    assert parse_signature_area(bytes(area)) == records


@pytest.mark.spec("SIG-4")
def test_short_records_fill_a_page_to_its_end():
    records = [ml_dsa(1), *map(ed25519, range(2, 8))]
    area = area_of(*records)
    # 64 + 3,456 + 4 x 128 = 4,032: 64 bytes are left, too few for a fifth
    assert area[4_032 - 64 : 4_032] == bytes(64)
    assert area[4_032:4_160] == encode_record(ed25519(6))
    assert parse_signature_area(bytes(area)) == records


# ---------------------------------------------------------------- bytes that must be zero


@pytest.mark.spec("SIG-5")
@pytest.mark.parametrize("at", [112, 127])
def test_bytes_behind_a_short_signature_are_zero(at):
    area = area_of(ed25519(1))
    area[at] = 1
    message = "bytes behind a signature are not zero"
    with refused(FormatError, "SIG-5", "byte 176", message, AGAIN):
        parse_signature_area(bytes(seal(area, 0, 128)))


@pytest.mark.spec("SIG-5")
@pytest.mark.parametrize("at", [3_357, 3_455])
def test_bytes_behind_a_long_signature_are_zero(at):
    area = area_of(ml_dsa(1))
    area[at] = 1
    message = "bytes behind a signature are not zero"
    with refused(FormatError, "SIG-5", "byte 3421", message, AGAIN):
        parse_signature_area(bytes(seal(area, 0, 3_456)))


@pytest.mark.spec("SIG-5")
@pytest.mark.parametrize("at", [3_456 + 2, 4_031])
def test_bytes_skipped_before_a_page_are_zero(at):
    area = area_of(ml_dsa(1), ml_dsa(2))
    area[at] = 1
    message = "bytes between signature records are not zero"
    with refused(FormatError, "SIG-5", "byte 3520", message, AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-5")
@pytest.mark.parametrize("at", [130, 4_031, 4_034, RESERVE - 1])
def test_bytes_of_the_reserve_are_zero(at):
    area = area_of(ed25519(1), reserve=True)
    area[at] = 1
    message = "bytes outside the signature records are not zero"
    with refused(FormatError, "SIG-5", "byte 192", message, AGAIN):
        parse_signature_area(bytes(area))


# ---------------------------------------------------------------- damage and time


@pytest.mark.spec("SIG-6")
@pytest.mark.parametrize("at", [4, 7, 8, 16, 47, 48, 111])
def test_a_damaged_record_is_noticed(at):
    area = area_of(ed25519(9), ed25519(1))
    area[128 + at] ^= 1
    with refused(FormatError, "SIG-6", "byte 192", "signature record is damaged", AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-7")
def test_one_key_signs_once():
    with refused(FormatError, "SIG-7", "byte 64", "two signatures by one key", AGAIN):
        area_of(ed25519(1), ed25519(2), ed25519(1, expires=5))
    area = area_of(ed25519(1)) + encode_record(ed25519(1, expires=5))
    with refused(FormatError, "SIG-7", "byte 64", "two signatures by one key", AGAIN):
        parse_signature_area(bytes(area))


@pytest.mark.spec("SIG-8")
def test_the_last_second_of_the_year_9999_is_accepted():
    records = [ed25519(1, MAX_TIME)]
    assert parse_signature_area(bytes(area_of(*records))) == records
    assert limits.MAX_TIME == MAX_TIME


@pytest.mark.spec("SIG-8")
@pytest.mark.parametrize("expires", [MAX_TIME + 1, 2**64 - 1])
def test_a_later_expiry_is_refused(expires):
    area = area_of(ed25519(1), ed25519(2, expires))
    message = f"signature expires at {expires}"
    with refused(FormatError, "SIG-8", "byte 200", message, AGAIN):
        parse_signature_area(bytes(area))
