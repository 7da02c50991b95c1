"""A model becomes a seed: bit for bit, the same each time, and nothing that no reader takes."""

from __future__ import annotations

import subprocess
import sys
import threading

import numpy as np
import pytest
import safetensors.numpy
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import CODEC_IDS, encode_tensor
from seedpack.codecs.registry import BASED_IDS
from seedpack.container.stripes import stripe_layout
from seedpack.crypto.digests import digest
from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError, StoreError
from seedpack.extract import Choice, Coding, Publication, extract, publish
from seedpack.extract.coding import Storage
from seedpack.extract.layers import encode_layer, encode_layers
from seedpack.extract.redundancy import default_chunk_nbytes
from seedpack.frameworks import NamedTensor, TensorInfo, open_model
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.parallel import thread_count
from seedpack.seed.repair import repair_seed
from seedpack.seed.tensors import decode_layers
from seedpack.seed.verify import verify_seed
from tests.builders import CREATED, NOW, make_claim, make_key, trusting
from tests.codecs.laws import gaussian
from tests.frameworks.models import write_safetensors_by_hand
from tests.limits import UNMEASURED

KEY = make_key()
RAW = Coding("raw")
MIB = Storage(1 << 20, "blake3-256")


@pytest.fixture
def arrays():
    random = np.random.default_rng(0)
    return {
        "matrix": random.normal(0, 0.02, (64, 96)).astype(np.float32),
        "vector": random.normal(0, 1, 96).astype(np.float32),
        "half": random.normal(0, 1, (8, 8)).astype(np.float16),
        "count": np.array(7, np.int64),
        "mask": np.array([[True, False]]),
        "empty": np.zeros((0, 3), np.float32),
    }


@pytest.fixture
def model(arrays, tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(arrays, path)
    return path


def make(model, output, **options):
    options = {"name": "acme/m", "created": CREATED, "key": KEY} | options
    return extract(model, output, **options)


def opened(path):
    return open_seed(path, store=trusting(KEY), now=NOW)


def decoded(path):
    with open_unverified(path) as contents:
        return {t.name: t.array for t in decode_layers(contents)}


def test_raw_seed_gives_back_every_tensor_bit_for_bit(model, arrays, tmp_path):
    report = make(model, tmp_path / "m.seed")
    with opened(tmp_path / "m.seed") as seed:
        assert verify_seed(seed, decode=True).is_whole
        manifest = seed.manifest
        assert report.seed_id == seed.id
    found = decoded(tmp_path / "m.seed")
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].tobytes() == array.tobytes()
        assert found[name].shape == array.shape
    assert report.fallbacks == ()
    assert report.file_nbytes == (tmp_path / "m.seed").stat().st_size
    assert report.raw_nbytes == sum(a.nbytes for a in arrays.values()) == manifest.decoded_nbytes
    assert report.ratio == report.raw_nbytes / report.file_nbytes
    assert manifest.recipe == {"source": "safetensors", "codec": "raw"}
    assert (manifest.name, manifest.version, manifest.created) == ("acme/m", 1, CREATED)
    assert (manifest.architecture, manifest.attachments, manifest.parity) == (None, [], None)


def test_options_reach_the_manifest(model, tmp_path):
    claim = make_claim()
    make(
        model,
        tmp_path / "m.seed",
        version=5,
        expires=NOW + 1,
        digest_algorithm="sha2-256",
        claims=[claim],
    )
    with opened(tmp_path / "m.seed") as seed:
        assert verify_seed(seed, decode=True).is_whole
        assert (seed.manifest.version, seed.manifest.expires) == (5, NOW + 1)
        assert seed.manifest.digest_algorithm == "sha2-256"
        assert seed.manifest.claims == [claim]


def test_seed_without_key_has_no_signature(model, tmp_path):
    make(model, tmp_path / "m.seed", key=None)
    with open_unverified(tmp_path / "m.seed") as contents:
        assert contents.header.records == []


@pytest.mark.spec("EXT-15")
@pytest.mark.parametrize("parity", [None, 30])
def test_EXT_15_same_input_and_key_give_the_same_file(model, tmp_path, parity):
    for name in ("a", "b"):
        make(model, tmp_path / name, parity_percent=parity, codec="q8")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.spec("EXT-15")
