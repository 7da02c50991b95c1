"""Codec raw: every bit of every dtype comes back (spec/codecs/raw.md)."""

from __future__ import annotations

import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor, get_codec
from seedpack.codecs.base import Encoded
from seedpack.container.manifest import Chunk
from seedpack.container.planes import encode_plane
from seedpack.dtypes import DTYPES
from tests.codecs.laws import (
    FLOATS,
    any_bits,
    decode,
    gaussian,
    layer_for,
    outcome,
    refusal,
    round_trip,
)

F32 = DTYPES["float32"]
MIB = 1 << 20
RULES = {"COD-RAW-1", "COD-RAW-2", "COD-RAW-3", "COD-RAW-4", "CHK-1", "CHK-3", "LAY-7"} | {
    f"ZST-{n}" for n in range(1, 7)
}


def stored(chunks, *, dtype=F32, n, chunk_values=1 << 18):
    """Return a layer and its chunks, written by hand."""
    encoded = Encoded("raw", {"chunk_values": chunk_values}, chunks)
    return layer_for(encoded, dtype, [n]), chunks


def planes(*parts):
    return struct.pack(f"<{len(parts)}I", *map(len, parts)) + b"".join(parts)


# ---------------------------------------------------------------- laws


@given(any_bits(), st.sampled_from([16, 64, 1000, MIB]))
def test_decoding_inverts_encoding_bit_for_bit(drawn, chunk_raw_nbytes):
    dtype, values = drawn
    decoded = round_trip("raw", values, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
    assert decoded.dtype.str == dtype.storage
    assert decoded.shape == (values.size,)
    assert decoded.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=lambda d: d.name)
