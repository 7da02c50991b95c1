"""Codec tcq: closer to the limit than any grid, the same bits everywhere (spec/codecs/tcq.md)."""

from __future__ import annotations

import itertools
import math
import struct
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.rans import CodeTable, JointTable, Layout, encode_streams
from seedpack.codecs.tcq.grid import read_coding
from seedpack.codecs.tcq.rates import estimate_rates
from seedpack.codecs.tcq.trellis import LABELS, PREDECESSORS, STATES, TRELLIS
from seedpack.codecs.tcq.viterbi import find_labels
from seedpack.dtypes import DTYPES
from tests.codecs.laws import (
    bits_of,
    decode,
    digests_without_vector_units,
    finite_floats,
    gaussian,
    hold,
    is_within,
    layer_for,
    outcome,
    refusal,
)

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
MIB = 1 << 20
RULES = (
    {f"COD-TCQ-{n}" for n in range(1, 7)}
    | {f"COD-RANS-{n}" for n in range(1, 6)}
    | {"CHK-1", "CHK-3", "LAY-7"}
)


def encode(values, dtype, **options):
    """Return (encoded, decoded)."""
    encoded = encode_tensor("tcq", values, dtype, **options)
    layer = layer_for(encoded, dtype, values.shape, finite=encoded.codec == "tcq")
    return encoded, decode(layer, encoded.chunks)


# ---------------------------------------------------------------- the page, in Python


def follow(state, k):
    """Return the next state of the trellis."""
    return state // 2 ^ (33 if state % 2 else 0) ^ (10 if k % 2 else 0)


