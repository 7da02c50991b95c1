"""Codec ``delta``: the base's values plus a difference, bit for bit as the page says."""

from __future__ import annotations

import math
import struct

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from seedpack.codecs import encode_tensor, make_decoder
from seedpack.codecs.delta.signs import random_signs
from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.container.manifest import Chunk, Layer
from seedpack.dtypes import DTYPES
from seedpack.errors import AssemblyError, CodecError
from spec.reference.seed_delta import decode_delta, signs
from tests.codecs.laws import gaussian

F32 = DTYPES["float32"]
HALVES = ["bfloat16", "float16", "float32"]


class Tensors:
    """A base of one tensor, ``w``."""

    def __init__(self, dtype, values):
        self.dtype = dtype
        self.values = values

    def digest(self, algorithm):
        own = tensor_digest(algorithm, self.dtype, self.values.shape, self.values)
        return base_digest(algorithm, {"w": own})

    def describe(self, name):
        return (self.dtype, self.values.shape) if name == "w" else None

    def read(self, name):
        assert name == "w"
        return self.values.reshape(-1)


def layer_of(base, params, stored):
    return Layer(
        chunks=[Chunk(len(chunk), bytes(32)) for chunk in stored],
        codec="delta",
        digest=bytes(32),
        dtype=base.dtype.name,
        finite=True,
        name="w",
        params=params,
        shape=list(base.values.shape),
    )


def decode(base, params, stored, order=None):
    decoder = make_decoder(layer_of(base, params, stored), base.dtype, base)
    for index in order or range(len(stored)):
        decoder.decode_chunk(index, memoryview(stored[index]))
    return decoder.finish()


def by_reference(base, params, stored):
    layer = {
        "name": "w",
        "dtype": base.dtype.name,
        "shape": list(base.values.shape),
        "params": params,
        "finite": True,
    }
    tensors = {"w": (base.dtype.name, list(base.values.shape), base.values.tobytes())}
    return decode_delta(layer, stored, tensors)


def based(dtype, shape, seed=0):
    name = DTYPES[dtype]
    return Tensors(name, gaussian(name, math.prod(shape), seed=seed).reshape(shape))


def factors(rank, codes, *, bits=8, scale=2.0**-9, weights=None, seed=None):
    """Return params and the one chunk of a low-rank difference."""
    if bits == 4:
        flat = [c & 15 for c in codes] + [0] * (len(codes) % 2)
        stored = bytes(a | b << 4 for a, b in zip(flat[::2], flat[1::2], strict=True))
    else:
        stored = np.array(codes, np.int8).tobytes()
    params = {
        "method": "lowrank",
        "bits": bits,
        "rank": rank,
        "scale": struct.pack("<f", scale),
        "weights": struct.pack(f"<{rank}H", *(weights or [1] * rank)),
    }
    return params | ({} if seed is None else {"seed": struct.pack("<Q", seed)}), [stored]


@pytest.mark.spec("COD-DLT-7", "COD-DLT-3")
@given(st.data())
def test_low_rank_sums_are_those_of_the_independent_reader(data):
    o, i = data.draw(st.integers(2, 9)), data.draw(st.integers(2, 9))
    rank = data.draw(st.integers(1, o * i // (o + i)))
    bits = data.draw(st.sampled_from([4, 8]))
    seed = data.draw(st.none() | st.integers(0, 2**64 - 1))
    half = 1 << bits - 1
    n = rank * (o + (i if seed is None else 0))
    codes = data.draw(st.lists(st.integers(-half, half - 1), min_size=n, max_size=n))
    weights = data.draw(st.lists(st.integers(1, 65535), min_size=rank, max_size=rank))
    scale = float(np.float32(data.draw(st.floats(1e-9, 1e-5))))
    base = based(data.draw(st.sampled_from(HALVES)), (o, i))
    params, stored = factors(rank, codes, bits=bits, scale=scale, weights=weights, seed=seed)
    assert decode(base, params, stored).tobytes() == by_reference(base, params, stored)


@pytest.mark.spec("COD-DLT-7", "COD-DLT-5")
@given(st.data())
def test_signed_sums_are_those_of_the_independent_reader(data):
    o, i = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 20))
    step = data.draw(st.integers(1, 6))
    base = based(data.draw(st.sampled_from(HALVES)), (o, i))
    random = np.random.default_rng(data.draw(st.integers(0, 99)))
    stored = []
    for at in range(0, o, step):
        rows = min(step, o - at)
        scales = (random.integers(0x3A00, 0x3E00, rows)).astype("<u2").tobytes()
        bits = np.packbits(random.integers(0, 2, (rows, i)), axis=1, bitorder="little")
        stored.append(scales + bits.tobytes())
    params = {"method": "sign", "chunk_rows": step}
    backwards = range(len(stored))[::-1]
    assert decode(base, params, stored, backwards).tobytes() == by_reference(base, params, stored)