def test_EXT_15_time_comes_from_the_environment(model, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234")
    make(model, tmp_path / "a", created=None)
    make(model, tmp_path / "b", created=None)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    with open_unverified(tmp_path / "a") as contents:
        assert contents.manifest.created == 1234
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    with pytest.raises(ExtractError) as caught:
        make(model, tmp_path / "c", created=None)
    assert caught.value.rule == "EXT-15"


@pytest.mark.spec("EXT-13")
def test_EXT_13_lossy_codec_takes_finite_float_matrices_only(model, arrays, tmp_path):
    bad = arrays["matrix"].copy()
    bad[0, 0] = np.nan
    safetensors.numpy.save_file({**arrays, "nan": bad}, model)
    report = make(model, tmp_path / "m.seed", codec="q8")
    codecs = {layer.name: layer.codec for layer in report.layers}
    assert codecs["matrix"] == "q8"
    assert {codecs[name] for name in ("vector", "mask", "empty", "nan")} == {"raw"}
    assert set(report.fallbacks) == {name for name, codec in codecs.items() if codec == "raw"}
    found = decoded(tmp_path / "m.seed")
    assert found["nan"].tobytes() == bad.tobytes()
    assert found["vector"].tobytes() == arrays["vector"].tobytes()
    error = np.abs(found["matrix"] - arrays["matrix"]).max()
    assert 0 < error <= np.abs(arrays["matrix"]).max() / 127
    with opened(tmp_path / "m.seed") as seed:
        finite = {layer.name: layer.finite for layer in seed.manifest.layers}
        assert verify_seed(seed, decode=True).is_whole
    assert finite.pop("nan") is False
    assert all(finite.values())


@pytest.mark.spec("EXT-20")
@pytest.mark.parametrize("codec", ["ecq", "init", "q8", "raw"])
def test_EXT_20_constant_tensors_take_no_chunk_whatever_the_codec(codec, tmp_path):
    arrays = {
        "bias": np.zeros(768, np.float32),
        "norm": np.ones(768, np.float16),
        "table": np.full((12, 12), 3.5, np.float32),
        "nan": np.full(9, np.nan, np.float32),
        "scalar": np.array(7, np.int64),
        "mask": np.ones((3, 3), np.bool_),
    }
    safetensors.numpy.save_file(
        {**arrays, "w": gaussian(DTYPES["float32"], 960).reshape(30, 32)}, tmp_path / "m"
    )
    report = make(
        (tmp_path / "m").rename(tmp_path / "m.safetensors"), tmp_path / "m.seed", codec=codec
    )
    assert {layer.name for layer in report.layers if layer.codec == "const"} == arrays.keys()
    assert sum(layer.stored_nbytes for layer in report.layers if layer.name != "w") == 0
    assert set(report.fallbacks) <= {"w"}
    found = decoded(tmp_path / "m.seed")
    assert all(found[name].tobytes() == array.tobytes() for name, array in arrays.items())


@pytest.mark.parametrize("count", [1, 15])
@pytest.mark.parametrize("codec", sorted(CODEC_IDS - BASED_IDS))
def test_no_seed_of_any_codec_is_larger_than_the_raw_one(codec, count, tmp_path):
    shapes = [(4, 4), (8, 8), (3, 3, 3, 3), (16, 2), (9,), (30, 40), (), (0, 3)] * count
    random = np.random.default_rng(count)
    arrays = {f"t{i}": random.normal(0, 0.1, s).astype("<f4") for i, s in enumerate(shapes)}
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors")
    sizes = [
        make(tmp_path / "m.safetensors", tmp_path / one, codec=one, overwrite=True).file_nbytes
        for one in ("raw", codec)
    ]
    assert sizes[1] <= sizes[0] + len(codec)  # the recipe names it


@given(st.data())
def test_every_tensor_survives_raw_encoding(data):
    dtype = DTYPES[data.draw(st.sampled_from(sorted(DTYPES)))]
    shape = tuple(data.draw(st.lists(st.integers(0, 5), max_size=3)))
    info = TensorInfo("t", dtype, shape)
    values = data.draw(st.binary(min_size=info.nbytes, max_size=info.nbytes))
    if dtype.kind == "bool":
        values = bytes(value & 1 for value in values)
    encoded = encode_layer(NamedTensor(*info, values), RAW, MIB._replace(chunk_raw_nbytes=16))
    assert encoded.raw_nbytes == info.nbytes
    assert encoded.layer.shape == list(shape)
    assert [c.stored_nbytes for c in encoded.layer.chunks] == [len(s) for s in encoded.stored]
    assert [c.digest for c in encoded.layer.chunks] == [
        digest("blake3-256", s) for s in encoded.stored
    ]


def test_layers_keep_the_order_of_the_tensors_and_memory_stays_bounded(monkeypatch):
    monkeypatch.setattr("seedpack.extract.layers._AHEAD_NBYTES", 8 << 20)
    noise = np.random.default_rng(0).bytes(1 << 20)  # takes as much when it is stored
    asked = []

    def tensors():
        for number in range(40):
            asked.append(number)
            yield NamedTensor(f"t{number}", DTYPES["uint8"], (1 << 20,), noise)

    for number, encoded in enumerate(encode_layers(tensors(), RAW, MIB)):
        assert encoded.layer.name == f"t{number}"
        # 8 MiB in work: eight tensors, and the one in hand.
        assert len(asked) - number <= 9


@pytest.mark.skipif(thread_count() < 2, reason="one core: nothing runs beside anything")
def test_tensors_behind_a_large_one_are_taken_in_while_it_is_encoded(monkeypatch):
    monkeypatch.setattr("seedpack.extract.layers._AHEAD_NBYTES", 1 << 20)
    all_given = threading.Event()

    def wait_for_others(matrix, dtype, chunk_raw_nbytes):
        assert all_given.wait(60)
        return encode_tensor("ecq", matrix, dtype, chunk_raw_nbytes=chunk_raw_nbytes)

    def tensors():
        for number, nvalues in enumerate([200_000, *[20_000] * 12]):
            values = gaussian(DTYPES["float32"], nvalues, seed=number)
            yield NamedTensor(str(number), DTYPES["float32"], (nvalues, 1), values.tobytes())
        all_given.set()

    coding = Coding("ecq", {"0": Choice("ecq", encode=wait_for_others)})
    found = list(encode_layers(tensors(), coding, MIB))
    assert [encoded.layer.name for encoded in found] == [str(number) for number in range(13)]


@pytest.mark.spec("EXT-6")
def test_EXT_6_bool_that_is_neither_0_nor_1_is_refused(tmp_path):
    header = {"b": {"dtype": "BOOL", "shape": [1], "data_offsets": [0, 1]}}
    path = write_safetensors_by_hand(tmp_path / "m.safetensors", header, b"\x02")
    with pytest.raises(ExtractError) as caught:
        make(path, tmp_path / "m.seed")
    assert caught.value.rule == "EXT-6"
    assert not (tmp_path / "m.seed").exists()


@pytest.mark.spec("EXT-14")
@pytest.mark.parametrize(
    "options, rule",
    [
        ({"name": "Acme/M"}, "MAN-11"),
        ({"name": ""}, "MAN-11"),
        ({"expires": CREATED}, "MAN-7"),
        ({"version": 2**53}, "MAN-8"),
        ({"version": 2**64}, "MAN-5"),
        ({"created": -1}, "MAN-5"),
        ({"digest_algorithm": "md5"}, "MAN-13"),
        ({"claims": [make_claim(value="1e9")]}, "MAN-15"),
    ],
)
def test_EXT_14_what_no_reader_would_accept_is_refused_before_any_work(
    model, tmp_path, options, rule
):
    calls = []
    with pytest.raises(ExtractError) as caught:
        make(model, tmp_path / "m.seed", progress=lambda *args: calls.append(args), **options)
    assert caught.value.rule == rule
    assert calls == []
    assert not (tmp_path / "m.seed").exists()


@pytest.mark.parametrize(
    "options", [{"codec": "zip"}, {"parity_percent": 0}, {"parity_percent": 1001}]
)
def test_wrong_calls_are_value_errors(model, tmp_path, options):
    with pytest.raises(ValueError, match=r"codec|parity"):
        make(model, tmp_path / "m.seed", **options)


def test_existing_files_are_replaced_only_when_asked(model, tmp_path):
    (tmp_path / "m.seed").write_bytes(b"mine")
    with pytest.raises(StoreError) as caught:
        make(model, tmp_path / "m.seed")
    assert caught.value.rule == "OUT-2"
    assert (tmp_path / "m.seed").read_bytes() == b"mine"
    make(model, tmp_path / "m.seed", overwrite=True)
    assert decoded(tmp_path / "m.seed")


def test_failure_in_the_middle_leaves_nothing_behind(model, tmp_path):
    def fail(done, total):
        raise KeyboardInterrupt

    before = set(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        make(model, tmp_path / "m.seed", progress=fail)
    assert set(tmp_path.iterdir()) == before


def test_progress_ends_at_the_whole(model, arrays, tmp_path):
    calls = []
    make(model, tmp_path / "m.seed", progress=lambda *args: calls.append(args))
    total = sum(a.nbytes for a in arrays.values())
    assert calls[-1] == (total, total)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)


def test_parity_restores_what_it_promises(tmp_path):
    random = np.random.default_rng(1)
    model, seed = tmp_path / "m.safetensors", tmp_path / "m.seed"
    safetensors.numpy.save_file({"w": random.normal(size=(200, 200)).astype(np.float32)}, model)
    report = make(model, seed, parity_percent=25)
    whole = seed.read_bytes()
    with opened(seed) as contents:
        chunks = contents.chunks
        manifest = contents.manifest
    assert report.parity_nbytes == sum(c.stored_nbytes for c in manifest.parity.chunks)
    assert len(manifest.data_chunks) >= 128
    start, length = chunks[0].offset, len(whole) - chunks[0].offset
    damaged = bytearray(whole)
    for i in range(start + length // 3, start + length // 3 + length // 6):
        damaged[i] ^= 0xFF
    seed.write_bytes(damaged)
    with opened(seed) as contents:
        assert repair_seed(contents, tmp_path / "fixed.seed").lost
    assert (tmp_path / "fixed.seed").read_bytes() == whole


@pytest.mark.parametrize("percent", [1, 20, 300, 1000])
def test_stripes_of_any_parity_are_possible(model, tmp_path, percent):
    make(model, tmp_path / "m.seed", parity_percent=percent)
    with opened(tmp_path / "m.seed") as seed:
        parity = seed.manifest.parity
        stored = [chunk.stored_nbytes for chunk in seed.manifest.data_chunks]
        assert verify_seed(seed).is_whole
    stripes = stripe_layout(stored, parity.stripe_nchunks, percent)
    assert sum(stripe.nparity for stripe in stripes) == len(parity.chunks)


def test_seed_of_nothing_cannot_have_parity(tmp_path):
    safetensors.numpy.save_file({"e": np.zeros((0,), np.float32)}, tmp_path / "m.safetensors")
    make(tmp_path / "m.safetensors", tmp_path / "a.seed")
    with pytest.raises(ExtractError) as caught:
        make(tmp_path / "m.safetensors", tmp_path / "b.seed", parity_percent=20)
    assert caught.value.rule == "PAR-3"


@pytest.mark.parametrize(
    "nbytes, percent, expected",
    [
        (1 << 30, None, 1 << 20),
        (1 << 10, None, 1 << 20),
        (1 << 30, 20, 1 << 20),
        (1 << 27, 20, 1 << 20),  # exactly 128 chunks
        ((1 << 27) - (1 << 20), 20, 1 << 19),
        (100_000, 20, 1 << 10),  # 98 chunks are all that 1 KiB gives
    ],
)
def test_chunks_are_small_enough_for_parity(nbytes, percent, expected):
    infos = [TensorInfo("t", DTYPES["uint8"], (nbytes,))]
    assert default_chunk_nbytes(infos, percent) == expected


def test_chunk_size_can_be_chosen(model, tmp_path):
    make(model, tmp_path / "m.seed", chunk_nbytes=1024)
    with opened(tmp_path / "m.seed") as seed:
        matrix = next(layer for layer in seed.manifest.layers if layer.name == "matrix")
    assert len(matrix.chunks) == 64 * 96 * 4 // 1024


def test_state_dict_of_torch_becomes_a_seed(tmp_path):
    state = {"w": torch.randn(4, 4, dtype=torch.bfloat16), "lr": 0.1}
    torch.save(state, tmp_path / "m.pt")
    report = make(tmp_path / "m.pt", tmp_path / "m.seed")
    assert [item.name for item in report.left_out] == ["lr"]
    expected = state["w"].view(torch.uint16).numpy()
    assert np.array_equal(decoded(tmp_path / "m.seed")["w"], expected)


def test_files_of_a_real_model_travel_along(minilm, tmp_path):
    report = make(minilm, tmp_path / "m.seed")
    assert report.ratio > 1.2  # byte planes and entropy coding, files included
    with opened(tmp_path / "m.seed") as seed:
        assert verify_seed(seed, decode=True).is_whole
        for attachment, chunks in seed.attachments():
            content = seed.read_attachment(attachment, chunks)
            assert content == (minilm / attachment.name).read_bytes()
        assert report.attachments == tuple(a.name for a in seed.manifest.attachments)
        stored = sum(c.stored_nbytes for a in seed.manifest.attachments for c in a.chunks)
        assert report.attachments_nbytes == stored
        assert seed.manifest.architecture.class_name == "BertModel"
    assert {"vocab.txt", "tokenizer.json", "1_Pooling/config.json"} <= set(report.attachments)


def test_safetensors_become_a_seed_without_torch(model, tmp_path):
    program = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None  # importing them raises
from pathlib import Path
from seedpack.extract import extract
extract(Path({str(model)!r}), Path({str(tmp_path / "m.seed")!r}), name="acme/m")
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert decoded(tmp_path / "m.seed")


@pytest.mark.parametrize("limit", [0, 1000, 20_000])
def test_full_disk_is_a_refusal_that_leaves_nothing_behind(model, tmp_path, limit):
    out = tmp_path / "out"
    out.mkdir()
    program = f"""
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
from pathlib import Path
from seedpack.errors import StoreError
from seedpack.extract import extract
try:
    extract(Path({str(model)!r}), Path({str(out / "m.seed")!r}), name="acme/m")
except StoreError as error:
    print(error.rule)
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", program],
        env=UNMEASURED,
        check=True,
        timeout=60,
        capture_output=True,
        text=True,
    )
    assert done.stdout == "OUT-1\n"
    assert list(out.iterdir()) == []


def test_each_layer_takes_the_codec_chosen_for_it(tmp_path):
    random = np.random.default_rng(0)
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file(
        {f"m{i}": random.normal(size=(64, 64)).astype(np.float32) for i in range(4)}, path
    )
    dtype = DTYPES["float32"]
    other = np.linspace(-1, 1, 64 * 64, dtype=np.float32)
    choices = {
        "m1": Choice("q8"),
        "m2": Choice("ecq", {"step": 0.5}),
        "m3": encode_tensor("raw", other, dtype),
    }
    publication = Publication(name="acme/m", created=CREATED)
    report = publish(open_model(path), tmp_path / "m.seed", publication, Coding("ecq", choices))
    assert [layer.codec for layer in report.layers] == ["ecq", "q8", "ecq", "raw"]
    assert report.codec == "ecq"
    layers = decoded(tmp_path / "m.seed")
    assert np.array_equal(layers["m3"].ravel(), other)  # bytes that were there already
    assert set(np.unique(layers["m2"] / 0.5)) <= set(range(-20, 20))
    assert not set(np.unique(layers["m0"] / 0.5)) <= set(range(-20, 20))


def test_unknown_codec_of_one_layer_is_a_wrong_call(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file({"w": np.ones((2, 2), np.float32)}, path)
    coding = Coding("raw", {"w": Choice("zip")})
    with pytest.raises(ValueError, match="unknown codec 'zip'"):
        publish(open_model(path), tmp_path / "m.seed", Publication(name="a"), coding)
    assert sorted(tmp_path.iterdir()) == [path]