@pytest.mark.parametrize("n", [0, 1, 31, 32767, 32768, 32769, 70_001])
def test_compressible_values_come_back_around_every_boundary(dtype, n):
    values = gaussian(dtype, n) if dtype.kind != "bool" else np.arange(n, dtype="u1") % 3 % 2
    encoded = encode_tensor("raw", values, dtype, chunk_raw_nbytes=dtype.itemsize * 40_000)
    assert len(encoded.chunks) == -(-n // 40_000)
    assert n < 32767 or encoded.stored_nbytes < values.nbytes
    decoded = decode(layer_for(encoded, dtype, [n]), encoded.chunks)
    assert decoded.tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_nan_payloads_signed_zeros_subnormals_and_infinities_come_back(dtype):
    words = f"<u{dtype.itemsize}"
    magnitudes = [0, 1, (1 << dtype.mantissa_bits) - 1, 1 << dtype.mantissa_bits]
    infinity = ((1 << dtype.exponent_bits) - 1) << dtype.mantissa_bits
    magnitudes += [infinity - 1, infinity, infinity + 1, (1 << (8 * dtype.itemsize - 1)) - 1]
    sign = 1 << (8 * dtype.itemsize - 1)
    special = np.array(magnitudes + [m | sign for m in magnitudes], words).view(dtype.storage)
    values = np.concatenate([special, gaussian(dtype, 5000), special])
    encoded = encode_tensor("raw", values, dtype)
    assert encoded.stored_nbytes < values.nbytes  # so both forms of a chunk are tested
    decoded = decode(layer_for(encoded, dtype, values.shape), encoded.chunks)
    assert decoded.tobytes() == values.tobytes()
    assert round_trip("raw", special, dtype).tobytes() == special.tobytes()


@pytest.mark.parametrize("shape", [(), (1,), (0,), (3, 0, 2), (2, 3, 4)])
def test_every_shape_is_taken_in_c_order(shape):
    values = np.asfortranarray(np.arange(np.prod(shape), dtype="<f4").reshape(shape))
    assert round_trip("raw", values, F32).tolist() == values.ravel("C").tolist()


def test_strides_do_not_matter():
    values = gaussian(F32, 3000).reshape(30, 100)
    for view in (values[::2], values[:, ::-3], values.T, values[::-1].T):
        assert round_trip("raw", view, F32).tobytes() == view.tobytes()


@given(any_bits())
def test_encoding_is_deterministic(drawn):
    dtype, values = drawn
    assert encode_tensor("raw", values, dtype) == encode_tensor("raw", values.copy(), dtype)


def test_chunks_decode_in_any_order_and_in_many_threads_at_once():
    values = gaussian(F32, 50_000)
    encoded = encode_tensor("raw", values, F32, chunk_raw_nbytes=4000)
    layer = layer_for(encoded, F32, [50_000])
    backwards = list(reversed(range(len(encoded.chunks))))
    assert decode(layer, encoded.chunks, backwards).tobytes() == values.tobytes()
    decoder = get_codec("raw").decoder(layer, F32)
    with ThreadPoolExecutor(8) as pool:
        chunks = map(memoryview, encoded.chunks)
        list(pool.map(decoder.decode_chunk, range(len(encoded.chunks)), chunks))
    assert decoder.finish().tobytes() == values.tobytes()


def test_a_chunk_at_an_odd_address_decodes():
    values = gaussian(F32, 5000)
    (chunk,) = encode_tensor("raw", values, F32).chunks
    decoder = get_codec("raw").decoder(*_odd_layer(chunk, values))
    decoder.decode_chunk(0, memoryview(b"x" + chunk)[1:])
    assert decoder.finish().tobytes() == values.tobytes()


def _odd_layer(chunk, values):
    return layer_for(Encoded("raw", {"chunk_values": 5000}, [chunk]), F32, values.shape), F32


def test_every_chunk_is_at_most_its_values_verbatim():
    values = np.random.default_rng(3).integers(0, 1 << 32, 1000, dtype="<u4").view("<f4")
    encoded = encode_tensor("raw", values, F32)
    assert encoded.chunks == [values.tobytes()]


@pytest.mark.parametrize(("percent", "is_kept"), [(1, False), (2, True)])
def test_a_frame_is_kept_only_where_it_saves_a_64th_of_its_plane(percent, is_kept):
    words = np.random.default_rng(4).integers(0, 1 << 16, 1 << 16, dtype="<u4") | 0x3F800000
    words[: (1 << 16) * percent // 100] &= 0xFFFF0000  # a run of zeros in the low plane
    (chunk,) = encode_tensor("raw", words.view("<f4"), F32).chunks
    low, side, exponent = struct.unpack_from("<3I", chunk)
    assert (low < 2 << 16) == is_kept
    assert side < 100
    assert exponent < 100


@pytest.mark.spec("COD-RAW-2")
def test_planes_as_long_as_the_values_are_not_kept():
    # Four runs of 17 bytes and four lengths: 84 bytes, which a reader takes for verbatim.
    values = np.full(21, 0x01020304, "<i4")
    frames = [encode_plane(bytes([byte]) * 21) for byte in (4, 3, 2, 1)]
    assert len(planes(*frames)) == values.nbytes
    assert encode_tensor("raw", values, DTYPES["int32"]).chunks == [values.tobytes()]


def test_chunks_of_one_value_are_taken():
    layer, chunks = stored([b"abcd", b"efgh"], n=2, chunk_values=1)
    assert decode(layer, chunks).tobytes() == b"abcdefgh"


@given(st.data())
def test_damaged_chunks_give_values_or_a_refusal(data):
    dtype = data.draw(st.sampled_from(list(DTYPES.values())))
    values = np.zeros(600, "u1") if dtype.kind == "bool" else gaussian(dtype, 600)
    encoded = encode_tensor("raw", values, dtype, chunk_raw_nbytes=512)
    chunks = [bytearray(chunk) for chunk in encoded.chunks]
    for _ in range(data.draw(st.integers(1, 3))):
        chunk = data.draw(st.sampled_from(chunks))
        chunk[data.draw(st.integers(0, len(chunk) - 1))] ^= data.draw(st.integers(1, 255))
    assert outcome(layer_for(encoded, dtype, [600]), chunks) in RULES | {"values"}


@given(st.data())
def test_any_bytes_give_values_or_a_refusal(data):
    dtype = data.draw(st.sampled_from(list(DTYPES.values())))
    chunk = data.draw(st.binary(min_size=1, max_size=100))
    n = data.draw(st.integers(0, 64))
    finite = dtype.kind != "float" or data.draw(st.booleans())
    layer, chunks = stored([chunk], dtype=dtype, n=n, chunk_values=data.draw(st.integers(1, 64)))
    layer = layer_for(Encoded("raw", layer.params, chunks), dtype, [n], finite=finite)
    assert outcome(layer, chunks) in RULES | {"values"}


# ---------------------------------------------------------------- refusals, one by one


@pytest.mark.spec("COD-RAW-1")
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"chunk_values": 0},
        {"chunk_values": "4"},
        {"chunk_values": b"4"},
        {"chunk_value": 4},
        {"chunk_values": 4, "level": 1},
    ],
    ids=str,
)
def test_cod_raw_1_params_are_exactly_chunk_values(params):
    layer = layer_for(Encoded("raw", params, [bytes(16)]), F32, [4])
    assert refusal(layer, [bytes(16)]) == ("COD-RAW-1", "layer w")


