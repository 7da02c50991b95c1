"""Lanes of tcq that are columns, and values whose errors do not count alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seedpack.codecs.floats import to_float32
from seedpack.codecs.rans.layouts import MAX_LANE_VALUES
from seedpack.codecs.tcq import Weights, encode_weighted
from seedpack.codecs.tcq.columns import ColumnCoder, lay_columns
from seedpack.dtypes import DTYPES
from tests.codecs.laws import decode, gaussian, hold, layer_for

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
MIB = 1 << 20


def decoded(encoded, dtype, shape):
    """Return what a reader gets, as float32."""
    layer = layer_for(encoded, dtype, shape, finite=True)
    return to_float32(decode(layer, encoded.chunks), dtype).reshape(shape)


@settings(max_examples=200)
@given(
    st.integers(1, 3000),
    st.integers(1, 600),
    st.sampled_from([BF16, F32]),
    st.sampled_from([1 << 12, 1 << 16, MIB]),
)
def test_every_lane_of_every_chunk_has_whole_columns(rows, width, dtype, nbytes):
    columns = lay_columns((rows, width), dtype, nbytes)
    if columns is None:
        return
    assert columns.lanes * columns.together == width
    assert columns.cut.lane_values <= MAX_LANE_VALUES
    assert columns.cut.chunk_values * dtype.itemsize <= 4 * nbytes
    for span in columns.cut.spans(rows * width):
        assert columns.cut.lanes(span.stop - span.start) == columns.lanes
        assert span.start % width == 0
    each = columns.of_lanes(np.arange(columns.lanes))
    assert np.array_equal(np.sort(each.ravel()), np.arange(width))
    assert (each % columns.lanes == np.arange(columns.lanes)[:, None]).all()


@pytest.mark.parametrize("shape", [(384, 384), (1536, 384), (384, 1536), (768, 3072), (4096, 4096)])
def test_usual_matrices_have_lanes_that_are_long_enough(shape):
    assert lay_columns(shape, F32, MIB).cut.lane_values >= 600


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (1, 1), (3, 7), (3, 50)])
def test_matrices_too_small_for_lanes_have_none(shape):
    assert lay_columns(shape, F32, MIB) is None


@pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(300, 40), (2500, 16), (1027, 24)])
def test_columns_coded_in_any_order_are_what_a_reader_gets(dtype, shape):
    weight = gaussian(F32, shape[0] * shape[1]).reshape(shape)
    weight[7, 3] = 50.0  # beyond every level: escapes
    columns = lay_columns(shape, dtype, 1 << 15)
    coder = ColumnCoder(weight, dtype, 2.0**-6, 0.05, columns)
    order = np.random.default_rng(0).permutation(columns.lanes)
    found = np.empty_like(weight)
    for start in range(0, order.size, 5):
        lanes = order[start : start + 5]
        own = columns.of_lanes(lanes).ravel()
        found[:, own] = coder.code(lanes, weight.T[own]).T
    encoded = coder.finish(chunk_raw_nbytes=1 << 15)
    assert encoded.codec == "tcq"
    held = to_float32(hold(found.ravel(), dtype), dtype).reshape(shape)
    assert np.array_equal(decoded(encoded, dtype, shape), held)
    assert np.abs(found - weight).max() <= 3 * 2**-6


def test_rare_levels_change_no_path_that_others_have_made_up_for():
    weight = gaussian(F32, 1000 * 16).reshape(1000, 16)
    weight[::331] *= 20  # levels that occur once
    columns = lay_columns(weight.shape, F32, MIB)
    coder = ColumnCoder(weight, F32, 2.0**-5, 0.05, columns)
    lanes = np.arange(columns.lanes)
    own = columns.of_lanes(lanes).ravel()
    found = np.empty_like(weight)
    found[:, own] = coder.code(lanes, weight.T[own]).T
    encoded = coder.finish(chunk_raw_nbytes=MIB)
    assert np.array_equal(decoded(encoded, F32, weight.shape), found)


def test_columns_of_a_step_that_is_none_are_a_wrong_call():
    columns = lay_columns((1000, 16), F32, MIB)
    with pytest.raises(ValueError, match="step"):
        ColumnCoder(np.ones((1000, 16), np.float32), F32, 0.1, 0.05, columns)


@pytest.mark.parametrize("step", [2.0**-5, 2.0**-4])
def test_errors_that_count_more_are_smaller(step):
    values = gaussian(F32, 1 << 16)
    classes = (np.arange(values.size) // 64 % 2).astype(np.uint8)
    weighted = encode_weighted(values, F32, step, Weights((0.02, 0.5), classes), MIB)
    error = np.square(decoded(weighted, F32, values.shape) - values)
    assert error[classes == 0].mean() < 0.8 * error[classes == 1].mean()
    alike = encode_weighted(values, F32, step, Weights((0.02, 0.02), classes), MIB)
    assert weighted.stored_nbytes < alike.stored_nbytes
    assert alike == encode_weighted(values, F32, step, Weights((0.02,)), MIB)
