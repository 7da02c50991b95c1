"""The msgpack that a manifest may use (spec: MAN-1 to MAN-6)."""

from __future__ import annotations

import struct

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.profile import check_profile
from seedpack.errors import FormatError, SeedError
from tests.ids import plain_id
from tests.refusals import refused

MAX_INTEGER = 2**63 - 1

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, MAX_INTEGER),
    st.text(max_size=40),
    st.binary(max_size=40),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=20), st.dictionaries(st.text(max_size=5), inner, max_size=20)
    ),
    max_leaves=40,
)


def depth(value: object) -> int:
    inner = value if isinstance(value, list) else getattr(value, "values", list)()
    return (isinstance(value, list | dict)) + max(map(depth, inner), default=0)


# ---------------------------------------------------------------- laws


@given(values)
def test_what_msgpack_writes_passes_up_to_the_nesting(value):
    data = msgpack.packb(value)
    if depth(value) <= 8:
        check_profile(data)
    else:
        with pytest.raises(FormatError) as caught:
            check_profile(data)
        assert caught.value.rule == "MAN-3"


@pytest.mark.spec("MAN-1", "MAN-2")
@given(values, st.data())
def test_no_proper_prefix_and_no_extension_passes(value, data):
    packed = msgpack.packb(value)
    cut = data.draw(st.integers(0, len(packed) - 1))
    more = data.draw(st.binary(min_size=1, max_size=4))
    for bad in (packed[:cut], packed + more):
        with pytest.raises(FormatError):
            check_profile(bad)


@given(st.binary(max_size=64))
def test_any_bytes_pass_as_msgpack_reads_them_or_are_refused(data):
    try:
        check_profile(data)
    except SeedError:
        return
    value = msgpack.unpackb(data, strict_map_key=False)
    # duplicate keys are left to the comparison in ``manifest``; all else has one encoding
    again = msgpack.packb(value)
    assert again == data or len(again) < len(data)


# ---------------------------------------------------------------- one encoding per value

EDGES = [
    0, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, MAX_INTEGER,
    None, True, False,
    "", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "x" * 65_535, "x" * 65_536, "é",
    b"", b"x" * 255, b"x" * 256, b"x" * 65_535, b"x" * 65_536,
    [], [1] * 15, [1] * 16, [1] * 65_535, [1] * 65_536,
    {}, {str(i): i for i in range(15)}, {str(i): i for i in range(16)},
    {str(i): None for i in range(65_535)}, {str(i): None for i in range(65_536)},
    {"a": {"b": {"c": 1}, "d": [1, {"e": 2}]}, "f": 3},
]  # fmt: skip


@pytest.mark.spec("MAN-2", "MAN-5")
@pytest.mark.parametrize("value", EDGES, ids=plain_id)
def test_the_shortest_form_of_every_kind_passes(value):
    check_profile(msgpack.packb(value))


def number(lead: int, width: int, value: int) -> bytes:
    return bytes([lead]) + value.to_bytes(width, "big")


LONG_FORMS = [
    ("int", 0xCC, 1, 0x7F, 0x80, b""),
    ("int", 0xCD, 2, 0xFF, 0x100, b""),
    ("int", 0xCE, 4, 0xFFFF, 0x10000, b""),
    ("int", 0xCF, 8, 0xFFFF_FFFF, 0x1_0000_0000, b""),
    ("text", 0xD9, 1, 31, 32, b"x"),
    ("text", 0xDA, 2, 255, 256, b"x"),
    ("text", 0xDB, 4, 65_535, 65_536, b"x"),
    ("binary", 0xC5, 2, 255, 256, b"x"),
    ("binary", 0xC6, 4, 65_535, 65_536, b"x"),
    ("array", 0xDC, 2, 15, 16, b"\x01"),
    ("array", 0xDD, 4, 65_535, 65_536, b"\x01"),
    ("map", 0xDE, 2, 15, 16, b"\xa0\x01"),
    ("map", 0xDF, 4, 65_535, 65_536, b"\xa0\x01"),
]