@pytest.mark.spec("CHK-1")
def test_chk_1_a_chunk_decodes_to_at_most_4_mib():
    chunk = planes(encode_plane(bytes(2 * MIB)), *[encode_plane(bytes(MIB))] * 2)
    layer, chunks = stored([chunk], n=MIB, chunk_values=MIB)
    assert decode(layer, chunks).nbytes == 4 * MIB
    layer, chunks = stored([chunk], n=MIB, chunk_values=MIB + 1)
    assert refusal(layer, chunks) == ("CHK-1", "layer w")


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize(("n", "nchunks"), [(8, 1), (8, 3), (9, 2), (0, 1), (1, 0)])
def test_chk_3_there_are_as_many_chunks_as_the_values_need(n, nchunks):
    assert refusal(*stored([bytes(16)] * nchunks, n=n, chunk_values=4)) == ("CHK-3", "layer w")


@pytest.mark.spec("CHK-3")
def test_chk_3_nothing_is_allocated_for_values_that_no_chunk_holds():
    layer = layer_for(Encoded("raw", {"chunk_values": 4}, [bytes(16)]), F32, [1 << 38])
    assert refusal(layer, [bytes(16)]) == ("CHK-3", "layer w")


@pytest.mark.spec("COD-RAW-2")
@pytest.mark.parametrize(
    ("nbytes", "rule"), [(14, "COD-RAW-2"), (15, "COD-RAW-3"), (39, "COD-RAW-3"), (41, "COD-RAW-2")]
)
def test_cod_raw_2_a_chunk_is_verbatim_or_shorter_but_no_shorter_than_planes(nbytes, rule):
    chunks = [bytes(40), bytes(nbytes)]
    layer, chunks = stored(chunks, n=20, chunk_values=10)
    assert refusal(layer, chunks) == (rule, "layer w[1]")


@pytest.mark.spec("COD-RAW-2")
def test_cod_raw_2_is_held_against_the_bytes_as_well_as_the_record():
    layer, _ = stored([bytes(40)], n=10)
    for nbytes in (0, 14, 41):
        assert refusal(layer, [bytes(nbytes)]) == ("COD-RAW-2", "layer w[0]")


@pytest.mark.spec("COD-RAW-3")
@pytest.mark.parametrize("change", [-1, 1])
@pytest.mark.parametrize("number", [0, 1, 2])
def test_cod_raw_3_lengths_add_up(number, change):
    chunk = bytearray(encode_tensor("raw", gaussian(F32, 1000), F32).chunks[0])
    chunk[4 * number : 4 * number + 4] = struct.pack(
        "<I", struct.unpack_from("<I", chunk, 4 * number)[0] + change
    )
    assert refusal(*stored([chunk], n=1000)) == ("COD-RAW-3", "layer w[0]")


@pytest.mark.spec("ZST-1", "COD-RAW-3")
def test_planes_of_the_right_sum_but_wrong_sizes_are_refused_by_zst():
    low, side, exponent = bytes(2000), bytes(1000), encode_plane(bytes(1000))
    good = planes(low, side, exponent)
    assert outcome(*stored([good], n=1000)) == "values"
    shifted = planes(low + side[:1], side[1:], exponent)
    assert refusal(*stored([shifted], n=1000)) == ("ZST-1", "layer w[0] plane 0")
    assert refusal(*stored([planes(low, side, b"")], n=1000)) == ("ZST-1", "layer w[0] plane 2")


@pytest.mark.spec("COD-RAW-4")
@pytest.mark.parametrize("chunk", [b"\x00\x01\x02", planes(encode_plane(b"\x02" * 999 + b"\x00"))])
def test_cod_raw_4_bools_are_0_or_1(chunk):
    n = 3 if len(chunk) == 3 else 1000
    found = refusal(*stored([chunk], dtype=DTYPES["bool"], n=n))
    assert found == ("COD-RAW-4", "layer w[0]")


