"""Codecs made of parts: lowrank, pca, sparse; and moments (their pages in spec/codecs)."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor
from seedpack.codecs.ecq import encode_integers
from seedpack.codecs.floats import to_float32
from seedpack.codecs.lowrank.factors import Factors, add_product, find_factors
from seedpack.codecs.registry import configure_codec
from seedpack.dtypes import DTYPES
from tests.codecs.laws import decode, gaussian, layer_for, liked_by, outcome

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
LOSSY = ["lowrank", "moments", "pca", "sparse"]


def encode(codec, values, dtype=F32, **settings):
    """Return (encoded, decoded in the tensor's shape)."""
    encoded = encode_tensor(codec, values, dtype, settings=settings)
    layer = layer_for(encoded, dtype, values.shape, finite=True)
    return encoded, decode(layer, encoded.chunks).reshape(values.shape)


def matrix(o=120, i=80, *, rank=5, seed=0, dtype=F32):
    """Return a matrix of a few strong components and noise, in the storage type."""
    random = np.random.default_rng(seed)
    strong = random.normal(size=(o, rank)) @ random.normal(size=(rank, i))
    values = (strong + 0.1 * random.normal(size=(o, i))).astype(np.float32)
    if dtype is BF16:
        return (values.view(np.uint32) >> 16).astype("<u2")
    return values.astype(dtype.storage)


def pruned(n=20_000, *, density=0.1, dtype=F32):
    """Return values of which most are +0."""
    values = gaussian(dtype, n)
    values[np.random.default_rng(3).random(n) >= density] = 0
    return values


# ---------------------------------------------------------------- lowrank


@TAKEN
@pytest.mark.spec("COD-LR-6")
@pytest.mark.parametrize("settings", [{}, {"rank": 3}, {"bits": 4}, {"step": 0.25}], ids=str)
def test_with_a_residual_every_value_is_within_one_and_a_half_steps(dtype, settings):
    values = matrix(dtype=dtype)
    encoded, decoded = encode("lowrank", values, dtype, **settings)
    assert encoded.codec == "lowrank"
    (step,) = struct.unpack("<f", encoded.params["step"])
    x, y = (to_float32(v, dtype).astype(float) for v in (values, decoded))
    rounding = np.abs(x).max() * 2.0**-20 + np.abs(y) * 2.0 ** -(dtype.mantissa_bits + 1)
    assert (np.abs(x - y) <= 1.5 * step + rounding).all()


@pytest.mark.spec("COD-LR-6")
@given(st.integers(1, 6), st.integers(2, 12), st.integers(2, 12), st.sampled_from([7, 127]))
def test_factors_alone_are_within_the_bound_of_the_page(rank, o, i, largest):
    exact = matrix(o, i, seed=rank).astype(float)
    rank = min(rank, o, i)
    factors = find_factors(exact, rank, largest)
    product = factors.left.astype(float) @ factors.right * factors.scale
    u, sigma, vt = np.linalg.svd(exact, full_matrices=False)
    roots = np.sqrt(sigma[:rank])
    a = np.abs(u[:, :rank] * roots).max() / largest
    b = np.abs(vt[:rank].T * roots).max() / largest
    spread = (a * np.sqrt(o * rank) + b * np.sqrt(i * rank)) / 2 * roots[0]
    bound = np.linalg.norm(sigma[rank:]) + spread + a * b * rank * np.sqrt(o * i) / 4
    assert np.linalg.norm(exact - product) <= bound * (1 + 1e-6)


def test_codes_stay_within_127_and_no_sum_leaves_the_exact_integers():
    worst = np.full((3, 1024), 127, np.float32)
    out = np.zeros((3, 5), np.float32)
    add_product(Factors(worst, np.full((1024, 5), -127, np.float32), 1.0), out)
    assert (out == -1024 * 127**2).all()
    assert 1024 * 127**2 < 2**24
    factors = find_factors(matrix().astype(float), 16, 127)
    assert max(np.abs(factors.left).max(), np.abs(factors.right).max()) == 127


@pytest.mark.spec("COD-LR-5")
@given(st.integers(1, 40), st.integers(1, 40), st.data())
def test_products_are_those_of_integers_in_any_blocks(o, i, data):
    rank = data.draw(st.integers(1, min(o, i)))
    random = np.random.default_rng(o * i)
    left = random.integers(-127, 128, (o, rank))
    right = random.integers(-127, 128, (rank, i))
    out = random.normal(size=(o, i)).astype(np.float32)
    expected = out + (left @ right).astype(np.float32) * np.float32(0.3)
    add_product(Factors(left.astype("<f4"), right.astype("<f4"), float(np.float32(0.3))), out)
    assert out.tobytes() == expected.tobytes()


def test_low_rank_pays_where_few_components_are_strong():
    values = matrix(600, 400)
    ecq, _ = encode("ecq", values, step=0.125)
    both, decoded = encode("lowrank", values, rank=5, step=0.125)
    assert both.stored_nbytes < 0.6 * ecq.stored_nbytes
    alone, approximate = encode("lowrank", values, rank=5, step=0)
    assert alone.stored_nbytes < 0.1 * ecq.stored_nbytes
    assert np.abs(values - decoded).max() < np.abs(values - approximate).max()


@pytest.mark.parametrize("shape", [(9600,), (), (0, 4), (4, 0)])
@pytest.mark.parametrize("codec", ["lowrank", "pca"])
def test_what_is_no_matrix_falls_back_to_raw(codec, shape):
    values = gaussian(F32, 9600)[: int(np.prod(shape))].reshape(shape)
    assert encode_tensor(codec, values, F32).codec == "raw"


@pytest.mark.parametrize("codec", ["lowrank", "pca"])
def test_wide_tall_and_many_dimensions_are_matrices(codec):
    for shape in ((120, 80), (80, 120), (20, 6, 16, 5)):
        encoded, decoded = encode(codec, matrix().reshape(shape))
        assert encoded.codec == codec
        assert decoded.shape == shape


@pytest.mark.parametrize("codec", ["lowrank", "moments", "pca"])
@pytest.mark.parametrize("factor", [0, 1e-38, 1e37], ids=str)
def test_scales_out_of_range_fall_back_to_raw(codec, factor):
    assert encode_tensor(codec, matrix() * np.float32(factor), F32).codec == "raw"


def test_a_float16_that_would_overflow_falls_back_to_raw():
    values = np.full((64, 64), 65504, np.float16)
    values[::2] = -65504
    values[5, 5] = 0
    for codec in ("lowrank", "pca", "moments"):
        encoded = encode_tensor(codec, values, F16)
        layer = layer_for(encoded, F16, values.shape, finite=True)
        assert outcome(layer, encoded.chunks) == "values"


# ---------------------------------------------------------------- pca and moments


@TAKEN
@pytest.mark.spec("COD-PCA-5")
def test_pca_keeps_the_mean_and_what_few_components_hold(dtype):
    values = matrix(rank=2, dtype=dtype)
    encoded, decoded = encode("pca", values, dtype, components=3)
    assert (encoded.codec, encoded.params["components"]) == ("pca", 3)
    x, y = (to_float32(v, dtype).astype(float) for v in (values, decoded))
    assert np.linalg.norm(x - y) < 0.15 * np.linalg.norm(x)
    assert np.abs(x.mean(axis=0) - y.mean(axis=0)).max() < 0.1


@TAKEN
@pytest.mark.spec("COD-MOM-4")
def test_moments_keep_mean_and_variance_and_nothing_else(dtype):
    values = matrix(300, 200, dtype=dtype)
    encoded, decoded = encode("moments", values, dtype)
    assert (encoded.codec, encoded.chunks) == ("moments", [])
    x, y = (to_float32(v, dtype).astype(float).reshape(-1) for v in (values, decoded))
    assert abs(x.mean() - y.mean()) < 5 * x.std() / np.sqrt(x.size)
    assert y.std() == pytest.approx(x.std(), rel=0.02)
    assert abs(np.corrcoef(x, y)[0, 1]) < 5 / np.sqrt(x.size)


def test_equal_moments_are_not_equal_tensors():
    values = gaussian(F32, 1000)
    one, other = encode("moments", values)[1], encode("moments", values[::-1].copy())[1]
    assert not np.array_equal(one, other)


# ---------------------------------------------------------------- sparse


@pytest.mark.spec("COD-SPA-5")
@given(st.sampled_from(list(DTYPES.values())), st.integers(0, 400), st.floats(0, 1))
def test_without_settings_every_bit_comes_back(dtype, n, density):
    values = pruned(n, density=density, dtype=dtype)
    if dtype.kind == "bool":
        values &= 1
    encoded = encode_tensor("sparse", values, dtype)
    layer = layer_for(encoded, dtype, values.shape)
    assert decode(layer, encoded.chunks).tobytes() == values.tobytes()


def test_negative_zero_and_nan_are_values():
    values = pruned()
    values[:3] = [-0.0, np.nan, np.inf]
    encoded = encode_tensor("sparse", values, F32)
    assert encoded.codec == "sparse"
    assert decode(layer_for(encoded, F32, [values.size]), encoded.chunks).tobytes() == (
        values.tobytes()
    )


def test_a_pruned_matrix_costs_its_values_and_half_a_bit_for_each_place():
    encoded, _ = encode("sparse", pruned(200_000))
    lossless = encode_tensor("raw", pruned(200_000), F32)
    assert encoded.stored_nbytes * 8 < 200_000 * (0.1 * 28 + 0.5)
    assert encoded.stored_nbytes < 0.9 * lossless.stored_nbytes


@TAKEN
@pytest.mark.spec("COD-SPA-6")
@pytest.mark.parametrize(
    "settings",
    [
        {"threshold": 0.0625},
        {"threshold": 0.0625, "step": 0.015625},
        {"density": 0.2},
        {"density": 0.05, "step": 0.015625},
    ],
    ids=str,
)
def test_what_is_dropped_is_below_the_threshold_and_the_rest_within_steps(dtype, settings):
    values = gaussian(dtype, 20_000)
    encoded, decoded = encode("sparse", values, dtype, **settings)
    assert encoded.codec == "sparse"
    x, y = (to_float32(v, dtype).astype(float) for v in (values, decoded))
    dropped = y == 0
    if "density" in settings:
        assert encoded.params["count"] >= settings["density"] * x.size
        assert encoded.params["count"] <= settings["density"] * x.size * 1.1 + 1
    limit = settings.get("threshold") or np.abs(x[~dropped]).min() + 1.5 * settings.get("step", 0)
    assert (np.abs(x[dropped]) <= limit).all()
    step = settings.get("step", 0)
    assert (np.abs(x - y)[~dropped] <= 1.5 * step + np.abs(y[~dropped]) * 2.0**-8).all()
    assert step or np.array_equal(x[~dropped], y[~dropped])


@pytest.mark.spec("COD-SPA-7")
def test_COD_SPA_7_places_are_never_in_memory_all_at_once():
    values = np.zeros(1 << 20, np.uint8)
    values[::2] = np.random.default_rng(0).integers(1, 256, values.size // 2)
    encoded = encode_tensor("sparse", values, DTYPES["uint8"])
    assert encoded.codec == "sparse"
    layer = layer_for(encoded, DTYPES["uint8"], values.shape)
    tracemalloc.start()
    decoded = decode(layer, encoded.chunks)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert decoded.tobytes() == values.tobytes()
    assert peak <= 8 * values.nbytes


def test_rare_gaps_of_a_large_tensor_still_have_a_table():
    gaps = np.random.default_rng(0).integers(0, 1 << 20, 100_000).astype(np.int32)
    encoded = encode_integers(gaps, chunk_raw_nbytes=1 << 20)
    layer = layer_for(encoded, F32, [gaps.size], finite=True)
    assert np.array_equal(decode(layer, encoded.chunks), gaps)


# ---------------------------------------------------------------- attacks and wrong calls


@pytest.mark.parametrize("codec", ["lowrank", "pca", "sparse"])
@given(data=st.data())
def test_damaged_chunks_give_values_or_a_refusal(codec, data):
    values = liked_by(codec, 600)
    encoded = encode_tensor(codec, values, F32)
    assert encoded.codec == codec
    chunks = [bytearray(chunk) for chunk in encoded.chunks]
    chunk = data.draw(st.sampled_from(chunks))
    chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    rule = outcome(layer_for(encoded, F32, values.shape, finite=True), chunks)
    families = ("COD-LR-4", "COD-PCA-4", "COD-SPA-", "COD-ECQ-", "COD-RANS-", "COD-RAW-", "ZST-")
    assert rule in {"values", "LAY-7"} or rule.startswith(families)


@pytest.mark.parametrize(
    ("codec", "settings"),
    [
        ("lowrank", {"rank": 0}),
        ("lowrank", {"rank": 1025}),
        ("lowrank", {"rank": 1.5}),
        ("lowrank", {"bits": 5}),
        ("lowrank", {"bits": 4.5}),
        ("lowrank", {"step": 0.1}),
        ("lowrank", {"density": 1}),
        ("pca", {"components": 0}),
        ("pca", {"components": 2.5}),
        ("pca", {"rank": 2}),
        ("sparse", {"threshold": -1}),
        ("sparse", {"threshold": np.inf}),
        ("sparse", {"density": 0}),
        ("sparse", {"density": 1.1}),
        ("sparse", {"density": 0.5, "threshold": 1}),
        ("sparse", {"step": 0}),
        ("sparse", {"rank": 1}),
        ("moments", {"step": 1}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_a_wrong_call(codec, settings):
    with pytest.raises(ValueError, match=r"rank|bits|step|components|threshold|density|settings"):
        configure_codec(codec, settings)
