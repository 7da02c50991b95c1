"""A file of the size asked for, and bits where they are needed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError
from seedpack.extract import extract
from seedpack.extract.allocation import (
    COARSEST,
    FINEST,
    OCTAVE,
    Allocation,
    Matrix,
    survey_matrices,
    to_step,
)
from seedpack.extract.sensitivity import measure_sensitivity
from seedpack.extract.targets import TARGET_CODECS, Size, Target, make_target, search_level
from seedpack.frameworks import NamedTensor, open_model
from seedpack.frameworks.observing import run_model
from seedpack.frameworks.probing import probe_harm
from seedpack.seed.opening import open_unverified
from seedpack.seed.verify import verify_seed
from tests.builders import CREATED, make_key

pytestmark = pytest.mark.usefixtures("one_thread")

KEY = make_key()
RATES = tuple(np.linspace(10, 0, 21).tolist())


def make(model, output, **options):
    return extract(model, output, **({"name": "acme/m", "created": CREATED} | options))


def matrix(name="m", nvalues=1000, scale=0):
    return Matrix(name, nvalues, scale, RATES)


def tensor(array, name="t", dtype="float32"):
    return NamedTensor(name, DTYPES[dtype], array.shape, array.tobytes())


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Matrices of several widths and forms, and things that no step applies to."""
    random = np.random.default_rng(0)
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    arrays = {
        f"layer{i}": (random.normal(0, 10.0 ** (i - 3), (90, 200))).astype(np.float32)
        for i in range(5)
    }
    arrays["heavy"] = random.standard_t(2, (100, 150)).astype(np.float32)
    arrays["half"] = random.normal(0, 1, (100, 100)).astype(np.float16)
    arrays["zero"] = np.zeros((50, 50), np.float32)
    arrays["bias"] = random.normal(0, 1, 300).astype(np.float32)
    arrays["ids"] = np.arange(512)[None]
    safetensors.numpy.save_file(arrays, path)
    return path


def raw_nbytes(path):
    return sum(info.nbytes for info in open_model(path).infos())


@pytest.mark.spec("EXT-16")
@pytest.mark.parametrize("ratio", [3.3, 5, 8, 12, 16])
def test_EXT_16_ratio_is_hit_within_two_percent(model, tmp_path, ratio):
    report = make(model, tmp_path / "m.seed", ratio=ratio)
    assert report.ratio == pytest.approx(ratio, rel=0.021)
    nbytes = (tmp_path / "m.seed").stat().st_size
    assert nbytes == report.file_nbytes
    assert abs(nbytes / (raw_nbytes(model) / ratio) - 1) <= 0.02
    assert report.codec == "tcq"
    assert set(report.fallbacks) == {"bias", "ids"}


@pytest.mark.parametrize("ratio", [4, 8])
def test_tcq_where_it_pays_and_ecq_where_that_is_asked_for(model, tmp_path, ratio):
    by_default = make(model, tmp_path / "m.seed", ratio=ratio)
    codecs = {layer.name: layer.codec for layer in by_default.layers}
    assert {codecs[f"layer{i}"] for i in range(5)} == {"tcq"}
    assert codecs["half"] == "ecq"  # too small for two tables
    asked = make(model, tmp_path / "n.seed", ratio=ratio, codec="ecq")
    scattered = make(model, tmp_path / "o.seed", ratio=ratio, interleave=True)
    assert asked.codec == scattered.codec == "ecq"
    assert "tcq" not in {layer.codec for layer in (*asked.layers, *scattered.layers)}


@pytest.mark.spec("EXT-16")
@pytest.mark.parametrize("options", [{"parity_percent": 30}, {"key": KEY}])
def test_EXT_16_target_counts_parity_and_signatures(model, tmp_path, options):
    report = make(model, tmp_path / "m.seed", ratio=6, **options)
    assert abs(report.file_nbytes / (report.raw_nbytes / 6) - 1) <= 0.02
    with open_unverified(tmp_path / "m.seed") as contents:
        assert verify_seed(contents, decode=True).is_whole


@pytest.mark.spec("EXT-16")
@pytest.mark.parametrize("ratio", [1.5, 1.7])
def test_EXT_16_ratio_is_hit_where_code_tables_are_most_of_the_file(families, tmp_path, ratio):
    report = make(families["bert"], tmp_path / "m.seed", ratio=ratio)
    assert abs(report.file_nbytes / (report.raw_nbytes / ratio) - 1) <= 0.02


@pytest.mark.spec("EXT-17")
@pytest.mark.parametrize("limit", [34_000, 42_123, 68_000, 136_000])
@pytest.mark.parametrize("parity", [None, 20])
def test_EXT_17_limit_is_never_exceeded(model, tmp_path, limit, parity):
    make(model, tmp_path / "m.seed", max_nbytes=limit, parity_percent=parity)
    assert 0.98 * limit <= (tmp_path / "m.seed").stat().st_size <= limit


