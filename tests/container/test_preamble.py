"""The 64 bytes before anything is known (spec: PRE)."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack import limits
from seedpack.container.preamble import (
    MAGIC,
    Preamble,
    check_file_size,
    encode_preamble,
    parse_preamble,
)
from seedpack.errors import FormatError, SeedError
from tests.refusals import refused

MAX_S, MAX_M, MAX_P, MAX_PAYLOAD = 65_472, 1 << 24, 65_536, 1 << 42
GOOD = Preamble(128, 300, 2, 5_000, bytes(range(32)))

preambles = st.builds(
    Preamble,
    st.integers(0, MAX_S // 64).map(lambda n: n * 64),
    st.integers(1, MAX_M),
    st.integers(0, MAX_P),
    st.integers(0, MAX_PAYLOAD),
    st.binary(min_size=32, max_size=32),
)


def test_the_limits_are_those_of_the_specification():
    assert limits.PREAMBLE_NBYTES == 64
    assert limits.MAX_SIGNATURES_NBYTES == MAX_S
    assert limits.MAX_MANIFEST_NBYTES == MAX_M
    assert limits.MAX_PRESENCE_NBYTES == MAX_P
    assert limits.MAX_PAYLOAD_NBYTES == MAX_PAYLOAD


def test_the_layout_is_that_of_the_specification():
    # section 3, field by field
    expected = (
        b"\x89SEED\r\n\x1a" + b"\x01\x00" + b"\x00\x00" + struct.pack("<III", 128, 300, 2)
        + struct.pack("<Q", 5_000) + bytes(range(32))
    )  # fmt: skip
    assert encode_preamble(GOOD) == expected
    assert len(expected) == 64


@given(preambles, st.binary(max_size=80))
def test_parsing_inverts_encoding_whatever_follows(preamble, rest):
    assert parse_preamble(encode_preamble(preamble) + rest) == preamble


@given(st.binary(max_size=200))
def test_any_bytes_give_a_preamble_or_a_refusal(head):
    try:
        preamble = parse_preamble(head)
    except SeedError:
        return
    assert encode_preamble(preamble) == head[:64]


@given(st.tuples(*[st.integers(0, 2**32 - 1)] * 3, st.integers(0, 2**64 - 1)))
def test_any_sizes_give_the_same_bytes_again_or_a_refusal(sizes):
    head = MAGIC + struct.pack("<HHIIIQ", 1, 0, *sizes) + bytes(32)
    try:
        preamble = parse_preamble(head)
    except FormatError:
        return
    assert encode_preamble(preamble) == head


def test_sections_stand_one_behind_the_other():
    assert GOOD.manifest_offset == 64 + 128
    assert GOOD.payload_offset == 64 + 128 + 300 + 2
    assert GOOD.file_nbytes == 64 + 128 + 300 + 2 + 5_000


@pytest.mark.spec("PRE-1")
@pytest.mark.parametrize("nbytes", [0, 1, 63])
def test_a_file_that_ends_inside_the_preamble_is_refused(nbytes):
    head = encode_preamble(GOOD)[:nbytes]
    message = "file ends inside the preamble"
    with refused(FormatError, "PRE-1", f"byte {nbytes}", message, "fetch it again"):
        parse_preamble(head)


@pytest.mark.spec("PRE-2")
@pytest.mark.parametrize("at", range(8))
@pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
def test_every_byte_of_the_magic_counts(at, flip):
    head = bytearray(encode_preamble(GOOD))
    head[at] ^= flip
    hint = "check that this is a .seed file"
    with refused(FormatError, "PRE-2", "byte 0", "not a seed container", hint):
        parse_preamble(bytes(head))


@pytest.mark.spec("PRE-2")
@pytest.mark.parametrize(
    "transfer",
    [
        lambda b: b.replace(b"\r\n", b"\n"),
        lambda b: b.replace(b"\n", b"\r\n"),
        lambda b: bytes(byte & 0x7F for byte in b),
        lambda b: b"\0" + b,
    ],
    ids=["crlf to lf", "lf to crlf", "7 bit", "byte before"],
)
def test_a_transfer_that_changes_bytes_is_noticed_at_the_magic(transfer):
    with pytest.raises(FormatError) as caught:
        parse_preamble(transfer(encode_preamble(GOOD) + bytes(8)))
    assert caught.value.rule == "PRE-2"


@pytest.mark.spec("PRE-3")
@pytest.mark.parametrize("version", [0, 2, 256, 65_535])
def test_another_version_is_refused(version):
    head = bytearray(encode_preamble(GOOD))
    head[8:10] = struct.pack("<H", version)
    message = f"unsupported version {version}"
    with refused(FormatError, "PRE-3", "byte 8", message, "update seedpack"):
        parse_preamble(bytes(head))


@pytest.mark.spec("PRE-4")
@pytest.mark.parametrize("bit", range(16))
def test_every_reserved_flag_is_refused(bit):
    head = bytearray(encode_preamble(GOOD))
    head[10:12] = struct.pack("<H", 1 << bit)
    with refused(FormatError, "PRE-4", "byte 10", f"reserved flags set: {1 << bit:#06x}"):
        parse_preamble(bytes(head))


@pytest.mark.spec("PRE-5", "PRE-6", "PRE-7", "PRE-8")
@pytest.mark.parametrize(
    "field, accepted",
    [
        ("signatures_nbytes", 0),
        ("signatures_nbytes", 64),
        ("signatures_nbytes", MAX_S),
        ("manifest_nbytes", 1),
        ("manifest_nbytes", MAX_M),
        ("presence_nbytes", 0),
        ("presence_nbytes", MAX_P),
        ("payload_nbytes", 0),
        ("payload_nbytes", MAX_PAYLOAD),
    ],
)
def test_sizes_up_to_the_limit_are_accepted(field, accepted):
    preamble = GOOD._replace(**{field: accepted})
    assert parse_preamble(encode_preamble(preamble)) == preamble


@pytest.mark.parametrize(
    "field, nbytes, rule, offset, what",
    [
        pytest.param("signatures_nbytes", MAX_S + 64, "PRE-5", 12, "signature area", id="S large"),
        pytest.param("signatures_nbytes", 1, "PRE-5", 12, "signature area", id="S odd"),
        pytest.param("signatures_nbytes", 63, "PRE-5", 12, "signature area", id="S below 64"),
        pytest.param("signatures_nbytes", 32, "PRE-5", 12, "signature area", id="S half"),
        pytest.param("signatures_nbytes", 65, "PRE-5", 12, "signature area", id="S above 64"),
        pytest.param("manifest_nbytes", 0, "PRE-6", 16, "manifest", id="M empty"),
        pytest.param("manifest_nbytes", MAX_M + 1, "PRE-6", 16, "manifest", id="M large"),
        pytest.param("presence_nbytes", MAX_P + 1, "PRE-7", 20, "presence bitmap", id="P large"),
        pytest.param("payload_nbytes", MAX_PAYLOAD + 1, "PRE-8", 24, "payload", id="payload large"),
        pytest.param("payload_nbytes", 2**64 - 1, "PRE-8", 24, "payload", id="payload wraps"),
    ],
)
@pytest.mark.spec("PRE-5", "PRE-6", "PRE-7", "PRE-8")
def test_sizes_beyond_the_limit_are_refused(field, nbytes, rule, offset, what):
    head = encode_preamble(GOOD._replace(**{field: nbytes}))
    with refused(FormatError, rule, f"byte {offset}", f"{what} of {nbytes} bytes"):
        parse_preamble(head)


CUT = "it was cut or something was appended; fetch it again"


@pytest.mark.spec("PRE-9")
def test_the_file_is_accounted_for_to_the_last_byte():
    check_file_size(GOOD, GOOD.file_nbytes)
    message = "file of 5495 bytes, its preamble says 5494"
    with refused(FormatError, "PRE-9", "byte 5494", message, CUT):
        check_file_size(GOOD, GOOD.file_nbytes + 1)


@pytest.mark.spec("PRE-9")
def test_a_short_file_is_refused_with_a_hint_at_repair():
    message = "file of 5493 bytes, its preamble says 5494"
    hint = f"{CUT}, or try `seedpack repair` if it carries parity"
    with refused(FormatError, "PRE-9", "byte 5493", message, hint):
        check_file_size(GOOD, GOOD.file_nbytes - 1)