def plain_decode(encoded, nvalues):
    """Decode float32 as the page says, one chunk of symbols at a time."""
    params, values = encoded.params, []
    tables = [
        list(CodeTable.unpack(params[f"table_{n}"], "w").frequencies) for n in ("even", "odd")
    ]
    lowest = [struct.unpack("<i", params[f"lowest_{n}"])[0] for n in ("even", "odd")]
    (half_step,) = struct.unpack("<f", params["half_step"])
    symbols_of = [[s for s, f in enumerate(table) for _ in range(f)] for table in tables]
    for chunk in encoded.chunks:
        v = min(params["chunk_values"], nvalues - len(values))
        n = -(-v // params["lane_values"])
        rows = -(-v // n)
        x, t, at = list(struct.unpack_from(f"<{n}I", chunk)), [0] * n, 4 * n
        decoded = []
        for i in range(rows * n):
            row, lane = divmod(i, n)
            if row == max(rows - params["tail_rows"], 0):
                x[lane] -= 2**16
            if i >= v:
                continue
            q = t[lane] % 2
            slot = x[lane] % 4096
            s = symbols_of[q][slot]
            x[lane] = tables[q][s] * (x[lane] // 4096) + slot - sum(tables[q][:s])
            if row < rows - params["tail_rows"] and x[lane] < 2**16:
                x[lane] = x[lane] * 2**16 + int.from_bytes(chunk[at : at + 2], "little")
                at += 2
            k = lowest[q] + s - 1
            t[lane] = follow(t[lane], k if s else 0)
            decoded.append(np.float32(2 * k + q) * np.float32(half_step) if s else None)
        escaped = iter(np.frombuffer(chunk[at:], "<f4"))
        values += [next(escaped) if y is None else y for y in decoded]
    return np.array(values, np.float32)


@pytest.mark.spec("COD-TCQ-7")
@settings(max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 400), st.sampled_from([0.02, 0.1, 0.3]))
def test_the_page_s_formulas_decode_the_same(seed, n, step):
    values = gaussian(F32, n, seed=seed)
    values[:: 1 + seed % 90] = 3e8
    step = float(np.float32(step))
    encoded, decoded = encode(values, F32, settings={"step": step}, chunk_raw_nbytes=256)
    if encoded.codec == "tcq":
        assert decoded.tobytes() == plain_decode(encoded, n).tobytes()


@pytest.mark.spec("COD-TCQ-7")
def test_the_trellis_is_the_page_s_and_every_state_has_two_predecessors():
    for state, parity in itertools.product(range(STATES), range(2)):
        assert TRELLIS.next_states[state, parity] == follow(state, parity)
        assert TRELLIS.tables[state] == state % 2
    for state, at in itertools.product(range(STATES), range(2)):
        before, label = int(PREDECESSORS[at, state]), int(LABELS[at, state])
        assert label // 2 == before % 2
        assert follow(before, label % 2) == state


@given(st.integers(0, 2**32), st.integers(1, 9))
def test_no_path_costs_less_than_the_one_that_is_found(seed, rows):
    random = np.random.default_rng(seed)
    bins = random.integers(0, 16, (rows, 3))
    costs = random.integers(0, 1000, (4, 16)).astype(np.float32)
    costs[1::2][random.random((2, 16)) < 0.3] = np.inf  # odd labels may be impossible
    labels = find_labels(bins, costs)
    for lane in range(3):
        best = math.inf
        for parities in itertools.product(range(2), repeat=rows):
            state, cost, path = 0, 0.0, []
            for row, p in enumerate(parities):
                path.append(2 * (state % 2) + p)
                cost += costs[path[-1], bins[row, lane]]
                state = follow(state, p)
            best = min(best, cost)
        state, found = 0, 0.0
        for row in range(rows):
            label = int(labels[row, lane])
            assert label // 2 == state % 2
            found += costs[label, bins[row, lane]]
            state = follow(state, label)
        assert found == best


# ---------------------------------------------------------------- laws


@pytest.mark.spec("COD-TCQ-8")
@settings(max_examples=25)
@given(
    finite_floats,
    st.sampled_from([1.0, 1e-4, 1e-30, 1e-38, 1e-44]),
    st.floats(2**-10, 2**10, width=32),
    st.sampled_from([BF16, F16, F32]),
)
def test_every_value_is_within_three_steps(values, shrink, step, dtype):
    step = float(np.float32(max(step * shrink, 2.0**-125)))
    with np.errstate(over="ignore", under="ignore"):
        values = np.concatenate([values * np.float32(shrink), np.zeros(1500, np.float32)])
    held = hold(values, dtype)
    encoded, decoded = encode(held, dtype, settings={"step": step})
    if encoded.codec == "raw":
        assert decoded.tobytes() == held.tobytes()
        return
    assert struct.unpack("<f", encoded.params["half_step"]) == (step / 2,)
    assert is_within(to_float32(held, dtype), to_float32(decoded, dtype), 3 * step, dtype)


@TAKEN
@given(st.data())
def test_any_values_are_stored_and_decode(dtype, data):
    values = data.draw(bits_of(dtype))
    encoded, decoded = encode(values, dtype)
    assert encoded.codec == "tcq" or decoded.tobytes() == values.tobytes()


@TAKEN
def test_encoding_is_deterministic_and_order_of_memory_does_not_matter(dtype):
    values = gaussian(dtype, 6000).reshape(60, 100)
    encoded = encode_tensor("tcq", values, dtype)
    assert encoded.codec == "tcq"
    assert encode_tensor("tcq", np.asfortranarray(values), dtype) == encoded


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0, 1.8])
def test_gaussian_values_cost_less_than_a_tenth_of_a_bit_above_their_bound(share):
    values = gaussian(F32, 1 << 17).astype(np.float64)
    deviation = values.std()
    step = {"step": float(np.float32(share * deviation))}
    gaps = {}
    for codec in ("ecq", "tcq"):
        encoded = encode_tensor(codec, values.astype(np.float32), F32, settings=step)
        assert encoded.codec == codec
        decoded = decode(layer_for(encoded, F32, values.shape, finite=True), encoded.chunks)
        params = (len(v) for v in encoded.params.values() if isinstance(v, bytes))
        rate = 8 * (encoded.stored_nbytes + sum(params)) / values.size
        error = np.square(decoded - values).mean()
        gaps[codec] = rate - 0.5 * math.log2(deviation**2 / error)
    assert 0.03 <= gaps["tcq"] <= 0.1
    assert gaps["ecq"] - gaps["tcq"] >= 0.15


