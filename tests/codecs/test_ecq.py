"""Codec ecq: few bits per value, the same bits everywhere (spec/codecs/ecq.md)."""

from __future__ import annotations

import math
import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor
from seedpack.codecs.base import Encoded
from seedpack.codecs.ecq import EcqCodec
from seedpack.codecs.ecq.grid import read_coding
from seedpack.codecs.ecq.levels import (
    choose_levels,
    find_thresholds,
    round_to_levels,
    scale_counts,
)
from seedpack.codecs.floats import to_float32
from seedpack.codecs.rans import CodeTable, Layout, encode_streams
from seedpack.codecs.streams import choose_cut
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
    {f"COD-ECQ-{n}" for n in range(1, 7)}
    | {f"COD-RANS-{n}" for n in range(1, 6)}
    | {"CHK-1", "CHK-3", "LAY-7"}
)


def encode(values, dtype, **options):
    """Return (encoded, decoded)."""
    encoded = encode_tensor("ecq", values, dtype, **options)
    layer = layer_for(encoded, dtype, values.shape, finite=encoded.codec == "ecq")
    return encoded, decode(layer, encoded.chunks)


def step_of(encoded):
    return struct.unpack("<f", encoded.params["step"])[0]


# ---------------------------------------------------------------- laws


@pytest.mark.spec("COD-ECQ-8")
@given(
    finite_floats,
    st.sampled_from([1.0, 1e-4, 1e-30, 1e-38, 1e-44]),
    st.floats(2**-10, 2**10, width=32),
    st.sampled_from([BF16, F16, F32]),
)
def test_every_value_is_within_one_and_a_half_steps(values, shrink, step, dtype):
    step = float(np.float32(max(step * shrink, 2.0**-126)))
    with np.errstate(over="ignore", under="ignore"):
        values = np.concatenate([values * np.float32(shrink), np.zeros(4000, np.float32)])
    held = hold(values, dtype)
    encoded, decoded = encode(held, dtype, settings={"step": step})
    if encoded.codec == "raw":
        assert decoded.tobytes() == held.tobytes()
        return
    assert step_of(encoded) == step
    assert not decoded[150:].any()
    x, y = to_float32(held[:150], dtype), to_float32(decoded[:150], dtype)
    assert is_within(x, y, 1.5 * step, dtype)


@TAKEN
@given(st.data())
def test_any_values_are_stored_and_decode(dtype, data):
    values = data.draw(bits_of(dtype))
    encoded, decoded = encode(values, dtype)
    assert encoded.codec == "ecq" or decoded.tobytes() == values.tobytes()


@TAKEN
def test_encoding_is_deterministic_and_order_of_memory_does_not_matter(dtype):
    values = gaussian(dtype, 6000).reshape(60, 100)
    encoded = encode_tensor("ecq", values, dtype)
    assert encoded.codec == "ecq"
    assert encode_tensor("ecq", np.asfortranarray(values), dtype) == encoded
    assert encode_tensor("ecq", np.repeat(values, 2, axis=1)[:, ::2], dtype) == encoded


@TAKEN
def test_the_default_takes_about_four_bits(dtype):
    encoded, decoded = encode(gaussian(dtype, 200_000), dtype)
    assert 8 * encoded.stored_nbytes / 200_000 == pytest.approx(4.06, abs=0.06)
    assert decoded.dtype.str == dtype.storage


@pytest.mark.parametrize(
    ("share", "least", "most"), [(0.25, 0.25, 0.28), (0.5, 0.25, 0.28), (1.8, 0.24, 0.27)]
)
def test_gaussian_values_cost_little_above_their_rate_distortion_bound(share, least, most):
    values = gaussian(F32, 1 << 18).astype(np.float64)
    deviation = values.std()
    step = float(np.float32(share * deviation))
    encoded, decoded = encode(values.astype(np.float32), F32, settings={"step": step})
    stored = encoded.stored_nbytes + len(encoded.params["table"])
    bound = 0.5 * math.log2(deviation**2 / np.square(decoded - values).mean())
    assert least <= 8 * stored / values.size - bound <= most