@pytest.mark.spec("EXT-17")
def test_EXT_17_limit_beyond_the_finest_steps_is_kept(model, tmp_path):
    report = make(model, tmp_path / "m.seed", max_nbytes=1 << 40)
    finest = make(model, tmp_path / "n.seed", max_nbytes=1 << 41)
    assert report.file_nbytes == finest.file_nbytes < report.raw_nbytes


@pytest.mark.spec("EXT-18")
@pytest.mark.parametrize("options", [{"ratio": 1.5}, {"ratio": 500}, {"max_nbytes": 2000}])
def test_EXT_18_target_out_of_reach_is_refused_with_the_range(model, tmp_path, options):
    with pytest.raises(ExtractError, match=r"reachable are about \d+ to \d+") as caught:
        make(model, tmp_path / "m.seed", **options)
    assert caught.value.rule == "EXT-18"
    assert list(tmp_path.iterdir()) == []
    smallest, largest = map(int, str(caught.value.message).split(" about ")[1].split(" to "))
    for nbytes in (smallest * 1.05, largest * 0.95):  # what it names is possible
        make(model, tmp_path / "m.seed", max_nbytes=int(nbytes), overwrite=True)
        assert (tmp_path / "m.seed").stat().st_size <= nbytes


@pytest.mark.spec("EXT-18")
def test_EXT_18_model_without_matrices_has_one_size(tmp_path):
    path = tmp_path / "m.safetensors"
    safetensors.numpy.save_file({"v": np.arange(1000, dtype=np.float32)}, path)
    with pytest.raises(ExtractError) as caught:
        make(path, tmp_path / "m.seed", ratio=100)
    assert caught.value.rule == "EXT-18"
    assert make(path, tmp_path / "m.seed", max_nbytes=1 << 20).file_nbytes < 1 << 20


@pytest.mark.spec("EXT-15")
def test_EXT_15_same_model_and_target_give_the_same_file(families, tmp_path):
    for name in "ab":
        make(families["bert"], tmp_path / name, ratio=1.7, key=KEY)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.spec("EXT-19")
def test_EXT_19_report_and_recipe_say_how_bits_were_given(model, families, tmp_path):
    reports = {
        "equal relative error": make(model, tmp_path / "equal relative error", ratio=7),
        "data-free probe": make(families["bert"], tmp_path / "data-free probe", ratio=1.7),
    }
    for how, report in reports.items():
        assert report.sensitivity == how
        with open_unverified(tmp_path / how) as contents:
            recipe = contents.manifest.recipe
            steps = {
                layer.name: layer.params.get("step") or layer.params["half_step"]
                for layer in contents.manifest.layers
                if layer.codec in TARGET_CODECS
            }
        assert recipe["target"] == report.target
        assert recipe["probe"].startswith("none" if how.startswith("equal") else "noise of 0.3")
        assert recipe["allocation"].startswith("step = 2^(")
        assert len(set(steps.values())) > 1
    assert make(model, tmp_path / "no", codec="ecq").sensitivity is None