@TAKEN
@pytest.mark.parametrize("outlier", [1e30, -6e4, 3.0])
def test_an_outlier_is_kept_exactly(dtype, outlier):
    values = gaussian(dtype, 20_000)
    odd = hold(np.array([outlier], np.float32), dtype)[0]
    if dtype is F16 and not np.isfinite(odd):
        return
    values[777] = odd
    encoded, decoded = encode(values, dtype, settings={"step": 2.0**-9})
    assert encoded.codec == "tcq"
    assert decoded[777] == odd
    error = to_float32(decoded, dtype) - to_float32(values, dtype)
    assert np.abs(error).max() <= 3 * 2**-9


@pytest.mark.parametrize("value", [1.0, -5.5, 3e38, 2.0**-118, 65504.0])
def test_nearly_constant_tensors_come_back_to_a_bit_or_so(value):
    values = np.float32(value) * (1 + np.abs(gaussian(F32, 5000)) * np.float32(2**-10))
    encoded, decoded = encode(values, F32)
    assert encoded.codec == "tcq"
    assert np.abs(decoded / values - 1).max() < 2**-3


def test_values_far_from_zero_are_coded_about_their_middle():
    values = gaussian(F32, 20_000) + np.float32(1000)
    encoded, decoded = encode(values, F32, settings={"step": 2.0**-6})
    assert encoded.codec == "tcq"
    assert 8 * encoded.stored_nbytes < 5 * values.size
    assert np.abs(decoded - values).max() <= 3 * 2**-6


def test_a_step_far_too_coarse_costs_almost_nothing():
    encoded, decoded = encode(gaussian(F32, 50_000), F32, settings={"step": 8.0})
    assert not decoded.any()
    assert 8 * encoded.stored_nbytes < 0.05 * 50_000


