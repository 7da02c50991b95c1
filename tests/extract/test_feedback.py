"""Errors that later columns make up for, and what says which errors matter."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor
from seedpack.codecs.tcq.columns import lay_columns
from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError
from seedpack.extract import extract
from seedpack.extract.calibration import MIN_TEXTS, read_texts
from seedpack.extract.feedback import (
    encode_with_feedback,
    prepare_feedback,
    round_with_feedback,
)
from seedpack.extract.presets import BITS, Preset
from seedpack.frameworks import open_model
from seedpack.frameworks.observing import run_model
from seedpack.seed.opening import open_unverified
from seedpack.seed.verify import verify_seed
from tests.builders import CREATED
from tests.codecs.laws import decode, layer_for

pytestmark = pytest.mark.usefixtures("one_thread")

F32 = DTYPES["float32"]
MIB = 1 << 20


def make(model, output, **options):
    return extract(model, output, **({"name": "acme/m", "created": CREATED} | options))


def decoded(encoded, shape):
    return decode(layer_for(encoded, F32, shape, finite=True), encoded.chunks).reshape(shape)


def error(weight, values, moment):
    return float(np.einsum("oi,ij,oj->", weight - values, moment, weight - values))


@pytest.mark.spec("EXT-60")
@given(st.integers(0, 50), st.sampled_from([3, 64, 200]))
def test_EXT_60_feedback_loses_less_of_what_the_inputs_see(seed, width):
    random = np.random.default_rng(seed)
    inputs = random.normal(size=(4 * width, width)) @ random.normal(size=(width, width))
    moment = (inputs.T @ inputs / len(inputs)).astype(np.float32)
    weight = random.normal(size=(80, width)).astype(np.float32)
    feedback = prepare_feedback({"w": moment})["w"]
    values = round_with_feedback(weight, feedback, 0.75, 0.0)
    assert np.array_equal(values, np.rint(values / np.float32(0.75)) * np.float32(0.75))
    plain = np.rint(weight / np.float32(0.75)) * np.float32(0.75)
    assert error(weight, values, moment) < error(weight, plain, moment)


@pytest.mark.spec("EXT-60")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("shape", [(700, 96), (350, 192)])
def test_EXT_60_paths_of_columns_make_up_for_others_and_lose_less_than_a_grid(seed, shape):
    random = np.random.default_rng(seed)
    width = shape[1]
    inputs = random.normal(size=(4 * width, width)) @ random.normal(size=(width, width))
    moment = (inputs.T @ inputs / len(inputs)).astype(np.float32)
    weight = random.normal(size=shape).astype(np.float32)
    columns = lay_columns(shape, F32, MIB)
    feedback = prepare_feedback({"w": moment}, {"w": columns})["w"]
    by_path = encode_with_feedback(weight, F32, MIB, feedback=feedback, step=0.75, mu=0.05)
    assert by_path.codec == "tcq"
    without = encode_tensor("tcq", weight, F32, settings={"step": 0.75, "mu": 0.05})
    grid = round_with_feedback(weight, feedback, 0.75, 0.05)
    lost = error(weight, decoded(by_path, shape), moment)
    assert lost < 0.7 * error(weight, decoded(without, shape), moment)
    assert lost < 0.9 * error(weight, grid, moment)
    on_grid = encode_tensor("ecq", grid, F32, settings={"step": 0.75, "mu": 0.0})
    assert by_path.stored_nbytes < 1.02 * on_grid.stored_nbytes


def test_feedback_without_lanes_is_no_way_to_code_columns():
    feedback = prepare_feedback({"w": np.eye(4, dtype=np.float32)})["w"]
    with pytest.raises(ValueError, match="lanes"):
        encode_with_feedback(np.eye(4, dtype=np.float32), F32, MIB, feedback=feedback, step=1, mu=1)


@given(st.integers(1, 40))
def test_feedback_of_independent_inputs_is_plain_rounding(width):
    weight = np.random.default_rng(width).normal(size=(5, width)).astype(np.float32)
    feedback = prepare_feedback({"w": np.eye(width, dtype=np.float32)})["w"]
    values = round_with_feedback(weight, feedback, 0.5, 0.0)
    assert np.array_equal(values, np.rint(weight * 2) / 2)


def test_moments_that_say_nothing_give_no_feedback():
    moments = {"zero": np.zeros((4, 4), np.float32), "nan": np.full((4, 4), np.nan, np.float32)}
    assert prepare_feedback(moments) == {}


def test_moments_are_those_of_the_inputs_of_linear_modules(families):
    running = run_model(open_model(families["bert"]))
    names = [info.name for info in open_model(families["bert"]).infos() if len(info.shape) == 2]
    moments = running.moments(names)
    assert moments
    assert not any("embeddings" in name for name in moments)
    for moment in moments.values():
        assert np.allclose(moment, moment.T, rtol=1e-4, atol=1e-3)
        assert (np.diag(moment) >= 0).all()


def texts_of(folder, count):
    words = ["tree", "river", "stone", "cloud", "paper", "light"]
    random = np.random.default_rng(0)
    lines = {" ".join(random.choice(words, 6)) + f" {i}" for i in range(count)}
    path = folder / "texts.tsv"
    path.write_text("".join(f"{line}\t1\n" for line in sorted(lines)))
    return path


@pytest.mark.spec("EXT-61")
def test_EXT_61_calibration_needs_enough_text(tmp_path):
    few = texts_of(tmp_path, MIN_TEXTS - 1)
    with pytest.raises(ExtractError, match="at least 20") as caught:
        read_texts(few)
    assert caught.value.rule == "EXT-61"
    assert len(read_texts(texts_of(tmp_path, MIN_TEXTS))) == MIN_TEXTS
    few.write_bytes(b"\xff\xfe\xff")
    with pytest.raises(ExtractError, match="UTF-8"):
        read_texts(few)


@pytest.mark.spec("EXT-61")
def test_EXT_61_model_that_cannot_read_is_refused(families, tmp_path):
    path = texts_of(tmp_path, 40)
    with pytest.raises(ExtractError) as caught:
        make(families["vit"], tmp_path / "m.seed", ratio=1.5, calibration=path)
    assert caught.value.rule == "EXT-61"
    assert sorted(tmp_path.iterdir()) == [path]


@pytest.mark.spec("EXT-63")
def test_EXT_63_expectation_is_that_of_the_seeds_own_values(families, tmp_path):
    fine = make(families["bert"], tmp_path / "fine.seed", ratio=1.9)
    assert fine.expected.inputs == "random tokens"
    assert 0.98 < fine.expected.cosine <= 1
    running = run_model(open_model(families["bert"]))
    source = open_model(families["bert"])
    same = running.compare(source.tensors())
    assert same.cosine == pytest.approx(1, abs=1e-6)
    assert same.control < fine.expected.cosine
    low, high = fine.expected.interval
    assert low <= fine.expected.cosine <= high <= 1
    assert fine.expected.control == pytest.approx(same.control, abs=1e-6)
    noise = [
        tensor._replace(data=torch.randn(tensor.shape).numpy().tobytes())
        for tensor in source.tensors()
        if tensor.dtype.name == "float32"
    ]
    assert running.compare(noise).cosine < 0.9


@pytest.mark.spec("EXT-62")
@pytest.mark.parametrize("preset", list(Preset))
def test_EXT_62_preset_is_a_codec_or_a_size(model, tmp_path, preset):
    report = make(model, tmp_path / "m.seed", preset=preset.value)
    assert report.target == f"preset {preset.value}"
    if preset in BITS:
        nvalues = report.raw_nbytes / 4
        assert report.file_nbytes * 8 / nvalues == pytest.approx(BITS[preset], rel=0.021)
    else:
        assert report.codec == {"lossless": "raw", "balanced": "ecq"}[preset.value]
    with open_unverified(tmp_path / "m.seed") as contents:
        assert verify_seed(contents, decode=True).is_whole
        assert contents.manifest.recipe["target"] == report.target


@pytest.mark.spec("EXT-62")
@pytest.mark.parametrize(
    "options",
    [
        {"preset": "huge"},
        {"preset": "tiny", "ratio": 3},
        {"preset": "tiny", "codec": "ecq"},
        {"preset": "lossless", "calibration": "x"},
        {"calibration": "x"},
    ],
)
def test_EXT_62_options_that_exclude_each_other_are_wrong_calls(model, tmp_path, options):
    with pytest.raises(ValueError, match=r"preset|calibration|Preset"):
        make(model, tmp_path / "m.seed", **options)


@pytest.fixture
def model(tmp_path):
    import safetensors.numpy

    random = np.random.default_rng(0)
    arrays = {f"w{i}": random.normal(size=(300, 400)).astype(np.float32) for i in range(3)}
    safetensors.numpy.save_file(arrays, tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


@pytest.mark.slow
@pytest.mark.spec("EXT-60", "EXT-61")
def test_EXT_60_text_helps_a_real_model(small_minilm, tmp_path):
    path = texts_of(tmp_path, 100)
    report = make(small_minilm, tmp_path / "m.seed", ratio=14, calibration=path)
    assert report.expected.inputs == "calibration text"
    assert report.expected.cosine > 0.9
    assert report.sensitivity == "data-free probe"
