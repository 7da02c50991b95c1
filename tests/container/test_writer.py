"""A container's bytes, in order (spec: section 2, SIG-1)."""

from __future__ import annotations

import io

import pytest

from seedpack.container.preamble import parse_preamble
from seedpack.container.signature_area import ED25519, SignatureRecord, encode_record
from seedpack.container.writer import Header, encode_header, write_container
from seedpack.errors import FormatError
from tests.refusals import refused_by

RECORD = SignatureRecord(ED25519, 0, b"\x01" * 32, b"\x02" * 64)
HEADER = Header(b"manifest", b"\x07" * 32, [RECORD], b"\x05", 20)
MIB = 1 << 20


def test_sections_follow_each_other_without_gaps():
    head = encode_header(HEADER)
    assert head[64:] == encode_record(RECORD) + b"manifest" + b"\x05"
    assert parse_preamble(head) == (128, 8, 1, 20, b"\x07" * 32)


@pytest.mark.spec("SIG-1")
@pytest.mark.parametrize("payload_nbytes, reserved", [(64 * MIB, 128), (64 * MIB + 1, 65_472)])
def test_large_payloads_reserve_room_for_all_signatures(payload_nbytes, reserved):
    head = encode_header(HEADER._replace(payload_nbytes=payload_nbytes))
    assert parse_preamble(head).signatures_nbytes == reserved
    assert len(head) == 64 + reserved + 8 + 1
    assert head[64 + 128 : 64 + reserved] == bytes(reserved - 128)


@pytest.mark.spec("SIG-7")
def test_records_are_checked_when_they_are_written():
    with refused_by(FormatError, "SIG-7"):
        encode_header(HEADER._replace(records=[RECORD, RECORD]))


def test_the_payload_follows_its_header():
    out = io.BytesIO()
    write_container(out, HEADER, [b"0123456789", memoryview(b"abcdefghij")])
    assert out.getvalue() == encode_header(HEADER) + b"0123456789abcdefghij"


@pytest.mark.parametrize("payload", [[], [b"x" * 19], [b"x" * 20, b"y"]])
def test_a_payload_of_another_length_is_a_programming_error(payload):
    nbytes = sum(map(len, payload))
    with pytest.raises(ValueError) as caught:
        write_container(io.BytesIO(), HEADER, payload)
    assert str(caught.value) == f"payload of {nbytes} bytes, the header says 20"