@TAKEN
@pytest.mark.parametrize("outlier", [1e30, -6e4, 3.0])
def test_an_outlier_is_kept_exactly_and_changes_nothing_else(dtype, outlier):
    values = gaussian(dtype, 20_000)
    step = {"step": 0.03125}
    _, without = encode(values, dtype, settings=step)
    odd = hold(np.array([outlier], np.float32), dtype)[0]
    if dtype is F16 and not np.isfinite(odd):
        return
    values[777] = odd
    encoded, decoded = encode(values, dtype, settings=step)
    assert encoded.codec == "ecq"
    assert decoded[777] == odd
    same = decoded == without
    same[777] = True
    assert same.mean() > 0.999  # thresholds may move by a hair with the histogram
    error = to_float32(decoded, dtype) - to_float32(values, dtype)
    assert np.abs(error).max() <= 1.5 * 0.03125


@pytest.mark.parametrize("value", [1.0, -5.5, 3e38, 2.0**-120, 65504.0])
def test_constant_tensors_come_back_to_a_bit_or_so(value):
    values = np.full(5000, value, np.float32)
    _, decoded = encode(values, F32)
    assert np.abs(decoded / values - 1).max() < 2**-7


@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000, 1024, 1025, 4097])
@pytest.mark.parametrize("nbytes", [16, 1024, MIB])
def test_chunks_of_equal_size_and_any_number(n, nbytes):
    values = gaussian(F32, n, seed=n)
    encoded, decoded = encode(values, F32, chunk_raw_nbytes=nbytes)
    assert np.abs(values - decoded).max() <= 1.5 * 0.26 * 0.06
    if encoded.codec == "ecq":
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


def test_large_tensors_have_long_lanes_and_small_ones_many():
    small, large = (encode_tensor("ecq", gaussian(F32, n), F32) for n in (100_000, 1 << 20))
    assert small.params["lane_values"] == 1024
    assert large.params["lane_values"] == 2048
    assert large.params["chunk_values"] == 1 << 20


# ---------------------------------------------------------------- levels


@given(st.integers(0, 2**32), st.floats(2**-6, 8, width=32))
def test_levels_are_nearest_or_one_nearer_to_zero(seed, step):
    values = np.random.default_rng(seed).normal(0, 1, 500).astype(np.float32)
    levels = round_to_levels(values, step, find_thresholds(values, step))
    nearest = np.rint(values.astype(np.float64) / step)
    lowered = np.abs(nearest) - np.abs(levels)
    assert set(lowered.tolist()) <= {0, 1}
    assert (levels * nearest >= 0).all()


def test_rounding_lowers_error_plus_weighted_bits():
    values = gaussian(F32, 50_000)
    step = 0.06
    levels = round_to_levels(values, step, find_thresholds(values, step))
    nearest = np.rint(values / step).astype(np.int64)

    def cost(levels):
        counts = np.bincount(levels - levels.min())
        shares = counts[counts > 0] / levels.size
        bits = -(shares * np.log2(shares)).sum()
        return np.square(values / step - levels).mean() + 0.13 * bits

    assert cost(levels) < cost(nearest)


@given(
    finite_floats,
    st.sampled_from([0.125, 0.3, 1.0, 2.0**-100, 2.0**100]),
    st.sampled_from([0.0, 0.13, 1.0]),
)
def test_levels_are_those_of_the_exact_quotients(values, step, mu):
    step = float(np.float32(step))
    thresholds = find_thresholds(gaussian(F32, 2000) * np.float32(80 * step), step, mu)
    edges = np.concatenate([thresholds, np.arange(40) - 0.5]) * step  # and ties, to even
    near = np.concatenate([np.nextafter(edges.astype(np.float32), np.float32(d)) for d in (-1, 9)])
    small = values[np.abs(values) < 100 * np.float32(step)]
    values = np.concatenate([small, edges.astype(np.float32), near, -near])
    steps = np.abs(values.astype(np.float64)) / step
    nearest = np.rint(steps)
    lowered = nearest - (steps < thresholds.take(nearest.astype(int), mode="clip"))
    assert np.array_equal(
        round_to_levels(values, step, thresholds), np.where(values < 0, -lowered, lowered)
    )


def test_levels_beyond_the_thresholds_are_nearest():
    values = np.array([1e3, -2e3, 2.0**24, -(2.0**30), 3e38, 0.0], np.float32)
    levels = round_to_levels(values, 1.0, find_thresholds(values, 1.0))
    assert levels.tolist() == [1000, -2000, 2**24, -(2**24), 2**24, 0]


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=2001).filter(any))
def test_scaled_counts_sum_to_4096_and_lose_no_symbol(counts):
    frequencies = scale_counts(np.array(counts))
    assert frequencies.sum() == 4096
    assert ((frequencies > 0) == (np.array(counts) > 0)).all()


