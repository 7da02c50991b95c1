"""Codec hash: few numbers spread over many weights, the same bits everywhere."""

from __future__ import annotations

import struct
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor, prng
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.numbers.form import (
    CHUNK_VALUES,
    Form,
    count_numbers,
    expand,
    join_chunk,
    random_units,
    split_chunk,
    to_levels,
)
from seedpack.codecs.numbers.hashed import CODEC, find_places
from seedpack.dtypes import DTYPES
from tests.codecs.laws import any_bits, decode, gaussian, layer_for, outcome, refusal, round_trip

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
RULES = {f"COD-HASH-{n}" for n in range(1, 7)} | {"CHK-3", "LAY-7"}

bfloats = st.integers(0x1F80, 0x5F80).map(
    lambda bits: float(np.array([bits << 16], np.uint32).view(np.float32)[0])
)


@st.composite
def chunks(draw):
    """Draw (form, codes, number of values), all that a chunk can hold."""
    nvalues, bits = draw(st.integers(1, 60)), draw(st.integers(0, 8))
    nbytes = draw(st.integers(1, -(-bits * nvalues // 8))) if bits else 0
    count = count_numbers(nbytes, bits, nvalues)
    codes = draw(st.lists(st.integers(0, max((1 << bits) - 1, 0)), min_size=count, max_size=count))
    spread = draw(st.just(0.0) | bfloats)
    mean = draw(st.just(0.0) | bfloats | bfloats.map(lambda x: -x))
    needs_key = spread != 0 or 0 < count < nvalues
    key = draw(st.integers(0, 65535)) if needs_key else None
    form = Form(bits, draw(bfloats) if bits else 0.0, mean, spread, key)
    return form, np.array(codes, np.int32), nvalues


def stored(chunk, *, n, dtype=F32, finite=True, params=None):
    """Return a layer of one chunk, written by hand, and its chunks."""
    encoded = Encoded("hash", {} if params is None else params, [chunk])
    return layer_for(encoded, dtype, [n], finite=finite), [chunk]


# ---------------------------------------------------------------- laws


@given(chunks())
def test_splitting_a_chunk_inverts_joining_it(chunk):
    form, codes, nvalues = chunk
    again, read = split_chunk(memoryview(join_chunk(form, codes)), nvalues, "w")
    assert again == form
    assert read.tolist() == codes.tolist()


@given(chunks(), st.data())
def test_what_is_accepted_is_the_only_encoding(chunk, data):
    form, codes, nvalues = chunk
    bad = bytearray(join_chunk(form, codes))
    bad[data.draw(st.integers(0, len(bad) - 1))] ^= data.draw(st.integers(1, 255))
    layer, damaged = stored(bytes(bad), n=nvalues)
    if outcome(layer, damaged) == "values":
        form, codes = split_chunk(memoryview(bad), nvalues, "w")
        assert join_chunk(form, codes) == bytes(bad)


@given(st.binary(max_size=40), st.integers(0, 100), st.sampled_from([BF16, F16, F32]))
def test_any_bytes_give_values_or_a_refusal(data, n, dtype):
    assert outcome(*stored(data, n=n, dtype=dtype)) in RULES | {"values"}


def _nearest_float32(exact):
    """Round a fraction to float32: through float64 only where that is exact."""
    value = float(exact)
    assert Fraction(value) == exact
    return Fraction(struct.unpack("<f", struct.pack("<f", value))[0])


@pytest.mark.spec("COD-HASH-7")
@given(st.integers(0, 65535), st.integers(1, 8), st.integers(1, 12), st.integers(1, 40))
def test_values_are_those_of_the_formula(key, bits, nbytes, nvalues):
    nbytes = min(nbytes, -(-bits * nvalues // 8))
    d = count_numbers(nbytes, bits, nvalues)
    codes = np.random.default_rng(key).integers(0, 1 << bits, d).astype(np.int32)
    form = Form(bits, 0.8125, -0.40625, 1.2578125, key)
    values = expand(form, codes, nvalues, CODEC.make_mixing)
    first, second = prng.derive_seed(key, 0), prng.derive_seed(key, 1)
    for i in range(nvalues):
        unit = (int(prng.words(first, i, 1)[0]) // 2**40 - 2**23) / Fraction(2**23)
        word = int(prng.words(second, i, 1)[0])
        place, sign = (i, 1) if d == nvalues else ((word >> 32) * d >> 32, 1 - 2 * (word & 1))
        level = sign * (2 * int(codes[place]) + 1 - 2**bits)
        base = _nearest_float32(
            Fraction(form.mean) + _nearest_float32(Fraction(form.spread) * unit)
        )
        assert Fraction(float(values[i])) == _nearest_float32(base + Fraction(form.step) * level)


@TAKEN
@pytest.mark.spec("COD-HASH-8")
@pytest.mark.parametrize("settings", [{}, {"bits": 1}, {"bits": 8, "shared_by": 1.0}])
@pytest.mark.parametrize("scale", [1.0, 1e-4, 1e4])
def test_without_training_values_are_within_twice_the_largest(dtype, settings, scale):
    x = gaussian(F32, 3000) * np.float32(scale)
    values = x.astype("<f2") if dtype is F16 else x
    values = (values.view(np.uint32) >> 16).astype("<u2") if dtype is BF16 else values
    encoded = encode_tensor("hash", values, dtype, settings=settings)
    assert encoded.codec == "hash"
    decoded = to_float32(
        decode(layer_for(encoded, dtype, [3000], finite=True), encoded.chunks), dtype
    )
    exact = to_float32(values, dtype).astype(float)
    assert np.abs(exact - decoded).max() <= 2.02 * np.abs(exact).max() * (1 + 2.0**-7)


def test_a_number_is_the_mean_of_the_values_that_share_it():
    values = gaussian(F32, 4000)
    encoded = encode_tensor("hash", values, F32, settings={"bits": 8, "shared_by": 10})
    form, codes = split_chunk(memoryview(encoded.chunks[0]), 4000, "w")
    places, signs = find_places(0, codes.size, 4000)
    means = [np.mean((signs * values)[places == j]) for j in range(codes.size)]
    numbers = to_levels(codes, 8) * form.step
    assert np.abs(numbers - means).max() <= form.step * 1.001


@given(any_bits())
def test_hostile_tensors_keep_the_bound_or_are_stored_raw(drawn):
    dtype, values = drawn
    encoded = encode_tensor("hash", values, dtype)
    if encoded.codec == "raw":
        return
    assert dtype.name in {"bfloat16", "float16", "float32"}
    layer = layer_for(encoded, dtype, values.shape, finite=True)
    exact = to_float32(values.ravel(), dtype).astype(float)
    error = np.abs(exact - to_float32(decode(layer, encoded.chunks), dtype))
    assert error.max() <= 2.04 * np.abs(exact).max()


@TAKEN
def test_what_it_cannot_hold_is_stored_raw(dtype):
    for values in (np.zeros(500, dtype.storage), gaussian(dtype, 0), gaussian(dtype, 1)[:0]):
        assert encode_tensor("hash", values, dtype).codec == "raw"
    bad = gaussian(dtype, 500)
    bad.view("<u2")[-1] = 0xFFFF  # a NaN in each of them
    assert encode_tensor("hash", bad, dtype).codec == "raw"


# ---------------------------------------------------------------- chunks


def test_layers_of_many_chunks_decode_in_any_order():
    values = gaussian(F32, 2 * CHUNK_VALUES + 5)
    encoded = encode_tensor("hash", values, F32, settings={"shared_by": 1000.0})
    layer = layer_for(encoded, F32, values.shape, finite=True)
    assert len(encoded.chunks) == 3
    backwards = decode(layer, encoded.chunks, order=[2, 1, 0])
    assert backwards.tobytes() == decode(layer, encoded.chunks).tobytes()
    # Chunks have keys of their own, so that their patterns differ.
    assert backwards[:99].tobytes() != backwards[CHUNK_VALUES : CHUNK_VALUES + 99].tobytes()


def test_encoding_is_deterministic():
    values = gaussian(F32, 3000)
    assert encode_tensor("hash", values, F32) == encode_tensor("hash", values.copy(), F32)


def test_a_hundred_bytes_make_a_large_layer():
    form = Form(1, 0.5, 0.0, 0.25, 7)
    chunk = join_chunk(form, np.arange(800, dtype=np.int32) % 2)
    layer, chunks_ = stored(chunk, n=CHUNK_VALUES)
    assert len(chunk) < 110
    values = decode(layer, chunks_)
    assert values.std() == pytest.approx(np.hypot(0.5, 0.25 / 3**0.5), rel=0.01)
    assert np.abs(values).max() < 0.75


def test_the_random_part_is_uniform_and_differs_by_key():
    units = random_units(5, 100_000)
    assert units.mean() == pytest.approx(0, abs=0.01)
    assert units.var() == pytest.approx(1 / 3, rel=0.02)
    assert abs(np.corrcoef(units, random_units(6, 100_000))[0, 1]) < 0.02


def test_numbers_are_shared_about_equally_and_half_the_signs_are_negative():
    places, signs = find_places(1, 100, 100_000)
    counts = np.bincount(places, minlength=100)
    assert counts.min() > 850
    assert counts.max() < 1150
    assert abs(signs.mean()) < 0.02


# ---------------------------------------------------------------- attacks


@pytest.mark.spec("COD-HASH-2")
def test_params_are_refused():
    assert refusal(*stored(b"\0", n=9, params={"bits": 1})) == ("COD-HASH-2", "layer w")


@pytest.mark.spec("COD-HASH-3")
@pytest.mark.parametrize("chunk", [b"", b"\x80", b"\x49" + bytes(20), b"\x10\x80"])
def test_heads_that_are_none_are_refused(chunk):
    assert refusal(*stored(chunk, n=9)) == ("COD-HASH-3", "layer w[0]")


@pytest.mark.spec("COD-HASH-4")
def test_the_number_of_codes_is_bounded_by_that_of_the_values():
    long = Form(8, 1.0, key=1).head() + bytes(10)
    assert refusal(*stored(long, n=9)) == ("COD-HASH-4", "layer w[0]")


@pytest.mark.spec("COD-HASH-5")
@pytest.mark.parametrize("bits", [0, 0x8000, 0x1F7F, 0x5F81, 0x7F80, 0x7FC0])
def test_fields_out_of_range_are_refused(bits):
    chunk = b"\x10" + struct.pack("<H", bits)
    assert refusal(*stored(chunk, n=9)) == ("COD-HASH-5", "layer w[0]")


@pytest.mark.parametrize("name", ["float64", "int8", "bool"])
@pytest.mark.spec("COD-HASH-1")
def test_other_dtypes_are_refused(name):
    dtype = DTYPES[name]
    assert refusal(*stored(b"\0", n=9, dtype=dtype))[0] == "COD-HASH-1"


@pytest.mark.parametrize("settings", [{"bits": 9}, {"bits": 0}, {"shared_by": 0.5}, {"x": 1}])
def test_wrong_settings_are_a_wrong_call(settings):
    with pytest.raises(ValueError, match=r"bits|hash"):
        encode_tensor("hash", gaussian(F32, 100), F32, settings=settings)


def test_the_round_trip_of_every_shape_keeps_its_size():
    for shape in [(), (1,), (3, 5, 7), (1,) * 8]:
        values = np.full(shape, 0.5, np.float32)
        assert round_trip("raw", values, F32).size == values.size
        assert encode_tensor("hash", values, F32).codec in {"hash", "raw"}
