"""rANS: any symbols come back, at the cost of their code lengths (spec/codecs/rans.md)."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs.rans import (
    CodeTable,
    Layout,
    OneTable,
    Stream,
    decode_streams,
    encode_streams,
    longest_tail,
)
from seedpack.errors import CodecError

RULES = {f"COD-RANS-{n}" for n in range(3, 6)}


# ---------------------------------------------------------------- the page's formulas, in Python


def frequencies_of(weights):
    """Return frequencies that sum to 4096, 0 exactly where the weight is 0."""
    scaled = [max(1, w * 2048 // sum(weights)) if w else 0 for w in weights]
    scaled[int(np.argmax(weights))] += 4096 - sum(scaled)
    return scaled


def plain_decode(stored, frequencies, nvalues, layout):
    """Decode as the page's pseudo-code does; return symbols, final states and bytes used."""
    starts = np.cumsum([0, *frequencies]).tolist()
    symbol_of = [s for s, f in enumerate(frequencies) for _ in range(f)]
    n = -(-nvalues // layout.lane_values)
    rows = -(-nvalues // n)
    x = list(struct.unpack_from(f"<{n}I", stored))
    symbols, at = [], 4 * n
    body_rows = rows - min(layout.tail_rows, rows)
    for row in range(rows):
        if row == body_rows:
            x = [state - 2**16 for state in x]
        for lane in range(min(n, nvalues - row * n)):
            slot = x[lane] % 4096
            s = symbol_of[slot]
            symbols.append(s)
            x[lane] = frequencies[s] * (x[lane] // 4096) + slot - starts[s]
            if row < body_rows and x[lane] < 2**16:
                x[lane] = x[lane] * 2**16 + int.from_bytes(stored[at : at + 2], "little")
                at += 2
    return symbols, x if body_rows < rows else [state - 2**16 for state in x], at


def plain_push(x, frequencies, s):
    f = frequencies[s]
    return x // f * 4096 + sum(frequencies[:s]) + x % f


def decode(stored, table, nvalues, layout):
    """Return (symbols, bytes of the stream)."""
    meanings = table.spread(np.arange(table.frequencies.size, dtype=np.uint16))
    out = np.empty(nvalues, np.uint16)
    streams = [Stream(memoryview(stored), out, "w")]
    (used,) = decode_streams(streams, OneTable(table), layout, meanings=meanings)
    return out.tolist(), used


def encode(symbols, table, layout):
    (stored,) = encode_streams([symbols], table, layout)
    return stored


def refusal(call, *args):
    with pytest.raises(CodecError) as caught:
        call(*args)
    return caught.value.rule, caught.value.where


def outcome(call, *args):
    """Return (rule, None) or (None, result)."""
    try:
        return None, call(*args)
    except CodecError as error:
        return error.rule, None


weights = st.lists(st.integers(0, 50), min_size=1, max_size=40).filter(any)


@st.composite
def messages(draw, max_values=700):
    """Draw (table, symbols, layout): all that a stream depends on."""
    frequencies = frequencies_of(draw(weights))
    used = [s for s, f in enumerate(frequencies) if f]
    nvalues = draw(st.integers(1, max_values))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shares = np.array([frequencies[s] for s in used]) / 4096
    likely = draw(st.booleans())  # as the table says, or all alike
    symbols = random.choice(used, nvalues, p=shares if likely else None)
    table = CodeTable(np.array(frequencies))
    lane_values = draw(st.integers(64, 2048))
    tail = draw(st.integers(0, longest_tail([symbols], table, lane_values)))
    return table, symbols, Layout(lane_values, tail)


# ---------------------------------------------------------------- laws


@pytest.mark.spec("COD-RANS-6")
@given(messages(), st.binary(max_size=9))
def test_decoding_inverts_encoding_and_stops_where_the_stream_ends(message, rest):
    table, symbols, layout = message
    stored = encode(symbols, table, layout)
    assert decode(stored + rest, table, symbols.size, layout) == (symbols.tolist(), len(stored))


@pytest.mark.spec("COD-RANS-6")
@given(messages())
def test_the_page_s_formulas_decode_the_same(message):
    table, symbols, layout = message
    stored = encode(symbols, table, layout)
    plain = plain_decode(stored, table.frequencies.tolist(), symbols.size, layout)
    assert plain == (symbols.tolist(), [0] * layout.lanes(symbols.size), len(stored))


@given(messages(max_values=200), st.data())
def test_any_bytes_give_the_plain_decoder_s_symbols_or_a_refusal(message, data):
    table, symbols, layout = message
    stored = bytearray(encode(symbols, table, layout))
    for _ in range(data.draw(st.integers(1, 3))):
        stored[data.draw(st.integers(0, len(stored) - 1))] ^= data.draw(st.integers(1, 255))
    del stored[data.draw(st.integers(0, len(stored))) :]
    rule, answer = outcome(decode, bytes(stored), table, symbols.size, layout)
    if rule is not None:
        assert rule in RULES
        return
    plain = plain_decode(bytes(stored), table.frequencies.tolist(), symbols.size, layout)
    assert plain == (answer[0], [0] * layout.lanes(symbols.size), answer[1])


def test_a_stream_costs_its_code_lengths_and_three_bytes_a_lane():
    frequencies = np.array([1, 15, 240, 3584, 240, 15, 1])
    table = CodeTable(frequencies)
    symbols = np.random.default_rng(1).choice(7, 1 << 18, p=frequencies / 4096)
    layout = Layout(1024, longest_tail([symbols], table, 1024))
    ideal = -np.log2(frequencies[symbols] / 4096).sum() / 8
    stored = encode(symbols, table, layout)
    assert 0 < len(stored) - ideal < 3 * layout.lanes(symbols.size)
    assert layout.tail_rows > 3


@pytest.mark.parametrize("nvalues", [1, 2, 64, 65, 127, 128, 129, 70_000])
@pytest.mark.parametrize("tail", [0, 1, 2])
def test_short_rows_and_many_blocks_come_back(nvalues, tail):
    symbols = np.random.default_rng(nvalues).integers(0, 2, nvalues)
    table, layout = CodeTable(np.array([2048, 2048])), Layout(64, tail)
    stored = encode(symbols, table, layout)
    assert decode(stored, table, nvalues, layout) == (symbols.tolist(), len(stored))


def test_a_symbol_that_is_certain_costs_nothing():
    table, layout = CodeTable(np.array([0, 4096, 0])), Layout(2048, 255)
    stored = encode(np.ones(5000, np.int64), table, layout)
    assert stored == struct.pack("<3I", *[2**16] * 3)
    assert decode(stored, table, 5000, layout)[0] == [1] * 5000


# ---------------------------------------------------------------- side by side


@st.composite
def alike(draw):
    """Draw (table, symbols of several streams, layout), the streams of equally many symbols."""
    table, symbols, layout = draw(messages())
    order = np.random.default_rng(draw(st.integers(0, 2**32)))
    streams = [symbols, *(order.permutation(symbols) for _ in range(draw(st.integers(1, 4))))]
    tail = longest_tail(streams, table, layout.lane_values)
    return table, streams, layout._replace(tail_rows=min(layout.tail_rows, tail))


def decode_all(stored, table, nvalues, layout):
    """Return (symbols, bytes) of each stream, decoded together."""
    meanings = table.spread(np.arange(table.frequencies.size, dtype=np.uint16))
    streams = [
        Stream(memoryview(one), np.empty(nvalues, np.uint16), f"w[{number}]")
        for number, one in enumerate(stored)
    ]
    used = decode_streams(streams, OneTable(table), layout, meanings=meanings)
    return [(s.out.tolist(), n) for s, n in zip(streams, used, strict=True)]


@pytest.mark.spec("COD-RANS-6")
@given(alike(), st.binary(max_size=5))
def test_streams_side_by_side_are_those_that_each_is_alone(message, rest):
    table, streams, layout = message
    stored = encode_streams(streams, table, layout)
    assert stored == [encode(symbols, table, layout) for symbols in streams]
    found = decode_all([one + rest for one in stored], table, streams[0].size, layout)
    expected = [(s.tolist(), len(one)) for s, one in zip(streams, stored, strict=True)]
    assert found == expected


@given(alike(), st.data())
def test_a_bad_stream_is_refused_by_its_own_name_whatever_stands_beside_it(message, data):
    table, streams, layout = message
    nvalues = streams[0].size
    stored = encode_streams(streams, table, layout)
    number = data.draw(st.integers(0, len(stored) - 1))
    bad = bytearray(stored[number])
    bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    stored[number] = bytes(bad[: data.draw(st.integers(0, len(bad)))])
    rule, alone = outcome(decode, stored[number], table, nvalues, layout)
    if rule is None:
        assert decode_all(stored, table, nvalues, layout)[number] == alone
    else:
        args = (stored, table, nvalues, layout)
        assert refusal(decode_all, *args) == (rule, f"w[{number}]")


@given(st.integers(0, 5000), st.integers(1, 5000), st.integers(64, 2048))
def test_batches_are_all_chunks_in_order_those_of_one_equally_long(nvalues, chunk, lane_values):
    batches = Layout(lane_values, 0).batches(nvalues, chunk)
    chunks = [min(chunk, nvalues - at) for at in range(0, nvalues, chunk)]
    assert [index for batch in batches for index in batch] == list(range(len(chunks)))
    assert all(len({chunks[index] for index in batch}) == 1 for batch in batches)


# ---------------------------------------------------------------- tails


@given(messages(max_values=300))
def test_the_longest_tail_is_the_longest_whose_states_fit(message):
    table, symbols, layout = message
    lanes = layout.lanes(symbols.size)
    frequencies, rows = table.frequencies.tolist(), -(-symbols.size // lanes)
    states, fits = [0] * lanes, 0
    for row in reversed(range(rows)):
        for lane, symbol in enumerate(symbols[row * lanes : (row + 1) * lanes].tolist()):
            states[lane] = plain_push(states[lane], frequencies, symbol)
        if max(states) >= 2**32 - 2**16:
            break
        fits += 1
    longest = 255 if fits == rows else min(fits, 255)
    assert longest_tail([symbols], table, layout.lane_values) == longest


def test_the_longest_tail_of_several_streams_is_the_shortest_of_theirs():
    table = CodeTable(np.array([4095, 1]))
    cheap, dear = np.zeros(100, np.int64), np.ones(100, np.int64)
    assert longest_tail([cheap], table, 64) == 255
    assert longest_tail([dear], table, 64) == longest_tail([cheap, dear], table, 64) == 2
    assert longest_tail([], table, 64) == 0


# ---------------------------------------------------------------- tables


@pytest.mark.spec("COD-RANS-1")
@given(weights)
def test_tables_have_one_packed_form(drawn):
    table = CodeTable(np.array(frequencies_of(drawn)))
    packed = table.pack()
    again = CodeTable.unpack(packed, "w")
    assert again.frequencies.tolist() == table.frequencies.tolist()
    assert again.pack() == packed


@pytest.mark.spec("COD-RANS-1")
@given(st.binary(max_size=60))
def test_any_bytes_are_no_table_or_its_packed_form(packed):
    rule, table = outcome(CodeTable.unpack, packed, "w")
    assert rule == "COD-RANS-1" or table.pack() == packed


@pytest.mark.spec("COD-RANS-1")
@pytest.mark.parametrize(
    ("frequencies", "packed"),
    [
        ([4096], b"\x80\x20"),
        ([0, 4096], b"\x00\x80\x20"),
        ([127, 128, 3841], b"\x7f\x80\x01\x81\x1e"),
    ],
)
def test_tables_are_packed_as_the_page_says(frequencies, packed):
    assert CodeTable(np.array(frequencies)).pack() == packed
    assert CodeTable.unpack(packed, "w").frequencies.tolist() == frequencies


@pytest.mark.spec("COD-RANS-1")
@pytest.mark.parametrize(
    "packed",
    [
        b"",
        b"\x80",  # ends inside a frequency
        b"\x80\x20\x80",
        b"\x80\x00\x80\x20",  # zero in two bytes
        b"\x85\x00\xfb\x1f",  # five in two bytes
        b"\x80\xa0\x01",  # three bytes
        b"\xff\x1f",  # 4095
        b"\x01\x80\x20",  # 4097
        b"\x80\x20\x80\x20",
    ],
    ids=bytes.hex,
)
def test_cod_rans_1_other_bytes_are_refused(packed):
    assert refusal(CodeTable.unpack, packed, "layer w") == ("COD-RANS-1", "layer w")


# ---------------------------------------------------------------- refusals, one by one


@pytest.mark.spec("COD-RANS-2")
def test_cod_rans_2_layouts_at_the_limits_are_taken():
    for layout in (Layout(64, 0), Layout(2048, 255)):
        layout.check("w")


@pytest.mark.spec("COD-RANS-2")
@pytest.mark.parametrize("layout", [(63, 0), (0, 0), (2049, 0), (64, 256), (64, -1)], ids=str)
def test_cod_rans_2_layouts_beyond_are_refused(layout):
    assert refusal(Layout(*layout).check, "layer w") == ("COD-RANS-2", "layer w")


COIN = CodeTable(np.array([2048, 2048]))
BODY = Layout(64, 0)


@pytest.mark.spec("COD-RANS-3")
def test_cod_rans_3_states_must_be_there_and_at_least_2_16():
    assert refusal(decode, bytes(3), COIN, 1, BODY) == ("COD-RANS-3", "w")
    assert refusal(decode, struct.pack("<I", 2**16), COIN, 65, BODY) == ("COD-RANS-3", "w")
    assert refusal(decode, struct.pack("<I", 2**16 - 1), COIN, 1, BODY) == ("COD-RANS-3", "w")
    assert decode(struct.pack("<I", 2**17), COIN, 1, BODY) == ([0], 4)


@pytest.mark.spec("COD-RANS-4")
@pytest.mark.parametrize("rest", [b"", b"\0"])
def test_cod_rans_4_words_must_not_run_out(rest):
    stored = struct.pack("<I", 2**16)  # halved, it needs a word
    assert refusal(decode, stored + rest, COIN, 1, BODY) == ("COD-RANS-4", "w")
    assert refusal(decode, stored + b"\0\0", COIN, 1, BODY) == ("COD-RANS-5", "w")


@pytest.mark.spec("COD-RANS-5")
@pytest.mark.parametrize("tail", [0, 1])
def test_cod_rans_5_lanes_end_at_0(tail):
    layout = Layout(64, tail)
    good = encode(np.array([1]), COIN, layout)
    assert decode(good, COIN, 1, layout) == ([1], 4)
    (state,) = struct.unpack("<I", good)
    assert refusal(decode, struct.pack("<I", state + 4096), COIN, 1, layout)[0] == "COD-RANS-5"


def test_states_never_leave_32_bits_whatever_the_bytes():
    table = CodeTable(np.array([1, 4094, 1]))
    stored = b"\xff" * 4000
    assert refusal(decode, stored, table, 64 * 9, Layout(64, 3)) == ("COD-RANS-5", "w")


def test_a_hostile_stream_costs_at_most_2048_rows():
    layout = Layout(2048, 0)
    for nvalues in (1, 2047, 2048, 2049, 1 << 20):
        assert math.ceil(nvalues / layout.lanes(nvalues)) <= 2048


# ---------------------------------------------------------------- known answers


FROZEN = (
    "dddc8b00bfee5003df910d00b660a3163d4e5983975f5f03c568589b54f69ef14994bb507749630f"
    "8590bdef0823584b"
)


@pytest.mark.spec("COD-RANS-6")
def test_a_frozen_stream():
    table = CodeTable(np.array([1000, 3000, 96]))
    symbols = np.array([1, 1, 0, 2, 1, 0] * 30)
    stored = encode(symbols, table, Layout(64, 3))
    assert stored.hex() == FROZEN
    assert decode(stored, table, 180, Layout(64, 3)) == (symbols.tolist(), len(stored))
