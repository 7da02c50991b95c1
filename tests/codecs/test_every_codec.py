"""What every codec keeps, whatever the tensor: found by the registry, so that none is left out."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedpack.codecs import CODEC_IDS, encode_tensor, get_codec
from seedpack.codecs.floats import to_float32
from seedpack.codecs.registry import BASED_IDS, LOSSLESS_IDS
from seedpack.codecs.values import all_finite
from seedpack.dtypes import DTYPES
from tests.codecs.laws import any_bits, decode, gaussian, layer_for, liked_by

EACH_CODEC = pytest.mark.parametrize("codec_id", sorted(CODEC_IDS))
CHUNK_RECORD_NBYTES = 40  # a size and a digest
# Params may hold a code table of 4 KiB (LAY-6); from this size on it pays for itself.
AMORTISED_VALUES = 4096


def hostile_tensors():
    """Yield (name, dtype, values) that a codec may stumble on."""
    names = ("bfloat16", "float16", "float32", "float64", "float8_e4m3fn", "int8", "int64", "bool")
    for dtype in (DTYPES[name] for name in names):
        weights = np.abs(gaussian(dtype, 240)) if dtype.kind == "bool" else gaussian(dtype, 240)
        weights = (weights & 1) if dtype.kind == "bool" else weights
        yield f"{dtype.name}-weights", dtype, weights.reshape(12, 20)
        yield f"{dtype.name}-empty", dtype, weights[:0]
        yield f"{dtype.name}-empty-matrix", dtype, weights[:0].reshape(0, 7)
        yield f"{dtype.name}-scalar", dtype, weights[1].reshape(())
        yield f"{dtype.name}-constant", dtype, np.repeat(weights[:1], 240).reshape(12, 20)
        yield f"{dtype.name}-zeros", dtype, np.zeros((12, 20), dtype.storage)
        yield f"{dtype.name}-8-d", dtype, weights[:192].reshape(2, 1, 3, 2, 2, 2, 2, 2)
        yield f"{dtype.name}-strided", dtype, weights.reshape(12, 20).T[::2, ::-3]
    yield from _hostile_floats()


def _hostile_floats():
    for dtype in (DTYPES[name] for name in ("bfloat16", "float16", "float32")):
        words = f"<u{dtype.itemsize}"
        infinity = ((1 << dtype.exponent_bits) - 1) << dtype.mantissa_bits
        for name, word in {
            "nan": infinity + 1,
            "infinity": infinity,
            "outlier": infinity - 1,
            "subnormal": 1,
        }.items():
            values = gaussian(dtype, 240).reshape(12, 20)
            values.view(words)[5, 7] = word
            yield f"{dtype.name}-{name}", dtype, values
        subnormal = np.arange(240, dtype=words).reshape(12, 20) % (1 << dtype.mantissa_bits)
        yield f"{dtype.name}-all-subnormal", dtype, subnormal.astype(words).view(dtype.storage)
        largest = np.full(240, infinity - 1, words)
        largest[::2] |= np.array(1 << (8 * dtype.itemsize - 1), words)
        yield f"{dtype.name}-all-largest", dtype, largest.view(dtype.storage).reshape(12, 20)


HOSTILE = {name: (dtype, values) for name, dtype, values in hostile_tensors()}


def check(codec_id, dtype, values, **options):
    """Hold one tensor against every law; return what it decodes to."""
    encoded = encode_tensor(codec_id, values, dtype, **options)
    assert encoded.codec in {codec_id, "raw"}
    flat = np.ascontiguousarray(values).reshape(-1)
    layer = layer_for(encoded, dtype, values.shape, finite=all_finite(flat, dtype))
    decoded = decode(layer, encoded.chunks)
    assert (decoded.dtype.str, decoded.shape) == (dtype.storage, (values.size,))
    backwards = decode(layer, encoded.chunks, order=range(len(encoded.chunks))[::-1])
    assert backwards.tobytes() == decoded.tobytes()
    assert encoded == encode_tensor(codec_id, values.copy(), dtype, **options)
    if encoded.codec in LOSSLESS_IDS:
        assert decoded.tobytes() == values.tobytes()
    _check_size(encoded, encode_tensor("raw", values, dtype, **options), values.size)
    if encoded.codec in BOUNDS and dtype.name in {"bfloat16", "float16", "float32"}:
        exact, x = (to_float32(v, dtype).astype(float) for v in (decoded, flat))
        BOUNDS[encoded.codec](x, exact, dtype, encoded)
    return decoded


def _check_size(encoded, lossless, nvalues):
    """Refuse a seed larger than its model: no codec may store more than raw does."""
    assert encoded.stored_nbytes <= lossless.stored_nbytes
    if nvalues >= AMORTISED_VALUES:
        sizes = [
            e.stored_nbytes + len(msgpack.packb(e.params)) + CHUNK_RECORD_NBYTES * len(e.chunks)
            for e in (encoded, lossless)
        ]
        assert sizes[0] <= sizes[1] + CHUNK_RECORD_NBYTES


def _within(x, y, error, dtype):
    """Demand |x - y| <= error, before the roundings to float32 and to the dtype."""
    rounding = np.abs(y) * (2.0**-24 + 2.0 ** -(dtype.mantissa_bits + 1)) + 2.0**-25
    rounding = np.where(np.abs(y) > 2.0**-10, rounding, np.maximum(np.abs(y), 2.0**-24))
    assert (np.abs(x - y) <= error + rounding).all()


def _within_ecq(x, y, dtype, encoded):
    (step,) = np.frombuffer(encoded.params["step"], "<f4").astype(float)
    _within(x, y, 1.5 * step, dtype)


def _within_q8(x, y, dtype, _):
    groups = np.pad(np.abs(x), (0, -x.size % 64)).reshape(-1, 64)
    scale = np.repeat(groups.max(axis=1) / 127 * (1 + 2.0**-7) + 2.0**-126, 64)[: x.size]
    _within(x, y, scale / 2, dtype)


def _within_bf16(x, y, dtype, _):
    assert (np.abs(x - y) <= np.maximum(np.abs(x) * 2.0**-8, 2.0**-134)).all()
    assert dtype.name != "bfloat16"


def _within_lowrank(x, y, dtype, encoded):
    (step,) = np.frombuffer(encoded.params["step"], "<f4").astype(float)
    rounding = np.abs(x).max() * 2.0**-20  # of product and residual, which may be larger than x
    _within(x, y, 1.5 * step + rounding, dtype)


def _within_tcq(x, y, dtype, encoded):
    (half_step,) = np.frombuffer(encoded.params["half_step"], "<f4").astype(float)
    _within(x, y, 3 * 2 * half_step, dtype)


def _within_hash(x, y, dtype, _):
    _within(x, y, 2.02 * np.abs(x).max(), dtype)


def _exactly(x, y, *_):
    assert np.array_equal(x, y, equal_nan=True)


# By codec. A new codec has to stand here, or to say that it has none; the other laws hold at once.
UNBOUNDED = {"moments", "pca"}
BOUNDS = {
    "bf16": _within_bf16,
    "ecq": _within_ecq,
    "fastfood": _within_hash,
    "hash": _within_hash,
    "lowrank": _within_lowrank,
    "q8": _within_q8,
    "scatter": _within_ecq,
    "sparse": _exactly,
    "tcq": _within_tcq,
}


def test_every_codec_has_a_bound_or_says_that_it_has_none():
    assert BOUNDS.keys() | UNBOUNDED | LOSSLESS_IDS | BASED_IDS == CODEC_IDS


@EACH_CODEC
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tensors_come_back_within_the_bound_or_are_stored_raw(codec_id, name):
    check(codec_id, *HOSTILE[name])


@EACH_CODEC
@settings(max_examples=settings.default.max_examples // 2)
@given(any_bits())
def test_any_tensor_comes_back_within_the_bound_or_is_stored_raw(codec_id, drawn):
    check(codec_id, *drawn)


@EACH_CODEC
@settings(max_examples=settings.default.max_examples // 6)  # each is many chunks already
@given(st.sampled_from([16, 64, 1024]), st.integers(1, 700))
def test_a_tensor_in_many_chunks_comes_back(codec_id, nbytes, count):
    dtype = DTYPES["float32"]
    check(codec_id, dtype, liked_by(codec_id, count), chunk_raw_nbytes=nbytes)


@EACH_CODEC
@pytest.mark.parametrize("shape", [(4096,), (64, 64), (16, 16, 4, 5)])
@pytest.mark.parametrize("name", ["bfloat16", "float16", "float32"])
def test_no_seed_is_larger_than_its_model_stored_raw(codec_id, name, shape):
    dtype, count = DTYPES[name], int(np.prod(shape))
    noise = np.random.default_rng(1).integers(0, 1 << 14, count).astype("<u2")
    if dtype.itemsize == 4:
        noise = noise.astype("<u4") << np.uint32(16)
    for values in (gaussian(dtype, count), noise.view(dtype.storage)):
        check(codec_id, dtype, values.reshape(shape))


@pytest.mark.parametrize("codec_id", sorted(CODEC_IDS - BASED_IDS))
def test_what_a_codec_likes_it_takes(codec_id):
    dtype = DTYPES["float32"]
    values = liked_by(codec_id, 1000)
    assert encode_tensor(codec_id, values, dtype).codec == codec_id
    assert get_codec(codec_id).id == codec_id
