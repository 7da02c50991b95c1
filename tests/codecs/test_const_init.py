"""Codecs without chunks: one value, and a generator's values (spec/codecs/const.md, init.md)."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor, get_codec
from seedpack.codecs.base import Encoded
from seedpack.codecs.floats import to_float32
from seedpack.codecs.init import make_values
from seedpack.codecs.prng import units, words
from seedpack.codecs.registry import configure_codec
from seedpack.dtypes import DTYPES
from tests.codecs.laws import FLOATS, any_bits, decode, layer_for, refusal

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
ONE = struct.pack("<f", 1)
SCALE = struct.pack("<f", 0.5)


def written(codec, params, *, n=4, dtype=F32, finite=True, chunks=()):
    """Return a layer and its chunks, written by hand."""
    return layer_for(Encoded(codec, params, [*chunks]), dtype, [n], finite=finite), [*chunks]


# ---------------------------------------------------------------- const


@pytest.mark.spec("COD-CON-3")
@given(any_bits(), st.integers(0, 200))
def test_equal_values_of_any_bits_come_back_and_cost_no_chunk(drawn, count):
    dtype, values = drawn
    equal = values.reshape(-1)[:1].repeat(count)
    encoded = encode_tensor("const", equal, dtype)
    assert (encoded.codec, encoded.chunks) == ("const", [])
    layer = layer_for(encoded, dtype, equal.shape, finite=dtype.kind != "float")
    assert decode(layer, []).tobytes() == equal.tobytes()


@pytest.mark.parametrize("at", [1, 63, 64, 65, 999])
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda d: d.name)
def test_one_bit_of_difference_is_not_constant(dtype, at):
    raw = bytearray(dtype.itemsize * 1000)
    raw[at * dtype.itemsize] = 1
    assert encode_tensor("const", np.frombuffer(raw, dtype.storage), dtype).codec == "raw"


def test_zeros_of_both_signs_are_not_constant():
    assert encode_tensor("const", np.array([0.0, -0.0], "<f4"), F32).codec == "raw"


@pytest.mark.spec("COD-CON-1")
@pytest.mark.parametrize(
    "params",
    [{}, {"value": 1}, {"value": ONE[1:]}, {"value": ONE + b"0"}, {"value": ONE, "more": 1}],
    ids=str,
)
def test_cod_con_1_params(params):
    assert refusal(*written("const", params)) == ("COD-CON-1", "layer w")


@pytest.mark.spec("COD-CON-2")
def test_cod_con_2_bools():
    layer = written("const", {"value": b"\2"}, dtype=DTYPES["bool"])
    assert refusal(*layer) == ("COD-CON-2", "layer w")


@pytest.mark.spec("LAY-7")
@pytest.mark.parametrize("n", [0, 3])
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_lay_7_a_value_that_is_not_finite(dtype, n):
    layer = written("const", {"value": b"\xff" * dtype.itemsize}, n=n, dtype=dtype)
    assert refusal(*layer) == ("LAY-7", "layer w")


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize(
    ("codec", "params"),
    [("const", {"value": ONE}), ("init", {"scale": SCALE, "seed": 1})],
    ids=["const", "init"],
)
def test_chk_3_there_are_no_chunks(codec, params):
    assert refusal(*written(codec, params, chunks=[b"0"])) == ("CHK-3", "layer w")
    layer, _ = written(codec, params)
    assert get_codec(codec).decoder(layer, F32).decode_chunk(0, memoryview(b"0")) is None


# ---------------------------------------------------------------- init


@pytest.mark.spec("COD-INI-4")
@given(
    st.sampled_from([BF16, F16, F32]),
    st.integers(0, (1 << 63) - 1),
    st.floats(2.0**-100, 2.0**15, width=32),
    st.integers(1, 100),
)
def test_a_generators_values_cost_its_seed_and_come_back(dtype, seed, scale, count):
    values = make_values(seed, scale, count, dtype)
    settings = {"seed": seed, "scale": scale}
    encoded = configure_codec("init", {"scale": scale}).encode(values, dtype, chunk_raw_nbytes=64)
    assert encoded is None or encoded.params["scale"] == struct.pack("<f", scale)
    if seed < 1 << 53:  # settings are numbers of the command line
        encoded = encode_tensor("init", values, dtype, settings=settings)
        assert (encoded.codec, encoded.chunks) == ("init", [])
    layer, _ = written("init", {"scale": struct.pack("<f", scale), "seed": seed}, n=count)
    exact = units(words(seed, 0, count)) * np.float32(scale)
    assert decode(layer, []).tobytes() == exact.tobytes()
    if dtype is F32:
        assert values.tobytes() == exact.tobytes()


@pytest.mark.spec("COD-INI-4")
def test_values_are_those_of_the_page():
    values = make_values(0, 1.0, 3, F32).tolist()
    assert values == [0.7666215896606445, -0.13694405555725098, -0.9471324682235718]


@pytest.mark.parametrize("scale", [2.0**-100, 1e-3, 0.1, 1 / 3, 1.0, 3e38])
@pytest.mark.parametrize("seed", [0, 1, 255])
def test_seed_and_scale_of_float32_values_are_found(seed, scale):
    values = make_values(seed, float(np.float32(scale)), 1000, F32)
    encoded = encode_tensor("init", values, F32)
    assert encoded.params == {"scale": struct.pack("<f", scale), "seed": seed}


@pytest.mark.parametrize("seed", [256, -1])
def test_other_values_are_left_to_raw(seed):
    values = make_values(max(seed, 0), 0.5, 100, F32)
    values[-1] += seed < 0  # one value of another kind
    assert encode_tensor("init", values, F32).codec == "raw"


@pytest.mark.parametrize("count", [1, 65_535, 65_536, 65_537])
def test_values_stay_below_the_scale(count):
    values = to_float32(make_values(9, 0.3, count, BF16), BF16)
    assert np.abs(values).max() <= np.float32(0.3) * (1 + 2.0**-8)
    exact = make_values(9, float(np.float32(0.3)), count, F32)
    assert -np.float32(0.3) <= exact.min() <= exact.max() < np.float32(0.3)


@pytest.mark.spec("COD-INI-1")
@pytest.mark.parametrize("dtype", [d for d in DTYPES.values() if d not in {BF16, F16, F32}])
def test_cod_ini_1_other_dtypes_are_refused(dtype):
    layer = written("init", {"scale": SCALE, "seed": 1}, dtype=dtype)
    assert refusal(*layer) == ("COD-INI-1", "layer w")


@pytest.mark.spec("COD-INI-1")
def test_cod_ini_1_the_layer_is_declared_finite():
    layer = written("init", {"scale": SCALE, "seed": 1}, finite=False)
    assert refusal(*layer) == ("COD-INI-1", "layer w")


@pytest.mark.spec("COD-INI-2")
@pytest.mark.parametrize(
    "params",
    [{}, {"scale": SCALE}, {"scale": 1, "seed": 1}, {"scale": SCALE, "seed": 1, "more": 1}],
    ids=str,
)
def test_cod_ini_2_params(params):
    assert refusal(*written("init", params)) == ("COD-INI-2", "layer w")


@pytest.mark.spec("COD-INI-3")
@pytest.mark.parametrize("scale", [0.0, -1.0, 2.0**-101, math.inf, math.nan])
def test_cod_ini_3_scale(scale):
    layer = written("init", {"scale": struct.pack("<f", scale), "seed": 1})
    assert refusal(*layer) == ("COD-INI-3", "layer w")
    layer = written("init", {"scale": struct.pack("<f", 1)[:3], "seed": 1})
    assert refusal(*layer) == ("COD-INI-3", "layer w")


@pytest.mark.spec("LAY-7")
def test_lay_7_a_value_beyond_the_dtype():
    layer = written("init", {"scale": struct.pack("<f", 2.0**17), "seed": 3}, n=50, dtype=F16)
    assert refusal(*layer) == ("LAY-7", "layer w")


@pytest.mark.parametrize(
    "settings",
    [{"step": 1}, {"seed": 0.5}, {"seed": -1}, {"seed": 2.0**63}, {"scale": 0}, {"scale": 0.1}],
    ids=str,
)
def test_settings_out_of_range_are_a_wrong_call(settings):
    with pytest.raises(ValueError, match=r"seed|scale"):
        configure_codec("init", settings)