@pytest.mark.parametrize(
    "options",
    [
        {"ratio": 8, "max_nbytes": 10_000},
        {"ratio": 8, "codec": "raw"},
        {"max_nbytes": 8, "codec": "q8"},
        {"ratio": 0},
        {"ratio": -1},
        {"ratio": math.inf},
        {"ratio": math.nan},
        {"max_nbytes": 0},
    ],
)
def test_wrong_targets_are_wrong_calls(model, tmp_path, options):
    with pytest.raises(ValueError, match=r"ratio|codec|size"):
        make(model, tmp_path / "m.seed", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.spec("EXT-16")
def test_EXT_16_real_model_keeps_more_where_harm_is_measured(small_minilm, tmp_path):
    report = make(small_minilm, tmp_path / "m.seed", ratio=11)
    assert abs(report.file_nbytes / (report.raw_nbytes / 11) - 1) <= 0.02
    assert report.sensitivity == "data-free probe"
    source = open_model(small_minilm)
    embeddings = "embeddings.word_embeddings.weight"  # most of the bytes, little of the harm
    value = "encoder.layer.1.attention.self.value.weight"
    offsets = measure_sensitivity(run_model(source), survey_matrices(source.tensors())).offsets
    assert offsets[embeddings] > offsets[value]


# ---------------------------------------------------------------- the pure part


@given(
    st.lists(
        st.tuples(st.integers(1, 10**7), st.integers(-2000, 2000), st.integers(-2000, 2000)),
        max_size=6,
    )
)
def test_coarser_levels_never_take_more_and_steps_stay_within_bounds(parts):
    matrices = [matrix(str(i), n, scale) for i, (n, scale, _) in enumerate(parts)]
    allocation = Allocation(matrices, {str(i): offset for i, (_, _, offset) in enumerate(parts)})
    levels = range(allocation.finest - OCTAVE, allocation.coarsest + OCTAVE, OCTAVE)
    sizes = [allocation.estimate_nbytes(level) for level in levels]
    assert sizes == sorted(sizes, reverse=True)
    for level in levels:
        for each in matrices:
            relative = allocation.steps(level)[each.name] / 2 ** (each.scale / OCTAVE)
            assert 2 ** (FINEST / OCTAVE) * 0.99 <= relative <= 2 ** (COARSEST / OCTAVE) * 1.01


@given(st.floats(1, 1250))
def test_level_found_is_the_finest_that_fits(nbytes):
    allocation = Allocation([matrix()], {"m": 0})
    level = allocation.find_level(nbytes)
    assert allocation.estimate_nbytes(level) <= nbytes
    if level > allocation.finest:
        assert allocation.estimate_nbytes(level - 1) > nbytes


def test_steps_follow_the_sensitivity():
    allocation = Allocation([matrix("a"), matrix("b")], {"a": 0, "b": OCTAVE})
    steps = allocation.steps(-2 * OCTAVE)
    assert steps == {"a": 0.25, "b": 0.5}


@given(st.integers(-100 * OCTAVE, 100 * OCTAVE))
def test_step_has_eight_bits_and_is_near_its_exponent(exponent):
    step = to_step(exponent)
    assert step == pytest.approx(2.0 ** (exponent / OCTAVE), rel=2**-8)
    assert math.frexp(step)[0] * 256 == int(math.frexp(step)[0] * 256)


def test_survey_estimates_the_rate_of_a_gaussian():
    values = np.random.default_rng(1).normal(0, 0.5, (300, 300)).astype(np.float32)
    (found,) = survey_matrices([tensor(values)])
    assert abs(found.scale + OCTAVE) <= 1
    assert found.nvalues == values.size
    assert list(found.rates) == sorted(found.rates, reverse=True)
    quarter = found.rates[(-2 * OCTAVE - FINEST) // (OCTAVE // 2)]  # at step rms / 4
    gaussian = math.log2(math.sqrt(2 * math.pi * math.e) * 4)
    assert gaussian - 0.15 < quarter < gaussian


@pytest.mark.parametrize(
    "array, dtype",
    [
        (np.ones(8, np.float32), "float32"),
        (np.ones((0, 8), np.float32), "float32"),
        (np.zeros((2, 8), np.float32), "float32"),
        (np.full((2, 8), np.inf, np.float32), "float32"),
        (np.full((2, 8), 1e-37, np.float32), "float32"),
        (np.ones((2, 8), np.float64), "float64"),
        (np.ones((2, 8), np.int32), "int32"),
    ],
)
def test_what_has_no_step_of_its_own_is_left_out(array, dtype):
    assert survey_matrices([tensor(array, dtype=dtype)]) == []


@given(st.floats(100, 1200), st.booleans(), st.floats(0.5, 2), st.floats(0, 3000), st.floats(1, 3))
def test_search_hits_the_target_however_wrong_the_estimate(nbytes, is_limit, error, others, more):
    allocation = Allocation([matrix(nvalues=10**6)], {"m": 0})

    def measure(level):
        matrices = int(allocation.estimate_nbytes(level) * error)
        return Size(int((matrices + others) * more), matrices, more)

    target = Target(nbytes * 1000, is_limit=is_limit, text="")
    smallest = measure(allocation.coarsest).file_nbytes
    largest = measure(allocation.finest).file_nbytes
    if smallest <= target.aim <= largest:
        level = search_level(target, allocation, measure, other_nbytes=0)
        assert target.allows(measure(level).file_nbytes)
    elif not any(target.allows(size) for size in (smallest, largest)):
        with pytest.raises(ExtractError, match="EXT-18"):
            search_level(target, allocation, measure, other_nbytes=0)


def test_without_target_options_there_is_none():
    assert make_target(None, None, 100) is None
    assert make_target(4, None, 100) == Target(25.0, is_limit=False, text="ratio 4")
    assert make_target(None, 30, 100) == Target(30.0, is_limit=True, text="at most 30 bytes")


def test_only_text_models_are_run(families, model, monkeypatch):
    for name, folder in families.items():
        source = open_model(folder)
        names = [found.name for found in survey_matrices(source.tensors())]
        running = run_model(source)
        if name == "bert":
            assert running is not None
            harm = probe_harm(running, names)
            assert harm is not None
            assert set(harm) <= set(names)
            assert all(value >= 0 for value in harm.values())
            assert max(harm.values()) > 1e-4
            assert probe_harm(running, names) == harm
    assert run_model(open_model(model)) is None
    monkeypatch.setattr("seedpack.frameworks.observing.MAX_PARAMETERS", 10)
    assert run_model(open_model(families["bert"])) is None
