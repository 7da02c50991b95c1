"""Codec scatter: chunks from all over the tensor, each alone of use (spec/codecs/scatter.md)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor, get_codec
from seedpack.codecs.ecq import EcqCodec
from seedpack.codecs.registry import PARTIAL_IDS
from seedpack.codecs.scatter import Cutting, ScatterCodec, configure
from seedpack.codecs.scatter.form import with_copies
from seedpack.codecs.scatter.order import gather, scatter
from seedpack.container.manifest import Chunk
from seedpack.dtypes import DTYPES
from tests.codecs.laws import (
    any_bits,
    decode,
    digests_without_vector_units,
    gaussian,
    hold,
    is_within,
    layer_for,
    liked_by,
    outcome,
    refusal,
)

BF16, F16, F32 = (DTYPES[name] for name in ("bfloat16", "float16", "float32"))
TAKEN = pytest.mark.parametrize("dtype", [BF16, F16, F32], ids=lambda d: d.name)
EXACT = ScatterCodec(exact=True, cutting=Cutting(64))
LEVELS = ScatterCodec(cutting=Cutting(64))
SPLIT = ScatterCodec(EcqCodec(2.0**-8), cutting=Cutting(400), top_bits=True)


def store(codec, values, dtype=F32):
    """Return layer and chunks, without the fall back on size."""
    encoded = codec.encode(values, dtype, chunk_raw_nbytes=1 << 20)
    finite = dtype.kind != "float" or "step" in encoded.params
    return layer_for(encoded, dtype, [values.size], finite=finite), encoded.chunks


def salvage(layer, chunks, lost):
    """Return what is left where some chunks are never seen."""
    decoder = get_codec(layer.codec).decoder(layer, DTYPES[layer.dtype])
    for index in sorted({*range(len(chunks))} - {*lost}):
        decoder.decode_chunk(index, memoryview(chunks[index]))
    return decoder.finish_without(lost)


# ---------------------------------------------------------------- the order


@pytest.mark.spec("COD-SCA-4")
@given(st.integers(1, 300), st.integers(1, 40))
def test_gathering_undoes_scattering(n, nchunks):
    values = np.arange(1, n + 1)
    rows = scatter(values, min(n, nchunks))
    assert gather(rows)[:n].tolist() == values.tolist()
    assert not gather(rows)[n:].any()


@given(st.integers(2, 40), st.integers(3, 60))
def test_a_chunk_has_one_value_of_every_block(nchunks, nblocks):
    rows = scatter(np.arange(nchunks * nblocks), nchunks)
    assert ((rows // nchunks) == np.arange(nblocks)).all()


def test_a_chunk_has_no_column_of_a_matrix_whose_rows_are_as_long_as_there_are_chunks():
    columns = scatter(np.arange(64 * 64), 64) % 64
    shares = [np.bincount(row, minlength=64).max() for row in columns]
    assert max(shares) <= 8  # of 64 values; a stride would have all in one column


def test_the_order_is_that_of_the_page():
    assert scatter(np.arange(7), 3).tolist() == [[1, 3, 0], [2, 4, 0], [0, 5, 6]]


# ---------------------------------------------------------------- values come back


@given(any_bits())
def test_exact_values_come_back_whatever_they_are(drawn):
    dtype, values = drawn
    if values.size:
        layer, chunks = store(EXACT, values.ravel(), dtype)
        assert decode(layer, chunks).tobytes() == values.tobytes()


@TAKEN
@pytest.mark.spec("COD-SCA-7")
@pytest.mark.parametrize("codec", [LEVELS, SPLIT], ids=["levels", "top bits"])
@pytest.mark.parametrize("n", [9000, 9001, 8192])
def test_every_value_is_within_one_and_a_half_steps(dtype, codec, n):
    values = gaussian(F32, n)
    held = hold(values, dtype)
    layer, chunks = store(codec, held, dtype)
    (step,) = np.frombuffer(layer.params.get("low_step", layer.params["step"]), "<f4")
    assert ("low_step" in layer.params) == (codec is SPLIT)
    floats, decoded = (_as_floats(v, dtype) for v in (held, decode(layer, chunks)))
    assert is_within(floats, decoded, 1.5 * float(step), dtype)


def _as_floats(values, dtype):
    wide = values.astype(np.uint32) << 16 if dtype is BF16 else values.astype(np.float32)
    return wide.view(np.float32)


@pytest.mark.spec("COD-SCA-5")
def test_levels_are_those_of_ecq_in_another_order():
    values = gaussian(F32, 5000)
    layer, chunks = store(ScatterCodec(EcqCodec(2.0**-7, 0), cutting=Cutting(256)), values)
    plain = encode_tensor("ecq", values, F32, settings={"step": 2.0**-7, "mu": 0})
    expected = decode(layer_for(plain, F32, [5000], finite=True), plain.chunks)
    assert decode(layer, chunks).tobytes() == expected.tobytes()
    assert len(chunks) > 4


@pytest.mark.spec("COD-SCA-5")
def test_every_processor_gets_the_same_bits():
    assert len(digests_without_vector_units("scatter", "", "AVX2 FMA3 AVX512F")) == 1


def test_a_small_tensor_stands_in_its_record():
    for codec, values in ((EXACT, gaussian(F32, 10)), (ScatterCodec(), gaussian(F32, 900))):
        layer, chunks = store(codec, values)
        assert not chunks
        assert "whole_0" in layer.params
        assert np.abs(decode(layer, []) - values).max() < 0.02


@pytest.mark.parametrize("n", [3000, 8192, 70_000])
def test_what_does_not_has_four_chunks_or_more(n):
    for codec in (ScatterCodec(), ScatterCodec(exact=True), ScatterCodec(cutting=Cutting(1 << 20))):
        _, chunks = store(codec, gaussian(F32, n + 5000))
        assert len(chunks) >= 4


def test_settings_that_there_are_not_are_refused():
    for settings in ({"bits": 4}, {"chunk_nbytes": 0}, {"step": -1.0}):
        with pytest.raises(ValueError):
            configure(settings)
    assert store(configure({"exact": 1}), liked_by("scatter"))[0].params.keys() >= {"whole_0"}


# ---------------------------------------------------------------- what is left


@given(st.sets(st.integers(0, 12)))
def test_a_lost_chunk_costs_exactly_its_values(lost):
    values = np.arange(1, 201, dtype="<i8")
    layer, chunks = store(ScatterCodec(exact=True, cutting=Cutting(16)), values, DTYPES["int64"])
    lost = {index for index in lost if index < len(chunks)}
    holds = scatter(values, len(chunks))  # 0 stands for no value
    gone = {int(value) for index in lost for value in holds[index]}
    left = salvage(layer, chunks, lost)
    assert left.is_known.tolist() == [value not in gone for value in values]
    assert left.values.tolist() == np.where(left.is_known, values, 0).tolist()
    assert not left.is_coarse.any()


def test_without_its_low_bits_a_value_is_that_of_its_top_bits():
    values = gaussian(F32, 3000)
    layer, chunks = store(SPLIT, values)
    half = len(chunks) // 2
    left = salvage(layer, chunks, {*range(half, 2 * half)})
    (top_step,) = np.frombuffer(layer.params["step"], "<f4")
    assert left.is_known.all()
    assert left.is_coarse.all()
    assert np.abs(left.values - values).max() <= top_step
    left = salvage(layer, chunks, {0, half + 1})
    assert 0 < (~left.is_known).sum() < 3000
    assert not (left.is_coarse & ~left.is_known).any()
    assert not left.values[~left.is_known].any()


def test_every_codec_whose_chunks_decode_alone_says_what_is_left():
    for codec_id in sorted(PARTIAL_IDS):
        values = gaussian(F32, 5000)
        settings = {"chunk_nbytes": 300} if codec_id == "scatter" else {}
        encoded = encode_tensor(codec_id, values, F32, chunk_raw_nbytes=1024, settings=settings)
        assert encoded.codec == codec_id
        layer = layer_for(encoded, F32, [5000], finite=True)
        intact = decode(layer, encoded.chunks)
        left = salvage(layer, encoded.chunks, {1})
        assert 0 < (~left.is_known).sum() < 5000
        assert left.values.tobytes() == np.where(left.is_known, intact, 0).tobytes()


# ---------------------------------------------------------------- copies


@pytest.mark.spec("COD-SCA-6")
def test_copies_are_never_decoded():
    values = gaussian(F32, 3000)
    layer, chunks = store(LEVELS, values)
    other = [Chunk(5, bytes(32))]
    more = with_copies(layer, other, other * 2)
    held = [b"12345", *chunks, b"any..", b"bytes"]
    assert decode(more, held).tobytes() == decode(layer, chunks).tobytes()
    left = salvage(more, held, {0, len(held) - 1})
    assert left.is_known.all()
    assert not salvage(more, held, {1}).is_known.all()
    assert refusal(more, held[::-1])[0].startswith("COD")


@given(st.data())
def test_damaged_chunks_give_values_or_a_refusal(data):
    codec = data.draw(st.sampled_from([EXACT, LEVELS, SPLIT]))
    layer, chunks = store(codec, gaussian(F32, 3000))
    chunks = [bytearray(chunk) for chunk in chunks]
    chunk = data.draw(st.sampled_from(chunks))
    chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    rules = {"values", "LAY-7", "CHK-3", "COD-SCA-4"}
    found = outcome(layer, chunks)
    assert found in rules or found.startswith(("COD-ECQ", "COD-RANS", "COD-RAW", "ZST"))