@pytest.mark.spec("LAY-7")
@pytest.mark.parametrize("n", [3, 3000], ids=["verbatim", "planes"])
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_lay_7_the_largest_finite_value_passes_and_the_next_is_refused(dtype, n):
    infinity = ((1 << dtype.exponent_bits) - 1) << dtype.mantissa_bits
    if dtype.name == "float8_e4m3fn":
        infinity = 0x7F  # it has only NaN
    sign = 1 << (8 * dtype.itemsize - 1)
    values = np.zeros(n, f"<u{dtype.itemsize}")
    values[1], values[2] = infinity - 1, (infinity - 1) | sign
    assert _finite_outcome(values, dtype) == "values"
    for worst in (infinity, infinity | sign, infinity | (sign - 1)):
        values[2] = worst
        assert _finite_outcome(values, dtype) == "LAY-7"


def _finite_outcome(words, dtype):
    encoded = encode_tensor("raw", words.view(dtype.storage), dtype)
    layer = layer_for(encoded, dtype, words.shape, finite=True)
    return outcome(layer, encoded.chunks)


@pytest.mark.spec("LAY-4")
def test_a_tensor_that_no_memory_holds_is_refused(monkeypatch):
    def refuse(*_, **__):
        raise MemoryError

    layer, chunks = stored([bytes(16)], n=4)
    monkeypatch.setattr("seedpack.codecs.values.np.empty", refuse)
    assert refusal(layer, chunks) == ("LAY-4", "layer w")


def test_the_record_is_checked_before_any_chunk_is_decoded():
    layer, _ = stored([bytes(16), bytes(16)], n=8, chunk_values=4)
    layer.chunks[1] = Chunk(17, bytes(32))
    assert refusal(layer, [])[0] == "COD-RAW-2"


# ---------------------------------------------------------------- known answers


def test_the_bytes_of_float32_planes_are_those_of_the_specification():
    words = [0x3F800000, 0xBF800001, 0x00000000, 0x80000000, 0x7F7FFFFF, 0xC0490FDB] * 20
    values = np.array(words, "<u4").view("<f4")
    low = struct.pack("<120H", *[word & 0xFFFF for word in words])
    side = bytes([word >> 24 & 0x80 | word >> 16 & 0x7F for word in words])
    exponent = bytes([word >> 23 & 0xFF for word in words])
    assert side[:6].hex() == "008000807fc9"
    assert exponent[:6].hex() == "7f7f0000fe80"
    by_hand = planes(low, side, exponent)[:-1]  # a byte short of verbatim with its header
    assert len(by_hand) == 12 + 480 - 1
    compressed = planes(*map(encode_plane, (low, side, exponent)))
    assert encode_tensor("raw", values, F32).chunks == [compressed]
    assert decode(*stored([compressed], n=120)).tobytes() == values.tobytes()


RUN = "28b52ffd2028430100"  # frame of one run of 40 bytes, but for the byte (RFC 8878, 3.1.1)

PI_TOP = f"{RUN}89{RUN}80"  # side and exponent planes of -pi in float64


@pytest.mark.parametrize(
    ("name", "stored_hex", "decoded_hex"),
    [
        ("uint8", f"0a000000{RUN}07", "07"),
        ("int32", f"{'0a000000' * 4}{RUN}01{RUN}02{RUN}03{RUN}04", "01020304"),
        ("float16", f"{'0a000000' * 2}{RUN}00{RUN}7c", "003e"),
        ("bfloat16", f"{'0a000000' * 2}{RUN}80{RUN}7f", "80bf"),
        ("float32", f"50000000{'0a000000' * 2}{'db0f' * 40}{RUN}c9{RUN}80", "db0f49c0"),
        (
            "float64",
            "50000000" * 3 + "0a000000" * 2 + "182d" * 40 + "4454" * 40 + "fb21" * 40 + PI_TOP,
            "182d4454fb2109c0",
        ),
    ],
)
def test_frozen_chunks_decode_to_frozen_values(name, stored_hex, decoded_hex):
    layer, chunks = stored([bytes.fromhex(stored_hex)], dtype=DTYPES[name], n=40)
    assert decode(layer, chunks).tobytes().hex() == decoded_hex * 40
