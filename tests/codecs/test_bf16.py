"""Codec bf16: rounded to bfloat16, stored as raw stores that (spec/codecs/bf16.md)."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from seedpack.codecs import encode_tensor
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import round_bfloat16
from seedpack.dtypes import DTYPES
from tests.codecs.laws import decode, gaussian, layer_for, outcome, refusal

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [F16, F32], ids=lambda d: d.name)
ONES = struct.pack("<4H", 0x3F80, 0xBF80, 0x4000, 0)

finite_floats = arrays.arrays(
    np.float32,
    st.just(64),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False, max_value=2.0**127),
)


def stored(chunks, *, n=4, dtype=F32, params=None, finite=True):
    """Return a layer and its chunks, written by hand."""
    encoded = Encoded("bf16", {"chunk_values": n} if params is None else params, chunks)
    return layer_for(encoded, dtype, [n], finite=finite), chunks


def encode(values, dtype, **options):
    """Return (encoded, decoded)."""
    encoded = encode_tensor("bf16", values, dtype, **options)
    return encoded, decode(layer_for(encoded, dtype, values.shape, finite=True), encoded.chunks)


@pytest.mark.spec("COD-BF16-4")
@given(finite_floats)
def test_every_value_is_within_its_relative_bound(values):
    encoded, decoded = encode(values, F32)
    if encoded.codec == "raw":
        return
    for x, y in zip(values.tolist(), decoded.tolist(), strict=True):
        bound = abs(Fraction(x)) / 256 if abs(x) >= 2.0**-126 else Fraction(2) ** -134
        assert abs(Fraction(x) - Fraction(y)) <= bound


@TAKEN
@pytest.mark.spec("COD-BF16-4")
def test_weights_are_within_their_relative_bound(dtype):
    values = gaussian(dtype, 10_000)
    encoded, decoded = encode(values, dtype)
    assert encoded.codec == "bf16"
    x, y = values.astype(float), decoded.astype(float)
    assert (np.abs(x - y) <= np.abs(x) / 256).all()


def test_what_is_a_bfloat16_comes_back_exactly_and_costs_what_raw_takes_for_it():
    bits = gaussian(BF16, 100_000)
    values = (bits.astype(np.uint32) << np.uint32(16)).view("<f4")
    encoded, decoded = encode(values, F32, chunk_raw_nbytes=1 << 20)
    assert decoded.tobytes() == values.tobytes()
    lossless = encode_tensor("raw", bits, BF16, chunk_raw_nbytes=1 << 19)
    assert encoded.chunks == lossless.chunks
    assert encoded.stored_nbytes * 8 < 10.8 * values.size


@pytest.mark.spec("COD-BF16-3")
@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=50), st.sampled_from([F16, F32]))
def test_any_bfloat16_becomes_the_nearest_value_or_is_refused(words, dtype):
    layer, chunks = stored([struct.pack(f"<{len(words)}H", *words)], n=len(words), dtype=dtype)
    exact = (np.array(words, np.uint32) << np.uint32(16)).view(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        expected = exact.astype(dtype.storage)
    if np.isfinite(expected).all():
        assert decode(layer, chunks).tobytes() == expected.tobytes()
    else:
        assert refusal(layer, chunks) == ("LAY-7", "layer w[0]")


def test_ties_go_to_even():
    values = np.repeat(np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8], "<f4"), 30)
    _, decoded = encode(values, F32)
    assert decoded[::30].tolist() == [1.0, 1 + 2**-6, -1.0]
    assert np.array_equal(round_bfloat16(decoded), round_bfloat16(values))


@pytest.mark.parametrize("name", ["bool", "int8", "bfloat16", "float64", "float8_e5m2"])
def test_other_dtypes_fall_back_to_raw(name):
    assert encode_tensor("bf16", gaussian(DTYPES[name], 1000), DTYPES[name]).codec == "raw"


@TAKEN
@pytest.mark.parametrize("share", [1.0, np.nan, np.inf])
def test_what_is_or_would_become_infinite_falls_back_to_raw(dtype, share):
    values = gaussian(dtype, 1000)
    values[3] = np.finfo(dtype.storage).max * np.float32(share)
    assert encode_tensor("bf16", values, dtype).codec == "raw"


@given(st.data())
def test_damaged_chunks_give_values_or_a_refusal(data):
    encoded, _ = encode(gaussian(F32, 600), F32, chunk_raw_nbytes=1024)
    chunks = [bytearray(chunk) for chunk in encoded.chunks]
    chunk = data.draw(st.sampled_from(chunks))
    chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    rules = {"values", "LAY-7", "COD-RAW-3", *(f"ZST-{n}" for n in range(1, 7))}
    assert outcome(layer_for(encoded, F32, [600], finite=True), chunks) in rules


@pytest.mark.spec("COD-BF16-1")
@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d not in {F16, F32}])
def test_cod_bf16_1_other_dtypes_are_refused(dtype):
    assert refusal(*stored([ONES], dtype=dtype)) == ("COD-BF16-1", "layer w")


@pytest.mark.spec("COD-BF16-1")
def test_cod_bf16_1_the_layer_is_declared_finite():
    assert refusal(*stored([ONES], finite=False)) == ("COD-BF16-1", "layer w")


@pytest.mark.spec("COD-BF16-2")
@pytest.mark.parametrize("params", [{}, {"chunk_values": 0}, {"chunk_values": 4, "x": 1}], ids=str)
def test_cod_bf16_2_params(params):
    assert refusal(*stored([ONES], params=params)) == ("COD-BF16-2", "layer w")


@pytest.mark.spec("COD-RAW-2")
@pytest.mark.parametrize("chunk", [ONES + b"0", ONES[:-1], ONES * 2])
def test_a_chunk_is_as_raw_has_it(chunk):
    assert refusal(*stored([chunk]))[0] == "COD-RAW-2"
    layer, _ = stored([ONES])
    assert refusal(layer, [chunk]) == ("COD-RAW-2", "layer w[0]")


@pytest.mark.spec("CHK-3")
def test_chk_3_number_of_chunks():
    assert refusal(*stored([ONES] * 2)) == ("CHK-3", "layer w")
