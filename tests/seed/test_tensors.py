"""Decoded tensors from checked chunks (spec: steps 6 to 8)."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from safetensors.numpy import save_file

from seedpack.codecs.raw import RawDecoder
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError, IntegrityError
from seedpack.extract import extract
from seedpack.seed import tensors
from seedpack.seed.contents import Contents
from seedpack.seed.opening import open_unverified
from seedpack.seed.tensors import decode_layers
from tests.builders import (
    LAYERS,
    TensorData,
    damage,
    replace,
    shape_of,
    tensor_digest_by_hand,
)
from tests.refusals import refused, refused_by

MIB = 1 << 20
PATTERN = bytes(range(251))


def layer_of(name: str, nbytes: int) -> TensorData:
    raw = (PATTERN * (nbytes // 251 + 1))[:nbytes]
    return TensorData(name, raw, chunk_nbytes=MIB)


def lie(number: int, **changes: object):
    """Change the record of one layer."""

    def patch(manifest):
        layers = list(manifest.layers)
        layers[number] = replace(layers[number], **changes)
        return {"layers": layers}

    return patch


def content(tensor: tensors.Tensor) -> bytes:
    return tensor.array.tobytes()


# ---------------------------------------------------------------- values


@pytest.mark.spec("LAY-8")
def test_tensors_come_in_manifest_order_with_shape_and_type(opened):
    _, seed = opened()
    decoded = list(decode_layers(seed))
    assert [tensor.name for tensor in decoded] == [layer.name for layer in LAYERS]
    for tensor, layer in zip(decoded, LAYERS, strict=True):
        assert tensor.dtype is DTYPES[layer.dtype]
        assert tensor.array.shape == shape_of(layer)
        assert tensor.array.dtype == np.dtype(tensor.dtype.storage)
        assert content(tensor) == layer.raw


@pytest.mark.spec("LAY-8")
@pytest.mark.parametrize("algorithm", ["blake3-256", "sha2-256"])
def test_the_digest_is_that_of_the_specification(opened, algorithm):
    # the builder computes it by hand, from section 7 alone
    _, seed = opened(digest_algorithm=algorithm)
    assert len(list(decode_layers(seed))) == 3


def test_layers_are_chosen_by_name(opened):
    _, seed = opened()
    assert [tensor.name for tensor in decode_layers(seed, layers="*e*")] == ["embed", "dense"]
    with pytest.raises(ValueError):
        list(decode_layers(seed, layers="x"))


def test_empty_and_zero_dimensional_tensors_decode(opened):
    layers = [
        TensorData("none", b"", shape=(0, 3)),
        TensorData("scalar", b"\x07\x00", "uint16", shape=()),
    ]
    _, seed = opened(layers=layers, attachments=[])
    none, scalar = decode_layers(seed)
    assert none.array.shape == (0, 3)
    assert (scalar.array.shape, scalar.array.tolist()) == ((), 7)


# ---------------------------------------------------------------- large and small layers


@pytest.mark.parametrize("nbytes", [8 * MIB, 8 * MIB + 1, 10 * MIB + 17])
def test_layers_of_every_size_decode_to_the_same(opened, nbytes):
    layers = [layer_of("small", 1_000), layer_of("large", nbytes), layer_of("after", 70)]
    _, seed = opened(layers=layers)
    decoded = list(decode_layers(seed))
    assert [tensor.name for tensor in decoded] == ["small", "large", "after"]
    assert all(content(t) == layer.raw for t, layer in zip(decoded, layers, strict=True))


def test_many_large_layers_come_in_order(opened):
    layers = [layer_of(f"l{i}", 9 * MIB if i % 3 else 100) for i in range(9)]
    _, seed = opened(layers=layers, attachments=[])
    for tensor, layer in zip(decode_layers(seed), layers, strict=True):
        assert (tensor.name, content(tensor) == layer.raw) == (layer.name, True)


def test_only_large_layers_are_spread_over_threads(opened, monkeypatch):
    threads: dict[str, set[int]] = {}
    chunks: dict[str, list[int]] = {}
    real = RawDecoder.decode_chunk
    together = threading.Barrier(2, timeout=60)

    def decode_chunk(self, index, stored):
        name = self._layer.name
        threads.setdefault(name, set()).add(threading.get_ident())
        chunks.setdefault(name, []).append(index)
        if name == "large" and index < 2:
            together.wait()  # needs two threads at once
        real(self, index, stored)

    monkeypatch.setattr(RawDecoder, "decode_chunk", decode_chunk)
    monkeypatch.setattr(tensors, "layer_thread_count", lambda **_: 2)
    _, seed = opened(layers=[layer_of("small", 8 * MIB), layer_of("large", 8 * MIB + 1)])
    list(decode_layers(seed))
    assert len(threads["small"]) == 1
    assert chunks["small"] == list(range(8))
    assert len(threads["large"]) == 2
    assert sorted(chunks["large"]) == list(range(9))


@pytest.mark.parametrize(
    "layers, waiting", [(None, True), ("n*", False), ("m", True)], ids=["all", "raw", "ecq"]
)
def test_there_are_more_threads_than_cores_only_where_some_take_turns(
    tmp_path, monkeypatch, layers, waiting
):
    asked = []

    def count(*, waiting):
        asked.append(waiting)
        return 1

    matrix = np.random.default_rng(0).standard_normal((64, 64), np.float32)
    model, path = tmp_path / "model.safetensors", tmp_path / "model.seed"
    save_file({"m": matrix, "n0": matrix[0], "n1": matrix[1]}, model)
    extract(model, path, name="team/model", codec="ecq")
    monkeypatch.setattr(tensors, "layer_thread_count", count)
    with open_unverified(path) as seed:
        assert list(decode_layers(seed, layers=layers))
    assert asked == [waiting]


@pytest.mark.parametrize("nbytes, ahead", [(2_133, 4), (3_200, 2), (3_201, 2), (6_400, 1)])
def test_a_bounded_amount_is_decoded_ahead_of_the_consumer(opened, monkeypatch, nbytes, ahead):
    started = []
    real = tensors._start_layer

    def start(seed, layer, *others):
        started.append(layer.name)
        return real(seed, layer, *others)

    assert tensors._AHEAD_NBYTES == 64 * MIB
    monkeypatch.setattr(tensors, "_AHEAD_NBYTES", 6_400)
    monkeypatch.setattr(tensors, "_start_layer", start)
    layers = [layer_of(f"l{i}", nbytes) for i in range(ahead + 3)]
    _, seed = opened(layers=layers, attachments=[])
    decoded = decode_layers(seed)
    for taken in range(1, 4):
        next(decoded)
        assert len(started) == ahead + taken - 1
    decoded.close()
    assert len(started) == ahead + 2


def test_a_consumer_may_stop_early(opened, monkeypatch):
    begun = []
    real = tensors._decode_batch

    def decode_batch(*work):
        begun.append(work)
        real(*work)

    monkeypatch.setattr(tensors, "layer_thread_count", lambda **_: 1)
    monkeypatch.setattr(tensors, "_decode_batch", decode_batch)
    _, seed = opened(layers=[layer_of(f"l{i}", 30 * MIB) for i in range(4)], attachments=[])
    before = set(threading.enumerate())
    decoded = decode_layers(seed)
    assert next(decoded).name == "l0"
    threads = set(threading.enumerate()) - before
    decoded.close()
    for thread in threads:
        thread.join()
    assert threads
    assert len(begun) < 120  # what has not begun is left out


def test_an_abandoned_iterator_may_be_collected_by_one_of_its_own_threads(opened, monkeypatch):
    holder = [None]  # the last reference, but for that of the collector
    collected = threading.Event()
    real = tensors._decode_batch

    def decode_batch(seed, decoder, *work):
        if decoders.setdefault("first", decoder) is not decoder:
            assert is_abandoned.wait(60)
            holder.clear()  # closes the iterator here, as a collection that begins here does
            collected.set()
        real(seed, decoder, *work)

    decoders = {}
    is_abandoned = threading.Event()
    monkeypatch.setattr(tensors, "layer_thread_count", lambda **_: 1)
    monkeypatch.setattr(tensors, "_decode_batch", decode_batch)
    _, seed = opened(layers=[layer_of(f"l{i}", 30 * MIB) for i in range(4)], attachments=[])
    before = set(threading.enumerate())
    holder[0] = decode_layers(seed)
    next(holder[0])
    threads = set(threading.enumerate()) - before
    is_abandoned.set()
    assert collected.wait(60)
    for thread in threads:  # what it has begun, it ends, and other tests watch the decoder, too
        thread.join(60)
        assert not thread.is_alive()


# ---------------------------------------------------------------- refusals


@pytest.mark.spec("CHK-2")
@pytest.mark.parametrize("nbytes", [100, 9 * MIB])
def test_damage_is_noticed_before_a_decoder_sees_it(opened, path, monkeypatch, nbytes):
    seen = []
    real = RawDecoder.decode_chunk

    def decode_chunk(self, index, stored):
        seen.append(index)
        real(self, index, stored)

    monkeypatch.setattr(RawDecoder, "decode_chunk", decode_chunk)
    _, seed = opened(layers=[layer_of("x", nbytes)])
    damage(path, seed, 0)
    with refused_by(IntegrityError, "CHK-2"):
        list(decode_layers(seed))
    assert 0 not in seen


@pytest.mark.spec("CHK-2")
def test_the_decoder_gets_the_very_buffer_that_was_digested(opened, monkeypatch):
    digested, decoded = [], []
    real_read, real_decode = Contents.read_chunk, RawDecoder.decode_chunk

    def read_chunk(self, chunk, buffer):
        digested.append(id(buffer))
        assert len(buffer) == chunk.stored_nbytes
        return real_read(self, chunk, buffer)

    def decode_chunk(self, index, stored):
        decoded.append(id(stored.obj))
        real_decode(self, index, stored)

    monkeypatch.setattr(Contents, "read_chunk", read_chunk)
    monkeypatch.setattr(RawDecoder, "decode_chunk", decode_chunk)
    _, seed = opened(layers=LAYERS[:1])
    list(decode_layers(seed))
    assert digested == decoded
    assert len(decoded) == 4


@pytest.mark.spec("LAY-8")
@pytest.mark.parametrize("nbytes", [100, 9 * MIB])
def test_a_tensor_that_is_not_what_was_signed_is_refused(opened, nbytes):
    right, seed = opened(layers=[layer_of("x", nbytes)], patch=lie(0, digest=b"\x0a" * 32))
    actual = tensor_digest_by_hand("blake3-256", layer_of("x", nbytes)).hex()[:16]
    message = f"decoded tensor has digest {actual}, signed is {'0a' * 8}"
    hint = "the publisher's writer or this reader's codec is at fault; report it"
    with refused(IntegrityError, "LAY-8", "layer x", message, hint):
        list(decode_layers(seed))
    assert right.manifest.layers[0].digest == b"\x0a" * 32


@pytest.mark.spec("LAY-8")
@pytest.mark.parametrize("change", [{"shape": [50, 4]}, {"dtype": "int8"}, {"shape": [200]}])
def test_shape_and_type_are_part_of_the_digest(opened, change):
    _, seed = opened(patch=lie(0, **change))
    with refused_by(IntegrityError, "LAY-8"):
        list(decode_layers(seed))


@pytest.mark.spec("CHK-3")
@pytest.mark.parametrize("nbytes", [100, 9 * MIB])
def test_params_that_do_not_fit_are_refused(opened, nbytes):
    _, seed = opened(layers=[layer_of("x", nbytes)], patch=lie(0, params={"chunk_values": 7}))
    with refused_by(CodecError, "CHK-3"):
        list(decode_layers(seed))


@pytest.mark.spec("LAY-7")
def test_a_tensor_declared_finite_holds_no_nan(opened):
    nan = TensorData("x", b"\x00\x00\xc0\x7f", "float32")
    _, seed = opened(layers=[nan])
    with refused_by(CodecError, "LAY-7"):
        list(decode_layers(seed))
    _, seed = opened(layers=[nan], patch=lie(0, finite=False))
    (tensor,) = decode_layers(seed)
    assert np.isnan(tensor.array).all()


# ---------------------------------------------------------------- absent chunks


@pytest.mark.spec("PRT-3")
def test_a_layer_that_lacks_a_chunk_is_refused_or_left_out(opened):
    _, seed = opened(absent=[2])
    with refused_by(IntegrityError, "PRT-3"):
        list(decode_layers(seed))
    with refused_by(IntegrityError, "PRT-3"):
        list(decode_layers(seed, layers="embed"))
    assert [t.name for t in decode_layers(seed, skip_absent=True)] == ["dense", "bias"]
    assert list(decode_layers(seed, layers="embed", skip_absent=True)) == []