@pytest.mark.spec("COD-DLT-7")
@pytest.mark.parametrize("dtype", HALVES)
def test_gridded_sums_are_those_of_the_independent_reader(dtype):
    base = based(dtype, (30, 40))
    difference = np.random.default_rng(1).normal(0, 0.01, 1200).astype(np.float32)
    difference[7] = 3.5
    encoded = encode_tensor("ecq", difference, F32, settings={"step": 2.0**-7})
    params = {"method": "ecq", **encoded.params}
    decoded = decode(base, params, encoded.chunks)
    assert decoded.tobytes() == by_reference(base, params, encoded.chunks)


@pytest.mark.spec("COD-DLT-7")
@pytest.mark.parametrize("dtype", sorted(DTYPES))
def test_same_is_the_base_bit_for_bit(dtype):
    kind = DTYPES[dtype]
    base = Tensors(kind, np.arange(12).astype(kind.storage).reshape(3, 4))
    assert decode(base, {"method": "same"}, []).tobytes() == base.values.tobytes()


@pytest.mark.spec("COD-DLT-3")
@pytest.mark.parametrize("weights", [(1, 1), (1, 65535)], ids=["in float32", "in float64"])
def test_products_are_exact_where_float_sums_would_round(weights):
    # 127 * 127 * 65535 needs 31 bits: float32 would lose the other rank's ones.
    base = Tensors(F32, np.zeros((300, 500), np.float32))
    random = np.random.default_rng(5)
    left, right = random.integers(-128, 128, (300, 2)), random.integers(-128, 128, (2, 500))
    codes = [*left.ravel().tolist(), *right.ravel().tolist()]
    params, stored = factors(2, codes, scale=2.0**-20, weights=list(weights))
    exact = (left * np.array(weights)) @ right
    expected = exact.astype(np.float32) * np.float32(2.0**-20)
    assert decode(base, params, stored).tobytes() == expected.tobytes()


@pytest.mark.spec("COD-DLT-4")
def test_codes_beyond_one_chunk_are_decoded_in_any_order():
    base = Tensors(F32, np.zeros((4100, 4200), np.float32))
    codes = np.random.default_rng(2).integers(-128, 128, 1024 * 8300).astype(np.int8)
    params, (whole,) = factors(1024, codes)
    stored = [whole[at : at + (4 << 20)] for at in range(0, len(whole), 4 << 20)]
    assert len(stored) == 3
    layer = layer_of(base, params, stored)
    decoder = make_decoder(layer, F32, base)
    for index in (2, 0, 1):
        decoder.decode_chunk(index, memoryview(stored[index]))
    assert (decoder._difference._codes == codes).all()


@pytest.mark.spec("COD-DLT-6")
@given(st.integers(0, 2**64 - 1), st.integers(0, 300))
def test_signs_are_those_of_the_independent_reader(seed, count):
    assert random_signs(seed, count).tolist() == signs(seed, count)


@pytest.mark.spec("COD-DLT-6")
def test_signs_are_as_often_plus_as_minus():
    assert abs(int(random_signs(7, 1 << 20).sum())) < 5 * 1024  # five standard deviations


@pytest.mark.spec("BAS-1")
def test_without_a_base_no_delta_is_decoded():
    base = based("float32", (2, 2))
    with pytest.raises(AssemblyError) as caught:
        make_decoder(layer_of(base, {"method": "same"}, []), F32)
    assert caught.value.rule == "BAS-1"


@pytest.mark.spec("BAS-3", "COD-DLT-3")
@pytest.mark.parametrize("shape", [(1 << 19, 1 << 19), (1 << 38, 1)])
def test_a_huge_layer_over_a_small_base_is_refused_before_memory_is_taken(shape):
    base = based("float32", (2, 2))
    layer = layer_of(base, factors(1, [1] * 4)[0], [b"\1"] * 1)
    layer = Layer(**{f: getattr(layer, f) for f in layer.__struct_fields__} | {"shape": [*shape]})
    with pytest.raises(CodecError) as caught:
        make_decoder(layer, F32, base)
    assert caught.value.rule == "BAS-3"


def test_a_tensor_alone_is_declined():
    encoded = encode_tensor("delta", gaussian(F32, 100), F32)
    assert encoded.codec == "raw"