def test_rare_and_far_levels_are_escaped():
    levels = np.zeros(100_000, np.int32)
    levels[:50_000] = 1
    levels[0] = 900  # once in 100,000: not worth a slot
    assert choose_levels(levels)[0] == 0
    assert choose_levels(levels)[1].tolist() == [50_000, 49_999]
    few = np.array([-30, 0, 0, 1, 1, 1, 7], np.int32)  # 29 zeros cost more than an escape
    lowest, counts = choose_levels(few)
    assert (lowest, counts.tolist()) == (0, [2, 3])
    lowest, counts = choose_levels(np.array([-5, 0, 5], np.int32))
    assert (lowest, counts.tolist()) == (-5, [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1])


def test_tables_stay_within_a_param_of_4096_bytes():
    values = np.random.default_rng(3).uniform(-1, 1, 1 << 18).astype(np.float32)
    encoded, decoded = encode(values, F32, settings={"step": 2.0**-11})
    assert encoded.codec == "ecq"
    assert len(encoded.params["table"]) <= 4096
    assert np.abs(decoded - values).max() <= 1.5 * 2**-11


# ---------------------------------------------------------------- falling back to raw


@pytest.mark.parametrize("name", ["bool", "int8", "int64", "float64", "float8_e5m2"])
def test_other_dtypes_fall_back_to_raw(name):
    dtype = DTYPES[name]
    assert encode_tensor("ecq", np.zeros(1000, dtype.storage), dtype).codec == "raw"


@TAKEN
@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_fall_back_to_raw(dtype, worst):
    values = np.random.default_rng(5).normal(0, 1, 1000).astype(np.float32)
    values[500] = worst
    assert encode_tensor("ecq", hold(values, dtype), dtype).codec == "raw"


def test_levels_that_would_overflow_fall_back_to_raw():
    values = np.full(1000, 65504, "<f2")
    values[::2] = gaussian(F16, 500)
    settings = {"step": 2.0**12 + 2.0**4}  # 16 of them are beyond 65,520
    assert encode_tensor("ecq", values, F16, settings=settings).codec == "raw"
    assert encode_tensor("ecq", values, F16, settings={"step": 2.0**12}).codec == "raw"
    assert encode_tensor("ecq", values, F16, settings={"step": 2.0**11 - 8}).codec == "ecq"


def test_what_is_too_small_for_a_step_falls_back_to_raw():
    for values in (np.zeros(1000, "<f4"), np.full(1000, 2.0**-140, "<f4"), np.zeros(0, "<f4")):
        assert encode_tensor("ecq", values, F32).codec == "raw"


def test_levels_beyond_2_23_fall_back_to_raw():
    assert encode_tensor("ecq", gaussian(F32, 99), F32, settings={"step": 2.0**-100}).codec == "raw"


@pytest.mark.parametrize("n", [1, 4, 16, 64, 256, 1000])
def test_where_raw_takes_no_more_of_a_file_raw_is_taken(n):
    values = gaussian(F32, n)
    encoded, raw = (encode_tensor(codec, values, F32) for codec in ("ecq", "raw"))
    assert encoded == raw or encoded.record_nbytes < raw.record_nbytes
    assert n > 1 or encoded.codec == "raw"
    assert n < 1000 or encoded.codec == "ecq"


@pytest.mark.parametrize("step", [0.0, -1.0, 2.0**-127, math.inf, math.nan, 0.1, 1e300])
def test_steps_that_are_no_positive_normal_float32_are_a_wrong_call(step):
    with pytest.raises(ValueError, match="step"):
        encode_tensor("ecq", gaussian(F32, 10), F32, settings={"step": step})


def test_other_settings_are_a_wrong_call():
    with pytest.raises(ValueError, match="settings step and mu, not"):
        encode_tensor("ecq", gaussian(F32, 10), F32, settings={"stepp": 1.0})
    with pytest.raises(ValueError, match="raw has no settings"):
        encode_tensor("raw", gaussian(F32, 10), F32, settings={"step": 1.0})


# ---------------------------------------------------------------- refusals, one by one

PARAMS = {
    "chunk_values": 8,
    "lane_values": 64,
    "lowest": struct.pack("<i", -1),
    "table": bytes([16, 0x80, 8, 0x80, 8, 0x80, 8, 0xF0, 7]),  # 16, 3 * 1024, 1008
    "step": struct.pack("<f", 0.5),
    "tail_rows": 2,
}
TABLE = CodeTable(np.array([16, 1024, 1024, 1024, 1008]))  # escape, levels -1, 0, 1, 2