@pytest.mark.spec("MAN-2")
@pytest.mark.parametrize("kind, lead, width, longest, least, item", LONG_FORMS)
def test_a_longer_form_than_needed_is_refused(kind, lead, width, longest, least, item):
    check_profile(number(lead, width, least) + item * least)
    data = b"\x92\x00" + number(lead, width, longest) + item * longest
    message = f"{kind} in a longer form than it needs"
    with refused(FormatError, "MAN-2", "manifest byte 2", message):
        check_profile(data)


@pytest.mark.spec("MAN-2")
def test_a_short_binary_may_use_its_only_form():
    check_profile(b"\xc4\x00")


# ---------------------------------------------------------------- what has no place here

FORBIDDEN = [
    *[(lead, "MAN-4", "extension type") for lead in (0xC7, 0xC8, 0xC9)],
    *[(lead, "MAN-4", "extension type") for lead in range(0xD4, 0xD9)],
    *[(lead, "MAN-4", "float") for lead in (0xCA, 0xCB)],
    *[(lead, "MAN-5", "signed integer") for lead in range(0xD0, 0xD4)],
    *[(lead, "MAN-5", "signed integer") for lead in range(0xE0, 0x100)],
    (0xC1, "MAN-1", "reserved byte"),
]


@pytest.mark.spec("MAN-1", "MAN-4", "MAN-5")
@pytest.mark.parametrize("lead, rule, what", FORBIDDEN, ids=plain_id)
def test_forbidden_kinds_are_refused_wherever_they_stand(lead, rule, what):
    with refused(FormatError, rule, "manifest byte 0", f"{what} in the manifest"):
        check_profile(bytes([lead]) + bytes(20))
    with refused(FormatError, rule, "manifest byte 3", f"{what} in the manifest"):
        check_profile(b"\x81\xa1x" + bytes([lead]) + bytes(20))


@pytest.mark.spec("MAN-4", "MAN-5")
@pytest.mark.parametrize(
    "value, rule",
    [
        (1.0, "MAN-4"),
        (float("nan"), "MAN-4"),
        (-0.0, "MAN-4"),
        (msgpack.Timestamp(1), "MAN-4"),
        (msgpack.ExtType(5, b"abc"), "MAN-4"),
        (-1, "MAN-5"),
        (-(2**63), "MAN-5"),
    ],
    ids=plain_id,
)
def test_values_that_msgpack_has_and_a_manifest_lacks_are_refused(value, rule):
    with pytest.raises(FormatError) as caught:
        check_profile(msgpack.packb({"x": value}))
    assert caught.value.rule == rule


@pytest.mark.spec("MAN-5")
@pytest.mark.parametrize("value", [2**63, 2**64 - 1])
def test_integers_above_the_limit_are_refused(value):
    with refused(FormatError, "MAN-5", "manifest byte 1", f"integer {value}"):
        check_profile(b"\x91" + msgpack.packb(value))


@pytest.mark.spec("MAN-2")
@pytest.mark.parametrize("key", [1, None, True, b"x", [], {}], ids=plain_id)
def test_a_map_key_that_is_not_text_is_refused(key):
    data = b"\x82\xa1a\x00" + msgpack.packb(key) + b"\x00"
    with refused(FormatError, "MAN-2", "manifest byte 4", "map key is not text"):
        check_profile(data)


def test_only_keys_of_maps_are_text():
    check_profile(msgpack.packb([1, [2, 3], {"a": 1, "b": [4, {"c": 5}]}, 6]))


# ---------------------------------------------------------------- bounds


def nested(levels: int, *, maps: bool) -> bytes:
    return (b"\x81\xa0" if maps else b"\x91") * levels + b"\x00"


@pytest.mark.spec("MAN-3")
@pytest.mark.parametrize("maps", [False, True])
def test_eight_levels_pass_and_nine_are_refused(maps):
    check_profile(nested(8, maps=maps))
    at = 8 * (2 if maps else 1)
    with refused(FormatError, "MAN-3", f"manifest byte {at}", "nested deeper than 8"):
        check_profile(nested(9, maps=maps))


@pytest.mark.spec("MAN-3")
def test_levels_that_were_closed_do_not_count():
    check_profile(msgpack.packb([[[1], []], {"a": {}}, [[[[[[[]]]]]]]]))
    check_profile(b"\x92" + nested(7, maps=False) + nested(7, maps=True))


