"""Codec q8: eight bits per value, the same bits everywhere (spec/codecs/q8.md)."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedpack.codecs import encode_tensor, get_codec
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import round_bfloat16, to_float32
from seedpack.container.planes import encode_plane
from seedpack.dtypes import DTYPES
from tests.codecs.laws import bits_of, decode, gaussian, layer_for, outcome, refusal

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
MIB = 1 << 20
PARAMS = {"chunk_values": 8, "group_values": 4}
RULES = (
    {f"COD-Q8-{n}" for n in range(1, 8)}
    | {"CHK-1", "CHK-3", "LAY-7"}
    | {f"ZST-{n}" for n in range(1, 7)}
)


def write(scales, codes):
    """Return a chunk with verbatim planes."""
    parts = struct.pack(f"<{len(scales)}H", *scales), struct.pack(f"<{len(codes)}b", *codes)
    return struct.pack("<2I", *map(len, parts)) + b"".join(parts)


def stored(chunks, *, n, dtype=F32, params=PARAMS, finite=True):
    """Return a layer and its chunks, written by hand."""
    return layer_for(Encoded("q8", params, chunks), dtype, [n], finite=finite), chunks


def encode(values, dtype, **options):
    """Return (encoded, decoded), both by q8 without its fall back on size."""
    encoded = encode_tensor("q8", values, dtype, **options)
    layer = layer_for(encoded, dtype, values.shape, finite=True)
    return encoded, decode(layer, encoded.chunks)


def scales_of(encoded, nvalues):
    """Return the scale of every value in a tensor of one chunk, as float32."""
    decoder = get_codec("q8").decoder(layer_for(encoded, F32, [nvalues], finite=True), F32)
    bits, _ = decoder._decode_planes(memoryview(encoded.chunks[0]), nvalues, "w")
    return np.repeat(to_float32(bits, BF16), 64)[:nvalues]


# ---------------------------------------------------------------- laws


finite_floats = arrays.arrays(
    np.float32,
    st.just(200),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    fill=st.just(0.0),
)


@pytest.mark.spec("COD-Q8-9")
@given(finite_floats, st.sampled_from([1.0, 1e-38, 1e-44]))
def test_every_value_is_within_half_a_scale(values, shrink):
    values = (values * np.float32(shrink)).astype(np.float32)
    encoded, decoded = encode(np.concatenate([values, gaussian(F32, 800)]), F32)
    if encoded.codec == "raw":  # a value so large that its decoded neighbour would overflow
        assert np.abs(values).max() > 3e38
        return
    scales = scales_of(encoded, 1000)
    for x, y, scale in zip(values, decoded, scales, strict=False):
        error = abs(Fraction(float(x)) - Fraction(float(y)))
        assert error <= Fraction(float(scale)) / 2 or (scale == 0 and error <= Fraction(2) ** -127)


@TAKEN
@pytest.mark.spec("COD-Q8-9")
def test_the_last_rounding_adds_at_most_half_a_unit(dtype):
    values = gaussian(dtype, 10_000)
    encoded, decoded = encode(values, dtype)
    assert encoded.codec == "q8"
    exact, x = to_float32(decoded, dtype).astype(float), to_float32(values, dtype).astype(float)
    largest = np.abs(np.pad(x, (0, -len(x) % 64)).reshape(-1, 64)).max(axis=1)
    scale = np.repeat(largest / 127 * (1 + 2**-7), 64)[: len(x)]
    unit = np.abs(exact) * 2.0**-dtype.mantissa_bits + 2.0**-24
    assert (np.abs(x - exact) <= scale / 2 + unit / 2).all()


@TAKEN
def test_q8_takes_about_a_byte_per_value(dtype):
    values = gaussian(dtype, 100_000)
    encoded, _ = encode(values, dtype)
    assert encoded.codec == "q8"
    assert encoded.stored_nbytes < 1.0 * 100_000


@TAKEN
def test_encoding_is_deterministic(dtype):
    values = gaussian(dtype, 3000)
    assert encode_tensor("q8", values, dtype) == encode_tensor("q8", values.copy(), dtype)


@pytest.mark.parametrize("n", [1, 63, 64, 65, 255, 256, 257, 1000])
def test_chunks_and_groups_may_end_early(n):
    values = gaussian(F32, n, seed=n)
    encoded, decoded = encode(values, F32, chunk_raw_nbytes=1024)
    assert encoded.codec == ("raw" if n == 1 else "q8")
    assert encoded.codec == "raw" or len(encoded.chunks) == -(-n // 256)
    assert np.abs(values - decoded).max() <= np.abs(values).max() / 127


def test_small_chunks_hold_one_group():
    encoded, _ = encode(gaussian(F32, 1000), F32, chunk_raw_nbytes=16)
    assert encoded.params == {"chunk_values": 64, "group_values": 64}


def test_zeros_of_both_signs_become_positive_zero():
    values = np.concatenate([np.array([0.0, -0.0] * 500, np.float32), gaussian(F32, 1000)])
    encoded, decoded = encode(values, F32)
    assert encoded.codec == "q8"
    assert decoded[:1000].tobytes() == bytes(4000)


def test_an_extreme_is_met_up_to_the_rounding_of_its_scale():
    values = np.linspace(-1, 1, 64, dtype=np.float32)
    _, decoded = encode(np.tile(values, 10), F32)
    scale = 130 / 2**14  # the least bfloat16 that is at least 1/127
    assert decoded[0] == -126 * scale
    assert decoded[63] == 126 * scale


@given(st.data())
def test_damaged_chunks_give_values_or_a_refusal(data):
    dtype = data.draw(st.sampled_from([BF16, F16, F32]))
    encoded, _ = encode(gaussian(dtype, 600), dtype, chunk_raw_nbytes=1024)
    chunks = [bytearray(chunk) for chunk in encoded.chunks]
    for _ in range(data.draw(st.integers(1, 3))):
        chunk = data.draw(st.sampled_from(chunks))
        chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    layer = layer_for(encoded, dtype, [600], finite=True)
    assert outcome(layer, chunks) in RULES | {"values"}


@given(st.data())
def test_any_bytes_give_finite_values_or_a_refusal(data):
    n = data.draw(st.integers(1, 8))
    scales = data.draw(st.lists(st.integers(0, 0x7F7F), min_size=-(-n // 4), max_size=-(-n // 4)))
    codes = data.draw(st.lists(st.integers(-128, 127), min_size=n, max_size=n))
    dtype = data.draw(st.sampled_from([BF16, F16, F32]))
    chunk = data.draw(st.one_of(st.just(write(scales, codes)), st.binary(min_size=1, max_size=40)))
    assert outcome(*stored([chunk], n=n, dtype=dtype)) in RULES | {"values"}


# ---------------------------------------------------------------- falling back to raw


@given(st.sampled_from([BF16, F16, F32]).flatmap(lambda d: st.tuples(st.just(d), bits_of(d))))
def test_any_values_are_stored_and_decode(drawn):
    dtype, values = drawn
    encoded = encode_tensor("q8", values, dtype)
    finite = encoded.codec == "q8"
    decoded = decode(layer_for(encoded, dtype, values.shape, finite=finite), encoded.chunks)
    assert finite or decoded.tobytes() == values.tobytes()


@pytest.mark.parametrize("name", ["bool", "int8", "int64", "float64", "float8_e5m2"])
def test_other_dtypes_fall_back_to_raw(name):
    dtype = DTYPES[name]
    values = np.zeros(1000, dtype.storage)
    assert encode_tensor("q8", values, dtype).codec == "raw"


@TAKEN
@pytest.mark.parametrize("worst", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_fall_back_to_raw(dtype, worst):
    values = np.random.default_rng(5).normal(0, 1, 1000).astype(np.float32)
    values[500] = worst
    bits = (values.view(np.uint32) >> 16).astype("<u2")
    stored_values = bits if dtype is BF16 else values.astype(dtype.storage)
    assert encode_tensor("q8", stored_values, dtype).codec == "raw"


@TAKEN
def test_values_whose_decoded_neighbour_overflows_fall_back_to_raw(dtype):
    limit = {F16: 65504.0, BF16: 255 * 2.0**120, F32: (2 - 2.0**-23) * 2.0**127}[dtype]
    taken = set()
    for share in np.linspace(0.97, 1, 60):
        values = np.full(1000, limit * share, np.float32)
        held = round_bfloat16(values) if dtype is BF16 else values.astype(dtype.storage)
        held[::2] = gaussian(dtype, 500)
        encoded = encode_tensor("q8", held, dtype)
        taken.add(encoded.codec)
        finite_layer = layer_for(encoded, dtype, [1000], finite=True)
        assert outcome(finite_layer, encoded.chunks) == "values"
    # No float32 is near enough: a scale that reaches 2^128 / 127 rounds the code down.
    assert taken == ({"q8"} if dtype is F32 else {"q8", "raw"})


@pytest.mark.parametrize("n", [1, 4, 16, 64, 256, 1000])
def test_where_raw_takes_no_more_of_a_file_raw_is_taken(n):
    values = gaussian(F32, n)
    encoded, raw = (encode_tensor(codec, values, F32) for codec in ("q8", "raw"))
    assert encoded == raw or encoded.record_nbytes < raw.record_nbytes
    assert n > 1 or encoded.codec == "raw"
    assert n < 1000 or encoded.codec == "q8"


# ---------------------------------------------------------------- refusals, one by one


GOOD = write([0x3F80, 0x4000], [1, -2, 127, 0, -127, 5, 0, 1])


@pytest.mark.spec("COD-Q8-8")
def test_the_hand_written_chunk_decodes():
    assert decode(*stored([GOOD], n=8)).tolist() == [1, -2, 127, 0, -254, 10, 0, 2]


@pytest.mark.spec("COD-Q8-1")
@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d not in {BF16, F16, F32}])
def test_cod_q8_1_other_dtypes_are_refused(dtype):
    assert refusal(*stored([GOOD], n=8, dtype=dtype)) == ("COD-Q8-1", "layer w")


@pytest.mark.spec("COD-Q8-1")
def test_cod_q8_1_the_layer_is_declared_finite():
    assert refusal(*stored([GOOD], n=8, finite=False)) == ("COD-Q8-1", "layer w")


@pytest.mark.spec("COD-Q8-2")
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"chunk_values": 8},
        {"chunk_values": 8, "group_values": 0},
        {"chunk_values": 0, "group_values": 4},
        {"chunk_values": 8, "group_values": 3},
        {"chunk_values": 8, "group_values": 16},
        {"chunk_values": 8, "group_values": "4"},
        {"chunk_values": 8, "group_values": 4, "more": 1},
        {"chunk_values": MIB + 4, "group_values": 4},
    ],
    ids=str,
)
def test_cod_q8_2_params(params):
    assert refusal(*stored([GOOD], n=8, params=params)) == ("COD-Q8-2", "layer w")


@pytest.mark.spec("COD-Q8-2")
@pytest.mark.parametrize("dtype", [F16, F32], ids=lambda d: d.name)
def test_cod_q8_2_chunks_of_2_20_values_are_accepted(dtype):
    scales, codes = bytes(2 * (MIB // 4)), bytes(MIB)
    parts = encode_plane(scales), encode_plane(codes)
    chunk = struct.pack("<2I", *map(len, parts)) + b"".join(parts)
    params = {"chunk_values": MIB, "group_values": 4}
    assert not decode(*stored([chunk], n=MIB, params=params, dtype=dtype)).any()


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize(("n", "nchunks"), [(8, 2), (9, 1), (16, 3), (0, 1), (1, 0)])
def test_chk_3_number_of_chunks(n, nchunks):
    assert refusal(*stored([GOOD] * nchunks, n=n)) == ("CHK-3", "layer w")


@pytest.mark.spec("COD-Q8-3")
@pytest.mark.parametrize(
    ("nbytes", "rule"), [(9, "COD-Q8-3"), (10, "COD-Q8-4"), (20, "COD-Q8-4"), (21, "COD-Q8-3")]
)
def test_cod_q8_3_size_of_a_chunk(nbytes, rule):
    layer, chunks = stored([bytes(nbytes)], n=8)
    assert refusal(layer, chunks)[0] == rule
    layer, _ = stored([GOOD], n=8)
    assert refusal(layer, chunks) == (rule, "layer w[0]")


@pytest.mark.spec("COD-Q8-4")
@pytest.mark.parametrize("lengths", [(4, 7), (4, 9), (3, 8), (5, 8), (2**32 - 1, 13)])
def test_cod_q8_4_lengths_add_up(lengths):
    chunk = struct.pack("<2I", *lengths) + GOOD[8:]
    assert refusal(*stored([chunk], n=8)) == ("COD-Q8-4", "layer w[0]")


@pytest.mark.spec("ZST-1")
@pytest.mark.parametrize(("lengths", "plane"), [((5, 7), "scales"), ((3, 9), "scales")])
def test_planes_of_the_right_sum_but_wrong_sizes_are_refused_by_zst(lengths, plane):
    chunk = struct.pack("<2I", *lengths) + GOOD[8:]
    assert refusal(*stored([chunk], n=8)) == ("ZST-1", f"layer w[0] {plane}")


@pytest.mark.spec("COD-Q8-5")
@pytest.mark.parametrize("bits", [0x0080, 0x0081, 0x7EFF])
def test_cod_q8_5_positive_normal_scales_are_accepted(bits):
    assert outcome(*stored([write([bits], [1])], n=1)) == "values"


@pytest.mark.spec("COD-Q8-5")
@pytest.mark.parametrize("bits", [0x0001, 0x007F, 0x7F80, 0x7F81, 0x8000, 0xBF80, 0xFF80, 0xFFFF])
def test_cod_q8_5_other_scales_are_refused(bits):
    chunk = write([0x3F80, bits], [1, 1, 1, 1, 1])
    assert refusal(*stored([chunk], n=5)) == ("COD-Q8-5", "layer w[0]")


@pytest.mark.spec("COD-Q8-6")
def test_cod_q8_6_minus_128_is_refused_and_minus_127_is_not():
    assert decode(*stored([write([0x3F80], [-127])], n=1)).tolist() == [-127]
    chunk = write([0x3F80], [1, -128])
    assert refusal(*stored([chunk], n=2)) == ("COD-Q8-6", "layer w[0]")


@pytest.mark.spec("COD-Q8-7")
@pytest.mark.parametrize(
    ("scales", "codes"),
    [
        ([0, 0x3F80], [0, 0, 0, 1, 1]),
        ([0x3F80, 0], [1, 0, 0, 0, 1]),
        ([0x3F80, 0x3F80], [0, 0, 0, 0, 1]),
        ([0x3F80, 0x3F80], [0, 1, 0, 0, 0]),
    ],
)
def test_cod_q8_7_a_scale_is_zero_exactly_when_its_codes_are(scales, codes):
    assert refusal(*stored([write(scales, codes)], n=5)) == ("COD-Q8-7", "layer w[0]")


@pytest.mark.spec("LAY-7")
@pytest.mark.parametrize(
    ("dtype", "bits", "code"),
    [
        (F32, 0x7F7F, 2),
        (F32, 0x7F00, -127),
        (BF16, 0x7F7F, 2),
        (F16, 0x4780, 1),
        (F16, 0x4401, 127),
    ],
)
def test_lay_7_products_that_overflow_are_refused(dtype, bits, code):
    chunk = write([bits], [code])
    assert refusal(*stored([chunk], n=1, dtype=dtype)) == ("LAY-7", "layer w[0]")


# ---------------------------------------------------------------- known answers


@pytest.mark.spec("COD-Q8-8")
@pytest.mark.parametrize(
    ("dtype", "decoded_hex"),
    [
        (F32, "00007c3f0008fac20058a7420000000000000040"),
        (BF16, "7c3ffac2a74200000040"),
        (F16, "e03bd0d73b5500000040"),
    ],
    ids=["float32", "bfloat16", "float16"],
)
def test_a_frozen_chunk_decodes_to_frozen_values(dtype, decoded_hex):
    # Scales 0.984375 and 2, codes 1, -127, 85, 0 and 1.
    chunk = bytes.fromhex("04000000050000007c3f00400181550001")
    assert decode(*stored([chunk], n=5, dtype=dtype)).tobytes().hex() == decoded_hex


def test_frozen_values_encode_to_a_frozen_chunk():
    values = np.array([1, -1, 0.5, 0.25, 0, 0, 0, 0, 0, 0.004], np.float32)
    # 1/127 lies between the bfloat16s 3C01 and 3C02: the scale is 130 / 2^14.
    behind = np.concatenate([gaussian(F32, 4096), values])
    encoded = encode_tensor("q8", behind, F32, chunk_raw_nbytes=4096)
    assert encoded.params == {"chunk_values": 1024, "group_values": 64}
    assert encoded.chunks[-1].hex() == "020000000a000000023c7e823f20000000000001"


@pytest.mark.spec("COD-Q8-8")
def test_bfloat16_is_rounded_to_nearest_ties_to_even():
    bits = [0x3F800000, 0x3F808000, 0x3F808001, 0x3F818000, 0x3F817FFF, 0xBF818000, 0x7F7F8000]
    values = np.array(bits, np.uint32).view(np.float32)
    rounded = [0x3F80, 0x3F80, 0x3F81, 0x3F82, 0x3F81, 0xBF82, 0x7F80]
    assert round_bfloat16(values).tolist() == rounded


@pytest.mark.spec("COD-Q8-8")
@given(
    st.integers(0x0080, 0x7F7F),
    st.integers(-127, 127).filter(bool),
    st.sampled_from([BF16, F16, F32]),
)
def test_decoding_is_the_exact_product_rounded_once(bits, code, dtype):
    product = code * Fraction(float(to_float32(np.array([bits], "<u2"), BF16)[0]))
    layer, chunks = stored([write([bits], [code])], n=1, dtype=dtype)
    largest = {
        F32: (2 - Fraction(2) ** -23) * 2**127,
        F16: Fraction(65504),
        BF16: 255 * Fraction(2) ** 120,
    }
    if abs(product) > largest[dtype]:
        return
    value = Fraction(float(to_float32(decode(layer, chunks), dtype)[0]))
    smallest_unit = {F32: 2.0**-149, F16: 2.0**-24, BF16: 2.0**-133}[dtype]
    unit = max(abs(product) / 2**dtype.mantissa_bits, Fraction(smallest_unit))
    assert abs(value - product) <= unit / 2
    assert dtype is not F32 or value == product
