"""What is left of a seed beyond repair: verified bytes only, and never a verified tensor (SLV)."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs.registry import CODEC_IDS, PARTIAL_IDS
from seedpack.container.stripes import stripe_layout
from seedpack.errors import IntegrityError
from seedpack.extract import extract
from seedpack.seed import salvage as module
from seedpack.seed.opening import open_unverified
from seedpack.seed.repair import RepairReport, find_copies, repair_seed
from seedpack.seed.salvage import Gain, Salvage
from seedpack.seed.tensors import Tensor, decode_layers
from tests.builders import TensorData, damage, replace
from tests.extract.test_scattering import make_model
from tests.refusals import refused_by

LAYERS = [
    TensorData("matrix", np.arange(1, 129, dtype="<f4").tobytes(), "float32", (8, 16)),
    TensorData("vector", np.arange(1000, 1032, dtype="<f4").tobytes(), "float32"),
    TensorData("bytes", bytes(range(1, 201))),
]
HALF = st.sets(st.integers(0, 12))


def indices(seed, name):
    """Return the chunk indices of one layer."""
    return [c.index for layer, chunks in seed.layers() if layer.name == name for c in chunks]


def salvaged(seed, gain=Gain.NONE):
    return {tensor.name: tensor for tensor in Salvage(seed).tensors(gain=gain)}


def make(folder, **options):
    """Return a seed of a model of random matrices, open, and its values."""
    path = folder / "a.seed"
    extract(make_model(folder), path, name="a", overwrite=True, **options)
    seed = open_unverified(path)
    return path, seed, {tensor.name: tensor.array for tensor in decode_layers(seed)}


# ---------------------------------------------------------------- what is known


@pytest.mark.spec("SLV-1", "SLV-4")
@given(HALF)
def test_values_of_lost_chunks_are_zero_and_all_others_as_signed(tmp_path_factory, lost):
    folder = tmp_path_factory.mktemp("salvage")
    path, seed, values = make(folder, codec="raw", interleave=True)
    with seed:
        layer, chunks = next(pair for pair in seed.layers() if len(pair[1]) > 3)
        gone = [chunks[i].index for i in lost if i < len(chunks)]
        damage(path, seed, *gone)
        found = salvaged(seed)
        for name, tensor in found.items():
            same = tensor.array == values[name]
            assert tensor.loss.missing == (~same).sum()
            assert not tensor.array[~same].any()
            assert (tensor.loss.missing > 0) == (bool(gone) and name == layer.name)


@pytest.mark.spec("SLV-4")
def test_what_is_lost_is_made_up_for(opened, path):
    _, seed = opened(layers=LAYERS, attachments=[])
    damage(path, seed, indices(seed, "matrix")[0], indices(seed, "vector")[1])
    plain, norm, response = (salvaged(seed, gain) for gain in Gain)
    known = plain["matrix"].array != 0
    share = known.mean(axis=1, keepdims=True)
    assert 0 < plain["matrix"].loss.missing < 128
    wanted = {g: np.where(share > 0, share, 1) ** p for g, p in (("norm", -0.5), ("response", -1))}
    for found, name in ((norm, "norm"), (response, "response")):
        expected = plain["matrix"].array * wanted[name]
        assert np.allclose(found["matrix"].array, expected, rtol=1e-6)
    vector = response["vector"]
    assert vector.loss.missing == 16
    assert np.unique(vector.array[16:]).tolist() == [1007.5]  # the mean of the first half
    assert response["bytes"].array.tobytes() == bytes(range(1, 201))


@pytest.mark.spec("SLV-4")
def test_a_layer_of_which_nothing_is_left_is_zero(opened, path):
    _, seed = opened(layers=LAYERS, attachments=[])
    damage(path, seed, *indices(seed, "vector"), *indices(seed, "bytes"))
    found = salvaged(seed, Gain.RESPONSE)
    for name in ("vector", "bytes"):
        assert not found[name].array.any()
        assert found[name].loss.missing == found[name].array.size
    assert found["matrix"].loss.missing == 0


@pytest.mark.spec("SLV-3")
def test_a_layer_whose_chunks_need_each_other_is_lost_altogether(tmp_path):
    random = np.random.default_rng(3)
    values = random.normal(0, 1, (100, 300)).astype(np.float32)
    values[random.random(values.shape) < 0.9] = 0
    from safetensors.numpy import save_file

    save_file({"w": values}, tmp_path / "m.safetensors")
    extract(
        tmp_path / "m.safetensors", tmp_path / "a.seed", name="a", codec="sparse", chunk_nbytes=1024
    )
    with open_unverified(tmp_path / "a.seed") as seed:
        assert seed.manifest.layers[0].codec == "sparse"
        damage(tmp_path / "a.seed", seed, 1)
        (tensor,) = Salvage(seed).tensors()
    assert tensor.loss.missing == values.size
    assert not tensor.array.any()
    assert PARTIAL_IDS < CODEC_IDS


def test_top_bits_are_coarse_values(tmp_path):
    path, seed, values = make(tmp_path, codec="ecq", protect_top_bits=True)
    with seed:
        layer, chunks = next(pair for pair in seed.layers() if "low_step" in pair[0].params)
        low = len(chunks) - layer.params.get("copies_behind", 0) - 1
        damage(path, seed, chunks[low].index)
        tensor = salvaged(seed)[layer.name]
    (top_step,) = np.frombuffer(layer.params["step"], "<f4")
    assert tensor.loss.missing == 0
    assert tensor.loss.coarse > 0
    assert np.abs(tensor.array - values[layer.name]).max() <= top_step


# ---------------------------------------------------------------- restored first


@pytest.mark.spec("SLV-2")
def test_parity_restores_the_stripes_that_it_covers(opened, path):
    values = bytes(range(256)) + bytes(range(256))[::-1]
    even = [TensorData("even", values)]
    built, seed = opened(layers=even, attachments=[], parity=50)
    data = [chunk.stored_nbytes for chunk in built.manifest.data_chunks]
    first, second = stripe_layout(data, built.manifest.parity.stripe_nchunks, 50)
    damage(path, seed, *first.members[:2], *second.members[:3])
    salvage = Salvage(seed)
    assert salvage.lost == set(second.members[:3])
    (tensor,) = salvage.tensors()
    lost = np.zeros(512, bool)
    for index in second.members[:3]:
        lost[64 * index : 64 * index + 64] = True
    expected = np.frombuffer(values, np.uint8)
    assert tensor.array.tolist() == np.where(lost, 0, expected).tolist()


@pytest.mark.spec("SLV-2", "COD-SCA-6")
def test_a_copy_restores_a_chunk_exactly(tmp_path):
    path, seed, _ = make(tmp_path, codec="ecq", protect_top_bits=True)
    good = path.read_bytes()
    with seed:
        copied = [c.index for c in seed.chunks if find_copies(seed, {c.index})]
        assert len(copied) > 20
        early = copied[: len(copied) // 2]
        damage(path, seed, *early)
        assert not Salvage(seed).lost
        report = repair_seed(seed, tmp_path / "fixed.seed")
        assert report == RepairReport(len(seed.chunks), early)
    assert (tmp_path / "fixed.seed").read_bytes() == good


@pytest.mark.spec("SLV-2")
def test_a_copy_of_what_parity_restores_is_restored_too(tmp_path):
    path, seed, values = make(tmp_path, codec="ecq", protect_top_bits=True, parity_percent=100)
    with seed:
        pairs = {}
        for chunk in seed.chunks:
            pairs.setdefault(chunk.digest, []).append(chunk.index)
        first, second = next(pair for pair in pairs.values() if len(pair) == 2)
        damage(path, seed, first, second)
        salvage = Salvage(seed)
        assert salvage.is_whole
        found = {tensor.name: tensor.array for tensor in salvage.tensors()}
        for name, array in values.items():
            assert found[name].tobytes() == array.tobytes()


@pytest.mark.spec("SLV-2")
def test_of_two_stripes_a_copy_is_taken_from_the_one_that_can_be_restored(opened, path):
    values = bytes(64) + bytes(64) + bytes(range(128)) + bytes(range(255, -1, -1))
    built, seed = opened(layers=[TensorData("w", values)], attachments=[], parity=50)
    data = [chunk.stored_nbytes for chunk in built.manifest.data_chunks]
    first, second = stripe_layout(data, built.manifest.parity.stripe_nchunks, 50)
    assert (first.members[0], second.members[0]) == (0, 1)
    damage(path, seed, *first.members[:3], 1)
    assert Salvage(seed).lost == set(first.members[1:3])


# ---------------------------------------------------------------- never unverified


@pytest.mark.spec("SLV-1")
def test_no_doctored_chunk_ever_reaches_a_decoder(tmp_path, monkeypatch):
    """Each chunk is replaced by another valid one of its layer: right form, wrong digest."""
    path, seed, _ = make(tmp_path, codec="ecq", interleave=True)
    with seed:
        _, chunks = next(pair for pair in seed.layers() if len(pair[1]) > 3)
        signed = {chunk.digest for chunk in seed.chunks}
        data = bytearray(path.read_bytes())
        one, other = chunks[0], chunks[1]
        size = min(one.stored_nbytes, other.stored_nbytes)
        data[one.offset : one.offset + size] = data[other.offset : other.offset + size]
        data[chunks[2].offset + 3] ^= 1
        path.write_bytes(data)
        seen = []
        real = module.make_decoder

        def watched(*given):
            decoder = real(*given)
            decode = decoder.decode_chunk

            def decode_chunk(index, stored):
                seen.append(bytes(stored))
                decode(index, stored)

            decoder.decode_chunk = decode_chunk
            return decoder

        monkeypatch.setattr(module, "make_decoder", watched)
        salvage = Salvage(seed)
        assert {one.index, chunks[2].index} <= salvage.lost
        assert sum(tensor.loss.lost_chunks for tensor in salvage.tensors()) == len(salvage.lost)
        from seedpack.crypto.digests import digest

        assert seen
        assert {digest(seed.manifest.digest_algorithm, stored) for stored in seen} <= signed


@pytest.mark.spec("SLV-1")
def test_what_changes_while_it_is_salvaged_is_refused(opened, path):
    _, seed = opened(layers=LAYERS, attachments=[])
    first, second, *_ = indices(seed, "matrix")
    damage(path, seed, first)
    salvage = Salvage(seed)
    damage(path, seed, second)
    with refused_by(IntegrityError, "CHK-2"):
        list(salvage.tensors())


def with_wrong_digest(manifest):
    """Sign another digest for the first layer than it decodes to."""
    first, *others = manifest.layers
    return {"layers": [replace(first, digest=bytes(32)), *others]}


@pytest.mark.spec("SLV-5")
@pytest.mark.parametrize("chunk", [0, 9])
def test_layers_without_loss_must_have_their_signed_digest(opened, path, chunk):
    _, seed = opened(layers=LAYERS, attachments=[], parity=100, patch=with_wrong_digest)
    damage(path, seed, chunk)  # the first layer's, and so restored; or another one's
    salvage = Salvage(seed)
    assert (salvage.damaged, salvage.is_whole) == ({chunk}, True)
    with refused_by(IntegrityError, "LAY-8"):
        list(salvage.tensors())


@pytest.mark.spec("SLV-6")
def test_a_salvaged_tensor_is_no_tensor(opened, path):
    _, seed = opened(layers=LAYERS, attachments=[])
    damage(path, seed, 0)
    for tensor in Salvage(seed).tensors():
        assert not isinstance(tensor, Tensor)


def test_attachments_that_are_not_whole_are_named(opened, path):
    _, seed = opened()
    attachment, chunks = seed.attachments()[0]
    damage(path, seed, chunks[0].index)
    found, lacking = Salvage(seed).attachments()
    assert lacking == [attachment.name]
    assert attachment.name not in found
    assert found.keys() == {other.name for other, _ in seed.attachments()[1:]}