def write(symbols, *escaped, lane_values=64, tail_rows=2):
    """Return a chunk."""
    (stream,) = encode_streams([np.array(symbols)], TABLE, Layout(lane_values, tail_rows))
    return stream + struct.pack(f"<{len(escaped)}f", *escaped)


GOOD = write([1, 2, 3, 4, 0, 2, 3, 0], 77.5, -0.0)


def stored(chunks, *, n=8, dtype=F32, finite=True, **params):
    """Return a layer and its chunks, written by hand."""
    changed = {k: v for k, v in (PARAMS | params).items() if v is not None}
    return layer_for(Encoded("ecq", changed, chunks), dtype, [n], finite=finite), chunks


@pytest.mark.spec("COD-ECQ-7")
def test_the_hand_written_chunk_decodes():
    decoded = decode(*stored([GOOD]))
    assert decoded.tolist() == [-0.5, 0, 0.5, 1, 77.5, 0, 0.5, -0.0]
    assert np.signbit(decoded).tolist() == [True, False, False, False, False, False, False, True]


@pytest.mark.spec("COD-ECQ-1")
@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d not in {BF16, F16, F32}])
def test_cod_ecq_1_other_dtypes_are_refused(dtype):
    assert refusal(*stored([GOOD], dtype=dtype)) == ("COD-ECQ-1", "layer w")


@pytest.mark.spec("COD-ECQ-1")
def test_cod_ecq_1_the_layer_is_declared_finite():
    assert refusal(*stored([GOOD], finite=False)) == ("COD-ECQ-1", "layer w")


@pytest.mark.spec("COD-ECQ-2")
@pytest.mark.parametrize(
    "params",
    [
        *({name: None} for name in PARAMS),
        {"more": 1},
        {"chunk_values": 0},
        {"chunk_values": "8"},
        {"lane_values": b"64"},
        {"tail_rows": "2"},
        {"lowest": -1},
        {"lowest": bytes(3)},
        {"lowest": bytes(5)},
        {"table": "x"},
        {"step": 1},
    ],
    ids=str,
)
def test_cod_ecq_2_params(params):
    assert refusal(*stored([GOOD], **params)) == ("COD-ECQ-2", "layer w")


@pytest.mark.spec("COD-ECQ-3")
@pytest.mark.parametrize("bits", [0, 0x007FFFFF, 0x7F800000, 0x7FC00000, 0x80000000, 0xBF000000])
def test_cod_ecq_3_steps_that_are_not_positive_and_normal_are_refused(bits):
    step = struct.pack("<I", bits)
    assert refusal(*stored([GOOD], step=step)) == ("COD-ECQ-3", "layer w")


@pytest.mark.spec("COD-ECQ-3")
@pytest.mark.parametrize("size", [0, 3, 5, 8])
def test_cod_ecq_3_steps_have_four_bytes(size):
    assert refusal(*stored([GOOD], step=bytes(size))) == ("COD-ECQ-3", "layer w")


@pytest.mark.spec("COD-ECQ-3")
@pytest.mark.parametrize("bits", [0x00800000, 0x7E7FFFFF])
def test_cod_ecq_3_steps_at_the_limits_are_taken(bits):
    layer, chunks = stored([GOOD], step=struct.pack("<I", bits))
    step = np.array([bits], np.uint32).view(np.float32)[0]
    assert decode(layer, chunks)[[0, 3]].tolist() == [-step, 2 * step]


@pytest.mark.spec("COD-RANS-1", "COD-RANS-2")
def test_tables_and_layouts_are_checked():
    assert refusal(*stored([GOOD], table=b"\xff\x1f")) == ("COD-RANS-1", "layer w")
    assert refusal(*stored([GOOD], lane_values=63)) == ("COD-RANS-2", "layer w")


@pytest.mark.spec("COD-ECQ-4")
@pytest.mark.parametrize(
    "table", [b"\x80\x20", b"\x00\x00\x80\x20", b"\x00\x80\x20\x00", b"\x80\x20\x00"], ids=bytes.hex
)
def test_cod_ecq_4_tables_whose_first_or_last_level_does_not_occur(table):
    assert refusal(*stored([GOOD], table=table)) == ("COD-ECQ-4", "layer w")