def test_tables_stay_within_a_param_of_4096_bytes():
    values = np.random.default_rng(3).uniform(-1, 1, 1 << 16).astype(np.float32)
    encoded, decoded = encode(values, F32, settings={"step": 2.0**-11})
    assert encoded.codec == "tcq"
    assert max(len(encoded.params[f"table_{name}"]) for name in ("even", "odd")) <= 4096
    assert np.abs(decoded - values).max() <= 3 * 2**-11


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 1025, 4097])
@pytest.mark.parametrize("nbytes", [16, 1024, MIB])
def test_chunks_of_equal_size_and_any_number(n, nbytes):
    values = gaussian(F32, n, seed=n)
    encoded, decoded = encode(values, F32, chunk_raw_nbytes=nbytes)
    assert np.abs(values - decoded).max() <= 3 * 0.26 * 0.06
    if encoded.codec == "tcq":
        nchunks = -(-n * 4 // (4 * nbytes))
        assert encoded.params["chunk_values"] == -(-n // nchunks)
        assert len(encoded.chunks) <= nchunks


def test_chunks_decode_in_any_order():
    values = gaussian(F32, 10_000)
    encoded, decoded = encode(values, F32, chunk_raw_nbytes=4096)
    order = np.random.default_rng(0).permutation(len(encoded.chunks)).tolist()
    assert len(order) == 3
    layer = layer_for(encoded, F32, [10_000], finite=True)
    assert decode(layer, encoded.chunks, order).tobytes() == decoded.tobytes()


def test_rare_levels_are_dropped_and_their_lanes_find_other_paths():
    values = gaussian(F32, 300_000)
    values[::50_000] = np.linspace(0.5, 0.9, 6)  # 10 to 18 deviations, one by one
    encoded, decoded = encode(values, F32, settings={"step": 0.0625})
    assert decoded[::50_000].tolist() == values[::50_000].tolist()
    assert encoded.params["table_even"][0] == encoded.params["table_odd"][0] == 1
    assert np.abs(decoded - values).max() <= 3 * 0.0625


# ---------------------------------------------------------------- what a step would cost


@pytest.mark.parametrize("share", [0.04, 0.12, 0.2, 0.5, 1.0, 2.0])
def test_estimated_rates_are_those_of_the_stored_form(share):
    values = gaussian(F32, 1 << 17)
    step = float(np.float32(share * 0.05))
    encoded = encode_tensor("tcq", values, F32, settings={"step": step})
    (rate,) = estimate_rates(values[:: 1 << 3], [step])
    assert rate == pytest.approx(8 * encoded.stored_nbytes / values.size, abs=0.08)


def test_estimated_rates_fall_to_nothing():
    rates = estimate_rates(gaussian(F32, 1 << 14), [0.01, 0.03, 0.05, 0.1, 1.0])
    assert (np.diff(rates) < 0).all()
    assert rates[-1] == 0


# ---------------------------------------------------------------- falling back to raw


@pytest.mark.parametrize("name", ["bool", "int8", "int64", "float64", "float8_e5m2"])
def test_other_dtypes_fall_back_to_raw(name):
    dtype = DTYPES[name]
    assert encode_tensor("tcq", np.zeros(1000, dtype.storage), dtype).codec == "raw"


@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_fall_back_to_raw(worst):
    values = gaussian(F32, 1000)
    values[500] = worst
    assert encode_tensor("tcq", values, F32).codec == "raw"


def test_levels_that_would_overflow_fall_back_to_raw():
    values = np.full(1000, 30000, "<f2")
    values[::2] = gaussian(F16, 500)
    assert encode_tensor("tcq", values, F16, settings={"step": 2.0**18}).codec == "raw"
    assert encode_tensor("tcq", values, F16, settings={"step": 2.0**11}).codec == "tcq"


def test_what_is_too_small_for_a_step_falls_back_to_raw():
    for values in (np.zeros(1000, "<f4"), np.full(1000, 2.0**-140, "<f4"), np.zeros(0, "<f4")):
        assert encode_tensor("tcq", values, F32).codec == "raw"


def test_levels_beyond_2_24_fall_back_to_raw():
    values = np.full(1000, 3e38, "<f4")
    assert encode_tensor("tcq", values, F32, settings={"step": 2.0**-100}).codec == "raw"


@pytest.mark.parametrize("n", [1, 4, 16, 64, 256, 1000])
def test_where_raw_takes_no_more_of_a_file_raw_is_taken(n):
    values = gaussian(F32, n)
    encoded, raw = (encode_tensor(codec, values, F32) for codec in ("tcq", "raw"))
    assert encoded == raw or encoded.record_nbytes < raw.record_nbytes
    assert n > 1 or encoded.codec == "raw"
    assert n < 1000 or encoded.codec == "tcq"


@pytest.mark.parametrize("step", [0.0, -1.0, 2.0**-126, math.inf, math.nan, 0.1, 1e300])
def test_steps_whose_half_is_no_positive_normal_float32_are_a_wrong_call(step):
    with pytest.raises(ValueError, match="step"):
        encode_tensor("tcq", gaussian(F32, 10), F32, settings={"step": step})


def test_other_settings_are_a_wrong_call():
    with pytest.raises(ValueError, match="settings step and mu, not"):
        encode_tensor("tcq", gaussian(F32, 10), F32, settings={"stepp": 1.0})
    for mu in (0.0, -1.0, 1.1, math.nan):
        with pytest.raises(ValueError, match="mu"):
            encode_tensor("tcq", gaussian(F32, 10), F32, settings={"mu": mu})


# ---------------------------------------------------------------- refusals, one by one

# Levels -2, 0, 2, 4 and -3, -1, 1, 3: k from -1 and from -2.
TABLES = (CodeTable(np.array([16, 1024, 1024, 1024, 1008])),) * 2
PARAMS = {
    "chunk_values": 8,
    "half_step": struct.pack("<f", 0.25),
    "lane_values": 64,
    "lowest_even": struct.pack("<i", -1),
    "lowest_odd": struct.pack("<i", -2),
    "table_even": TABLES[0].pack(),
    "table_odd": TABLES[1].pack(),
    "tail_rows": 2,
}


def write(symbols, *escaped, lane_values=64, tail_rows=2):
    """Return a chunk of one lane, or of few."""
    lanes = -(-len(symbols) // lane_values)
    states, joint = [0] * lanes, []
    for i, s in enumerate(symbols):
        q = states[i % lanes] % 2
        joint.append(5 * q + s)
        states[i % lanes] = follow(states[i % lanes], s and -1 - q + s - 1)
    (stream,) = encode_streams(
        [np.array(joint)], JointTable(TABLES), Layout(lane_values, tail_rows)
    )
    return stream + struct.pack(f"<{len(escaped)}f", *escaped)


GOOD = write([1, 2, 3, 4, 0, 2, 3, 0], 77.5, -0.0)


def stored(chunks, *, n=8, dtype=F32, finite=True, **params):
    """Return a layer and its chunks, written by hand."""
    changed = {k: v for k, v in (PARAMS | params).items() if v is not None}
    return layer_for(Encoded("tcq", changed, chunks), dtype, [n], finite=finite), chunks


@pytest.mark.spec("COD-TCQ-7")
def test_the_hand_written_chunk_decodes():
    state, expected, escaped = 0, [], iter([77.5, -0.0])
    for s in [1, 2, 3, 4, 0, 2, 3, 0]:
        q = state % 2
        k = -1 - q + s - 1
        expected.append((2 * k + q) * 0.25 if s else next(escaped))
        state = follow(state, s and k)
    assert decode(*stored([GOOD])).tolist() == expected
    assert {value % 0.5 for value in expected[:4]} == {0.0, 0.25}


@pytest.mark.spec("COD-TCQ-1")
@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d not in {BF16, F16, F32}])
def test_cod_tcq_1_other_dtypes_are_refused(dtype):
    assert refusal(*stored([GOOD], dtype=dtype)) == ("COD-TCQ-1", "layer w")


@pytest.mark.spec("COD-TCQ-1")
def test_cod_tcq_1_the_layer_is_declared_finite():
    assert refusal(*stored([GOOD], finite=False)) == ("COD-TCQ-1", "layer w")


@pytest.mark.spec("COD-TCQ-2")
@pytest.mark.parametrize(
    "params",
    [
        *({name: None} for name in PARAMS),
        {"more": 1},
        {"chunk_values": 0},
        {"chunk_values": "8"},
        {"lane_values": b"64"},
        {"lowest_even": -1},
        {"lowest_even": bytes(3)},
        {"lowest_odd": bytes(5)},
        {"table_odd": "x"},
        {"half_step": 1},
    ],
    ids=str,
)
def test_cod_tcq_2_params(params):
    assert refusal(*stored([GOOD], **params)) == ("COD-TCQ-2", "layer w")


@pytest.mark.spec("COD-TCQ-3")
@pytest.mark.parametrize("bits", [0, 0x007FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 0xBF000000])
def test_cod_tcq_3_half_steps_that_are_not_positive_and_normal_are_refused(bits):
    half_step = struct.pack("<I", bits)
    assert refusal(*stored([GOOD], half_step=half_step)) == ("COD-TCQ-3", "layer w")


@pytest.mark.spec("COD-TCQ-3")
@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_cod_tcq_3_half_steps_have_four_bytes(size):
    assert refusal(*stored([GOOD], half_step=bytes(size))) == ("COD-TCQ-3", "layer w")


@pytest.mark.spec("COD-RANS-1", "COD-RANS-2")
def test_tables_and_layouts_are_checked():
    assert refusal(*stored([GOOD], table_even=b"\xff\x1f")) == ("COD-RANS-1", "layer w")
    assert refusal(*stored([GOOD], table_odd=b"\xff\x1f")) == ("COD-RANS-1", "layer w")
    assert refusal(*stored([GOOD], lane_values=63)) == ("COD-RANS-2", "layer w")


@pytest.mark.spec("COD-TCQ-4")
@pytest.mark.parametrize("name", ["table_even", "table_odd"])
@pytest.mark.parametrize(
    "table", [b"\x80\x20", b"\x00\x00\x80\x20", b"\x00\x80\x20\x00", b"\x80\x20\x00"], ids=bytes.hex
)
def test_cod_tcq_4_tables_whose_first_or_last_level_does_not_occur(name, table):
    assert refusal(*stored([GOOD], **{name: table})) == ("COD-TCQ-4", "layer w")


@pytest.mark.spec("COD-TCQ-4")
@pytest.mark.parametrize(
    ("name", "lowest", "rule"),
    [
        ("lowest_even", -(2**23) - 1, "COD-TCQ-4"),
        ("lowest_odd", -(2**23) - 1, "COD-TCQ-4"),
        ("lowest_even", 2**23 - 3, "values"),
        ("lowest_odd", 2**23 - 4, "values"),
        ("lowest_even", 2**23 - 2, "COD-TCQ-4"),
        ("lowest_odd", 2**23 - 3, "COD-TCQ-4"),
        ("lowest_even", 2**31 - 1, "COD-TCQ-4"),
        ("lowest_odd", -(2**31), "COD-TCQ-4"),
    ],
)
def test_cod_tcq_4_levels_are_within_2_24(name, lowest, rule):
    assert (
        outcome(*stored([write([2], tail_rows=2)], n=1, **{name: struct.pack("<i", lowest)}))
        == rule
    )


@pytest.mark.spec("COD-TCQ-4")
@pytest.mark.parametrize(
    ("dtype", "half_step", "rule"),
    [
        (F32, 2.0**125, "values"),
        (F32, 2.0**126, "COD-TCQ-4"),  # level 4 is 2^128
        (F16, 2.0**13, "values"),
        (F16, 16380.0, "COD-TCQ-4"),  # 65,520 rounds to infinity
        (BF16, 255.5 * 2.0**118, "COD-TCQ-4"),
    ],
)
def test_cod_tcq_4_levels_that_occur_are_finite(dtype, half_step, rule):
    chunk = write([2])
    params = {"half_step": struct.pack("<f", half_step)}
    assert outcome(*stored([chunk], n=1, dtype=dtype, **params)) == rule


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize(("n", "nchunks"), [(8, 2), (9, 1), (16, 3), (0, 1), (1, 0)])
def test_chk_3_number_of_chunks(n, nchunks):
    assert refusal(*stored([GOOD] * nchunks, n=n)) == ("CHK-3", "layer w")


@pytest.mark.spec("CHK-1")
@TAKEN
def test_chk_1_chunks_decode_to_at_most_4_mib(dtype):
    most = 4 * MIB // dtype.itemsize
    layer, chunks = stored([GOOD], n=most, dtype=dtype, chunk_values=most + 1)
    assert refusal(layer, chunks) == ("CHK-1", "layer w")


@pytest.mark.spec("COD-TCQ-5")
@pytest.mark.parametrize("dtype", [F16, F32], ids=lambda d: d.name)
def test_cod_tcq_5_size_of_a_chunk(dtype):
    longest = 8 + 65 * (2 + dtype.itemsize)
    for nbytes, rule in [(7, 5), (longest + 1, 5), (longest, 0), (8, 0)]:
        chunk = struct.pack("<2I", 2**16, 2**16).ljust(nbytes, b"\0")[:nbytes]
        layer, chunks = stored([chunk], n=65, dtype=dtype, chunk_values=100)
        said = outcome(layer, chunks)
        assert (said == "COD-TCQ-5") == (rule == 5)
        assert said in RULES
    layer, _ = stored([GOOD])
    assert refusal(layer, [GOOD + bytes(99)]) == ("COD-TCQ-5", "layer w[0]")


@pytest.mark.spec("COD-TCQ-6")
@pytest.mark.parametrize(
    "chunk", [GOOD[:-1], GOOD[:-4], GOOD + b"\0", GOOD + bytes(4), write([1, 2, 3, 4] * 2) + b"\0"]
)
def test_cod_tcq_6_nothing_but_the_escaped_values_follows_the_stream(chunk):
    assert refusal(*stored([chunk])) == ("COD-TCQ-6", "layer w[0]")


@pytest.mark.spec("COD-RANS-3", "COD-RANS-4", "COD-RANS-5")
def test_refusals_of_the_stream_name_the_chunk():
    good = write([1, 2, 3, 4] * 30, lane_values=64)
    options = {"n": 120, "chunk_values": 120}
    assert outcome(*stored([good], **options)) == "values"
    low = bytes(4) + good[4:]
    assert refusal(*stored([low], **options)) == ("COD-RANS-3", "layer w[0]")
    assert refusal(*stored([good[:10]], **options)) == ("COD-RANS-4", "layer w[0]")
    one = write([2], tail_rows=1)
    odd = struct.pack("<I", int.from_bytes(one[:4], "little") + 4096)
    assert refusal(*stored([odd], n=1, tail_rows=1)) == ("COD-RANS-5", "layer w[0]")


@pytest.mark.spec("LAY-7")
@pytest.mark.parametrize("worst", [math.nan, math.inf, -math.inf])
def test_lay_7_escaped_values_are_finite(worst):
    assert refusal(*stored([write([0], worst)], n=1)) == ("LAY-7", "layer w[0]")


@cache
def good(dtype):
    values = gaussian(dtype, 600)
    values[::50] = 1
    return encode(values, dtype, chunk_raw_nbytes=256)[0]


@TAKEN
@given(st.data())
def test_damaged_chunks_give_finite_values_or_a_refusal(dtype, data):
    encoded = good(dtype)
    chunks = [bytearray(chunk) for chunk in encoded.chunks]
    for _ in range(data.draw(st.integers(1, 3))):
        chunk = data.draw(st.sampled_from(chunks))
        chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    layer = layer_for(encoded, dtype, [600], finite=True)
    said = outcome(layer, chunks)
    assert said in RULES | {"values"}
    if said == "values":
        assert np.isfinite(to_float32(decode(layer, chunks), dtype)).all()


@given(st.data())
def test_any_params_and_bytes_give_values_or_a_refusal(data):
    edited = dict(PARAMS)
    for name in data.draw(st.lists(st.sampled_from(sorted(PARAMS)), max_size=3)):
        is_bytes = isinstance(PARAMS[name], bytes)
        edited[name] = data.draw(st.binary(max_size=12) if is_bytes else st.integers(0, 2**63 - 1))
    chunk = data.draw(st.one_of(st.just(GOOD), st.binary(min_size=1, max_size=60)))
    dtype = data.draw(st.sampled_from([BF16, F16, F32]))
    n = data.draw(st.integers(0, 9))
    assert outcome(*stored([chunk], n=n, dtype=dtype, **edited)) in RULES | {"values"}


# ---------------------------------------------------------------- the same bits everywhere


def test_params_are_read_as_they_were_packed():
    encoded, _ = encode(gaussian(F32, 5000), F32)
    layer = layer_for(encoded, F32, [5000], finite=True)
    assert read_coding(layer, "w").pack() == encoded.params


@pytest.mark.spec("COD-TCQ-7")
def test_processors_without_vector_units_give_the_same_bits():
    disabled = ("", "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX")
    assert len(digests_without_vector_units("tcq", *disabled)) == 1
