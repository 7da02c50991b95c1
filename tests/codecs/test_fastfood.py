"""Codec fastfood: every weight a signed sum of all numbers, the same bits everywhere."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor, prng
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.numbers.fastfood import CODEC, Fastfood, transform
from seedpack.codecs.numbers.form import CHUNK_VALUES, Form, expand, join_chunk
from seedpack.codecs.numbers.hashed import Hashing
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError
from tests.codecs.laws import any_bits, decode, gaussian, layer_for, outcome, refusal

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
RULES = {f"COD-HASH-{n}" for n in range(1, 7)} | {"CHK-3", "LAY-7"}
SCRATCH_NBYTES = 60  # per value of a chunk, with its values: spec/codecs/fastfood.md

sizes = st.integers(2, 70).flatmap(lambda v: st.tuples(st.integers(1, v - 1), st.just(v)))


def stored(chunk, *, n, dtype=F32, params=None):
    """Return a layer of one chunk, written by hand, and its chunks."""
    encoded = Encoded("fastfood", {} if params is None else params, [chunk])
    return layer_for(encoded, dtype, [n], finite=True), [chunk]


def matrix(key, d, v):
    """Return the (v, d) signs by which numbers make values, one by one, as the page says."""
    order = next(2**e for e in range(20) if 2**e >= d)
    seed = prng.derive_seed(key, 1)
    signs = np.empty((v, d), np.int64)
    for i in range(v):
        for j in range(d):
            word = int(prng.words(seed, i // order * d + j, 1)[0])
            signs[i, j] = (-1) ** ((i % order & j).bit_count() + word % 2)
    return signs


# ---------------------------------------------------------------- laws


@pytest.mark.spec("COD-FF-1")
@given(st.integers(0, 65535), sizes, st.integers(1, 8))
def test_values_are_the_sums_of_the_formula(key, size, bits):
    d, v = size
    levels = np.random.default_rng(key).integers(0, 1 << bits, d) * 2 + 1 - (1 << bits)
    mixed = Fastfood(key, d, v).mix(levels.astype(np.int32))
    assert mixed.tolist() == (matrix(key, d, v) @ levels).tolist()


@pytest.mark.spec("COD-FF-1")
def test_a_chunk_is_mean_random_part_and_step_times_sums():
    form = Form(3, 0.8125, -0.40625, 1.2578125, 77)
    codes = np.array([7, 0, 5, 1, 6], np.int32)
    values = expand(form, codes, 30, CODEC.make_mixing)
    sums = (matrix(77, 5, 30) @ (2 * codes - 7)).astype("f4")
    units = prng.units(prng.words(prng.derive_seed(77, 0), 0, 30))
    base = np.float32(form.mean) + np.float32(form.spread) * units
    assert values.tobytes() == (base + np.float32(form.step) * sums).tobytes()


@given(st.integers(0, 65535), sizes)
@pytest.mark.parametrize("mixing", [Fastfood, Hashing])
def test_gathering_is_the_adjoint_of_mixing(mixing, key, size):
    d, v = size
    one = mixing(key, d, v)
    basis = np.eye(d, dtype=np.int64)
    signs = np.stack([one.mix(column) for column in basis], axis=1)  # (v, d)
    values = np.arange(v) ** 2 - 100
    assert one.gather(values).tolist() == (signs.T @ values).tolist()
    assert one.uses.tolist() == np.abs(signs).sum(axis=0).tolist()
    assert (np.abs(signs).sum(axis=1) == one.terms).all()


@given(st.integers(0, 7), st.integers(1, 3))
def test_transforming_twice_multiplies_by_the_order(log2, width):
    rows = np.random.default_rng(log2).integers(-255, 256, (1 << log2, width)).astype(np.int32)
    twice = rows.copy()
    transform(twice)
    transform(twice)
    assert (twice == rows << log2).all()


def test_the_largest_sums_are_exact():
    count = CHUNK_VALUES - 1
    levels = np.full(count, 255, np.int32)
    mixing = Fastfood(3, count, CHUNK_VALUES)
    wide = mixing.mix(levels.astype(np.int64))
    assert (mixing.mix(levels) == wide).all()
    signs = mixing.mix(np.eye(1, count, 5, dtype=np.int64)[0])  # of number 5
    assert (np.abs(signs) == 1).all()
    aligned = np.array([mixing._signs[j, 0] for j in range(count)], np.int32) * levels
    assert mixing.mix(aligned)[0] == 255 * count < 1 << 26


@given(st.binary(max_size=40), st.integers(0, 100), st.sampled_from([BF16, F16, F32]))
def test_any_bytes_give_values_or_a_refusal(data, n, dtype):
    assert outcome(*stored(data, n=n, dtype=dtype)) in RULES | {"values"}


@pytest.mark.spec("COD-FF-2")
@given(any_bits())
def test_hostile_tensors_keep_the_bound_or_are_stored_raw(drawn):
    dtype, values = drawn
    encoded = encode_tensor("fastfood", values, dtype)
    if encoded.codec == "raw":
        return
    layer = layer_for(encoded, dtype, values.shape, finite=True)
    exact = to_float32(values.ravel(), dtype).astype(float)
    error = np.abs(exact - to_float32(decode(layer, encoded.chunks), dtype))
    assert error.max() <= 2.04 * np.abs(exact).max()


@pytest.mark.spec("COD-FF-2")
def test_what_would_break_the_bound_is_stored_raw():
    constant = np.full(1 << 16, 0.25, np.float32)  # one number says all, all others are noise
    assert encode_tensor("fastfood", constant, F32, settings={"bits": 1}).codec == "raw"


def test_without_training_numbers_are_least_squares():
    values = gaussian(F32, 4096)
    encoded = encode_tensor("fastfood", values, F32, settings={"bits": 8, "shared_by": 16})
    decoded = decode(layer_for(encoded, F32, values.shape, finite=True), encoded.chunks)
    mixing = Fastfood(0, 256, 4096)
    residual = mixing.gather((values - decoded).astype(float)) / 4096
    assert np.abs(residual).max() < 0.02 * np.abs(mixing.gather(values.astype(float)) / 4096).max()


# ---------------------------------------------------------------- chunks, attacks


def test_layers_of_many_chunks_decode_in_any_order():
    values = gaussian(F32, CHUNK_VALUES + 5)
    encoded = encode_tensor("fastfood", values, F32, settings={"shared_by": 1000.0})
    layer = layer_for(encoded, F32, values.shape, finite=True)
    backwards = decode(layer, encoded.chunks, order=[1, 0])
    assert backwards.tobytes() == decode(layer, encoded.chunks).tobytes()


@pytest.mark.parametrize("count", [1, 800, (1 << 17) + 8, CHUNK_VALUES - 8])
def test_memory_is_bounded_whatever_the_order(count):
    chunk = join_chunk(Form(1, 0.5, key=7), np.arange(-(-count // 8) * 8, dtype=np.int32) % 2)
    layer, chunks = stored(chunk, n=CHUNK_VALUES)
    tracemalloc.start()
    decode(layer, chunks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak <= SCRATCH_NBYTES * CHUNK_VALUES


def test_numbers_are_mixed_as_gaussian_as_many():
    mixing = Fastfood(5, 1000, 100_000)
    mixed = mixing.mix(np.where(np.arange(1000) % 3, 1, -1).astype(np.int32)) / 1000**0.5
    assert mixed.std() == pytest.approx(1, rel=0.02)
    assert (mixed**4).mean() == pytest.approx(3, rel=0.06)


@pytest.mark.parametrize(
    ("chunk", "rule"),
    [
        (b"", "COD-HASH-3"),
        (Form(8, 1.0, key=1).head() + bytes(10), "COD-HASH-4"),
        (b"\x10" + struct.pack("<H", 0x7F80), "COD-HASH-5"),
        (Form(1, 1.0).head() + b"\1", "COD-HASH-6"),
    ],
)
def test_chunks_are_refused_as_those_of_hash(chunk, rule):
    assert refusal(*stored(chunk, n=9)) == (rule, "layer w[0]")


def test_a_layer_is_refused_by_its_codec_s_name():
    encoded = Encoded("fastfood", {}, [b"\0"])
    layer = layer_for(encoded, DTYPES["float64"], [9], finite=True)
    with pytest.raises(CodecError, match="fastfood stores") as caught:
        decode(layer, [b"\0"])
    assert caught.value.rule == "COD-HASH-1"


@pytest.mark.parametrize("settings", [{"bits": 9}, {"shared_by": 0.5}, {"x": 1}])
def test_wrong_settings_are_a_wrong_call(settings):
    with pytest.raises(ValueError, match=r"bits|fastfood"):
        encode_tensor("fastfood", gaussian(F32, 100), F32, settings=settings)