@pytest.mark.spec("COD-ECQ-4")
@pytest.mark.parametrize(
    ("lowest", "rule"),
    [
        (-(2**23) - 1, "COD-ECQ-4"),
        (-(2**23), "values"),
        (2**23 - 3, "values"),
        (2**23 - 2, "COD-ECQ-4"),
        (2**31 - 1, "COD-ECQ-4"),
        (-(2**31), "COD-ECQ-4"),
    ],
)
def test_cod_ecq_4_levels_are_within_2_23(lowest, rule):
    assert outcome(*stored([GOOD], lowest=struct.pack("<i", lowest))) == rule


@pytest.mark.spec("COD-ECQ-4")
@pytest.mark.parametrize(
    ("dtype", "step", "rule"),
    [
        (F32, 2.0**126, "values"),
        (F32, 2.0**127, "COD-ECQ-4"),  # level 2 is 2^128
        (F16, 2.0**14, "values"),
        (F16, 32752.0, "values"),  # level 2 is 65,504
        (F16, 32760.0, "COD-ECQ-4"),  # 65,520 rounds to infinity
        (BF16, 255 * 2.0**119, "values"),
        (BF16, 255.5 * 2.0**119, "COD-ECQ-4"),
    ],
)
def test_cod_ecq_4_levels_that_occur_are_finite(dtype, step, rule):
    chunk = write([1, 2, 3, 4])
    params = {"step": struct.pack("<f", step)}
    assert outcome(*stored([chunk], n=4, dtype=dtype, **params)) == rule


def test_levels_that_do_not_occur_need_not_be_finite():
    table = CodeTable(np.array([0, 2048, 0, 2048]))
    (chunk,) = encode_streams([np.array([1, 3])], table, Layout(64, 0))
    params = {"table": table.pack(), "step": struct.pack("<f", 2.0**127), "tail_rows": 0}
    assert decode(*stored([chunk], n=2, **params)).tolist() == [-(2.0**127), 2.0**127]


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize(("n", "nchunks"), [(8, 2), (9, 1), (16, 3), (0, 1), (1, 0)])
def test_chk_3_number_of_chunks(n, nchunks):
    assert refusal(*stored([GOOD] * nchunks, n=n)) == ("CHK-3", "layer w")