@pytest.mark.spec("MAN-3")
def test_empty_containers_count_as_a_level():
    data = b"\x91" * 8 + b"\x90"
    with refused(FormatError, "MAN-3", "manifest byte 8", "nested deeper than 8"):
        check_profile(data)


@pytest.mark.spec("MAN-3")
@pytest.mark.parametrize(
    "kind, data, announced",
    [
        ("array", b"\x92\x00", 2),
        ("map", b"\x81\xa0", 1),
        ("map", b"\x82\xa0\x00\xa1", 2),
        ("text", b"\xa2x", 2),
        ("binary", b"\xc4\x02x", 2),
        ("array", b"\xdd\x7f\xff\xff\xff", 2**31 - 1),
        ("map", b"\xdf\xff\xff\xff\xff", 2**32 - 1),
        ("binary", b"\xc6\x7f\xff\xff\xff", 2**31 - 1),
        ("text", b"\xdb\xff\xff\xff\xff", 2**32 - 1),
    ],
)
def test_no_length_may_exceed_what_follows(kind, data, announced):
    message = f"{kind} announces {announced} that cannot follow"
    with refused(FormatError, "MAN-3", "manifest byte 0", message):
        check_profile(data)


@pytest.mark.spec("MAN-3")
def test_a_chain_of_announcements_costs_no_memory():
    # 71 kB of array headers, each of which asks for 65,535 values
    with pytest.raises(FormatError) as caught:
        check_profile(b"\xdc\xff\xff" * 23_667)
    assert (caught.value.rule, caught.value.where) == ("MAN-3", "manifest byte 24")


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("data", [b"\xcc", b"\xcd\x01", b"\xcf" + bytes(7), b"\xd9", b"\xdd\0\0\0"])
def test_a_header_that_is_cut_is_refused(data):
    with refused(FormatError, "MAN-1", "manifest byte 0", "manifest ends inside a value"):
        check_profile(data)
    with refused(FormatError, "MAN-1", "manifest byte 1", "manifest ends inside a value"):
        check_profile(b"\x91" + data)


@pytest.mark.spec("MAN-1")
def test_no_bytes_are_no_value():
    with refused(FormatError, "MAN-1", "manifest byte 0", "manifest ends inside a value"):
        check_profile(b"")


@pytest.mark.spec("MAN-1")
def test_a_value_that_lacks_its_last_item_is_refused():
    # the text takes the byte that the array's second item would need
    with refused(FormatError, "MAN-1", "manifest byte 3", "manifest ends inside a value"):
        check_profile(b"\x92\xa1x")


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("rest", [b"\x00", b"\xc0", b"\x80", b"\xff\xff"])
def test_nothing_may_follow_the_value(rest):
    message = "bytes behind the manifest's only value"
    with refused(FormatError, "MAN-1", "manifest byte 3", message):
        check_profile(b"\x81\xa0\x00" + rest)


# ---------------------------------------------------------------- text


@pytest.mark.spec("MAN-6")
@pytest.mark.parametrize(
    "text, bad",
    [
        (b"ab\xff", 2),
        (b"\xc3", 0),
        (b"\xed\xa0\x80", 0),
        (b"x\xc0\x80", 1),
        (b"\xf4\x90\x80\x80", 0),
    ],
    ids=["stray", "cut", "surrogate", "overlong", "beyond Unicode"],
)
def test_text_that_is_not_utf8_is_refused_at_its_byte(text, bad):
    data = b"\x91" + struct.pack("B", 0xA0 | len(text)) + text
    with refused(FormatError, "MAN-6", f"manifest byte {2 + bad}", "text is not UTF-8"):
        check_profile(data)


@pytest.mark.spec("MAN-6")
def test_keys_are_text_like_any_other():
    with refused(FormatError, "MAN-6", "manifest byte 2", "text is not UTF-8"):
        check_profile(b"\x81\xa1\xff\x00")


def test_binaries_may_hold_anything():
    check_profile(msgpack.packb(bytes(range(256))))