@pytest.mark.spec("CHK-1")
@TAKEN
def test_chk_1_chunks_decode_to_at_most_4_mib(dtype):
    params = {"table": CodeTable(np.array([0, 4096])).pack(), "tail_rows": 0, "lane_values": 2048}
    most = 4 * MIB // dtype.itemsize
    chunk = struct.pack("<I", 2**16) * -(-most // 2048)
    taken = stored([chunk], n=most, dtype=dtype, chunk_values=most, **params)
    assert set(to_float32(decode(*taken), dtype)) == {-0.5}
    refused = stored([chunk], n=most, dtype=dtype, chunk_values=most + 1, **params)
    assert refusal(*refused) == ("CHK-1", "layer w")


@pytest.mark.spec("COD-ECQ-5")
@pytest.mark.parametrize("dtype", [F16, F32], ids=lambda d: d.name)
def test_cod_ecq_5_size_of_a_chunk(dtype):
    longest = 8 + 65 * (2 + dtype.itemsize)
    for nbytes, rule in [(7, 5), (longest + 1, 5), (longest, 0), (8, 0)]:
        chunk = struct.pack("<2I", 2**16, 2**16).ljust(nbytes, b"\0")[:nbytes]
        layer, chunks = stored([chunk], n=65, dtype=dtype, chunk_values=100)
        said = outcome(layer, chunks)
        assert (said == "COD-ECQ-5") == (rule == 5)
        assert said in RULES
    layer, _ = stored([GOOD])
    assert refusal(layer, [GOOD + bytes(99)]) == ("COD-ECQ-5", "layer w[0]")


@pytest.mark.spec("COD-ECQ-6")
@pytest.mark.parametrize(
    "chunk", [GOOD[:-1], GOOD[:-4], GOOD + b"\0", GOOD + bytes(4), write([1, 2, 3, 4] * 2) + b"\0"]
)
def test_cod_ecq_6_nothing_but_the_escaped_values_follows_the_stream(chunk):
    assert refusal(*stored([chunk])) == ("COD-ECQ-6", "layer w[0]")


@pytest.mark.spec("COD-RANS-3", "COD-RANS-4", "COD-RANS-5")
def test_refusals_of_the_stream_name_the_chunk():
    good = write([1, 2, 3, 4] * 30, lane_values=64)
    options = {"n": 120, "chunk_values": 120}
    assert outcome(*stored([good], **options)) == "values"
    low = bytes(4) + good[4:]
    assert refusal(*stored([low], **options)) == ("COD-RANS-3", "layer w[0]")
    assert refusal(*stored([good[:10]], **options)) == ("COD-RANS-4", "layer w[0]")
    odd = good[:3] + bytes([good[3] ^ 1]) + good[4:] + bytes(30)
    assert refusal(*stored([odd], **options)) == ("COD-RANS-5", "layer w[0]")


@pytest.mark.spec("LAY-7")
@pytest.mark.parametrize("worst", [math.nan, math.inf, -math.inf])
def test_lay_7_escaped_values_are_finite(worst):
    assert refusal(*stored([write([0], worst)], n=1)) == ("LAY-7", "layer w[0]")


@TAKEN
@given(st.data())
def test_damaged_chunks_give_finite_values_or_a_refusal(dtype, data):
    values = gaussian(dtype, 600)
    values[::50] = 1
    encoded, _ = encode(values, dtype, chunk_raw_nbytes=256)
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


# ---------------------------------------------------------------- known answers


@pytest.mark.spec("COD-ECQ-7")
@TAKEN
@given(st.integers(-300, 300).filter(bool), st.integers(0x30000000, 0x4B000000))
def test_decoding_is_the_exact_product_rounded_twice(dtype, level, bits):
    step = struct.pack("<I", bits)
    params = {"table": b"\x00\x80\x20", "lowest": struct.pack("<i", level), "step": step}
    chunk = struct.pack("<I", 2**16)
    layer, chunks = stored([chunk], n=1, dtype=dtype, **params)
    product = level * Fraction(struct.unpack("<f", step)[0])
    single = np.float32(float(product))  # 33 bits fit a double: rounded once
    assert Fraction(float(single)) == product or abs(level) > 1
    with np.errstate(over="ignore"):
        half = np.float16(single)
    if dtype is F16 and not np.isfinite(half):
        assert refusal(layer, chunks) == ("COD-ECQ-4", "layer w")
        return
    decoded = to_float32(decode(layer, chunks), dtype)[0]
    if dtype is BF16:
        assert abs(Fraction(float(decoded)) - Fraction(float(single))) <= abs(product) / 2**8
    else:
        assert decoded == (half if dtype is F16 else single)


FROZEN = "cfcbf2650ab04a4b7511552ee22e62a408a5bda95f2db4ca75c0c32ee0a4286b6e4e"


@pytest.mark.spec("COD-ECQ-7")
def test_frozen_values_encode_to_a_frozen_chunk():
    values = np.array([0.1, -0.1, 0.3, 0, 0, 0, 0.06, 0.1] * 16, np.float32)
    values[9] = 1e9
    encoded = EcqCodec(0.125).encode_cut(values, F32, choose_cut(values, MIB))
    decoded = decode(layer_for(encoded, F32, values.shape, finite=True), encoded.chunks)
    assert encoded.params == {
        "chunk_values": 128,
        "lane_values": 1024,
        "lowest": struct.pack("<i", -1),
        "table": CodeTable(np.array([32, 480, 2048, 1024, 512])).pack(),
        "step": struct.pack("<f", 0.125),
        "tail_rows": 13,
    }
    assert [chunk.hex() for chunk in encoded.chunks] == [FROZEN]
    assert decoded[:10].tolist() == [0.125, -0.125, 0.25, 0, 0, 0, 0, 0.125, 0.125, 1e9]


def test_params_are_read_as_they_were_packed():
    encoded, _ = encode(gaussian(F32, 5000), F32)
    layer = layer_for(encoded, F32, [5000], finite=True)
    assert read_coding(layer, "w").pack() == encoded.params


# ---------------------------------------------------------------- the same bits everywhere


@pytest.mark.spec("COD-ECQ-7", "COD-RANS-6")
def test_processors_without_vector_units_give_the_same_bits():
    disabled = ("", "AVX512F AVX512CD AVX512_SKX", "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX")
    assert len(digests_without_vector_units("ecq", *disabled)) == 1


@TAKEN
def test_a_tensor_of_many_chunks_is_encoded_by_many_threads_and_always_alike(dtype):
    values = gaussian(dtype, 16 * 4096)
    many, decoded = encode(values, dtype, chunk_raw_nbytes=1024 * dtype.itemsize)
    assert len(many.chunks) == 16
    exact, kept = to_float32(values, dtype), to_float32(decoded, dtype)
    assert np.abs(exact - kept).max() <= 1.5 * step_of(many) + np.abs(exact).max() / 2**8
    assert many == encode(values, dtype, chunk_raw_nbytes=1024 * dtype.itemsize)[0]
