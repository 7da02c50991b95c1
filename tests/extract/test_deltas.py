"""A tuned model becomes a delta seed, and over its base the tuned model again."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seedpack.assemble import assemble
from seedpack.codecs.delta.encoding import Factors, Origin, encode_factors
from seedpack.errors import ExtractError
from seedpack.extract import extract, extract_delta, extract_trained_delta
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.base import SeedBase
from seedpack.seed.opening import open_seed
from tests.builders import CREATED, NOW, make_key, trusting

KEY = make_key()


def tensors(seed=0):
    random = np.random.default_rng(seed)
    return {
        "dense.weight": random.normal(0, 0.05, (160, 200)).astype(np.float32),
        "dense.bias": random.normal(0, 0.05, 160).astype(np.float32),
        "out.weight": random.normal(0, 0.05, (120, 160)).astype(np.float16),
        "position": np.arange(8, dtype=np.int64),
    }


def tuned(base, scale=0.002):
    random = np.random.default_rng(9)
    return {
        name: (values + random.normal(0, scale, values.shape)).astype(values.dtype)
        if values.dtype.kind == "f"
        else values
        for name, values in base.items()
    }


@pytest.fixture
def pair(tmp_path):
    """Save a base and what was made of it; return a function that makes the seed and reads it."""

    def run(base, model, **options):
        save_file(base, tmp_path / "base.safetensors")
        save_file(model, tmp_path / "model.safetensors")
        over = ModelBase(tmp_path / "base.safetensors")
        report = extract_delta(
            tmp_path / "model.safetensors",
            tmp_path / "delta.seed",
            base=over,
            **{"name": "acme/m", "created": CREATED, "key": KEY, "overwrite": True} | options,
        )
        assert (tmp_path / "delta.seed").stat().st_size == report.file_nbytes
        return report, reassemble(tmp_path / "delta.seed", over, tmp_path / "out.safetensors")

    return run


def reassemble(seed, base, out):
    with open_seed(seed, store=trusting(KEY), now=NOW) as contents:
        assemble(contents, out, base=base, overwrite=True)
    return load_file(out)


def lost(base, model, result):
    """Return the share of the differences' energy that is gone."""
    floats = [name for name in base if base[name].dtype.kind == "f"]
    gone = sum(np.square(model[n].astype(float) - result[n].astype(float)).sum() for n in floats)
    whole = sum(np.square(model[n].astype(float) - base[n].astype(float)).sum() for n in floats)
    return gone / whole


def test_a_model_that_is_its_base_takes_a_record_for_each_tensor(pair):
    base = tensors()
    report, result = pair(base, base)
    assert all((result[name] == base[name]).all() for name in base)
    assert all(layer.stored_nbytes == 0 for layer in report.layers)
    assert report.ratio > 80


def test_without_a_target_about_a_tenth_of_the_energy_is_lost(pair):
    base = tensors()
    model = tuned(base)
    report, result = pair(base, model)
    assert 0.02 < lost(base, model, result) < 0.12
    assert (result["position"] == base["position"]).all()
    assert report.ratio > 6


def test_a_merged_low_rank_update_is_found_and_kept_nearly_exactly(pair):
    base = tensors()
    random = np.random.default_rng(4)
    left, right = random.normal(0, 0.02, (160, 3)), random.normal(0, 0.1, (3, 200))
    model = base | {"dense.weight": (base["dense.weight"] + left @ right).astype(np.float32)}
    report, result = pair(base, model)
    assert lost(base, model, result) < 2e-4
    (changed,) = (layer for layer in report.layers if layer.stored_nbytes)
    assert changed.stored_nbytes <= 3 * (160 + 200)


@pytest.mark.spec("EXT-16")
@pytest.mark.parametrize("ratio", [8, 16])
def test_a_ratio_is_hit_within_two_percent(pair, ratio):
    base = tensors()
    report, _ = pair(base, tuned(base), ratio=ratio)
    assert abs(report.ratio / ratio - 1) <= 0.02
    assert report.target == f"ratio {ratio}"


@pytest.mark.spec("EXT-17")
def test_a_largest_size_is_never_exceeded(pair):
    base = tensors()
    report, _ = pair(base, tuned(base), max_nbytes=12000)
    assert 0.98 * 12000 <= report.file_nbytes <= 12000


@pytest.mark.spec("EXT-18")
def test_a_size_out_of_reach_is_refused_with_the_range(pair):
    base = tensors()
    with pytest.raises(ExtractError, match="reachable are about") as caught:
        pair(base, tuned(base), max_nbytes=500)
    assert caught.value.rule == "EXT-18"


@pytest.mark.parametrize("skip", [True, False], ids=["longer", "shorter"])
def test_tensors_are_found_under_a_prefix_more_or_less(pair, skip):
    base = tensors()
    longer = {f"bert.{name}": values for name, values in base.items()}
    first, second = (base, longer) if skip else (longer, base)
    report, result = pair(first, second)
    assert {layer.codec for layer in report.layers} == {"delta"}
    assert all((result[name] == values).all() for name, values in second.items())


def test_what_the_base_has_not_stands_on_its_own(pair):
    base = tensors()
    broken = base["out.weight"].copy()
    broken[0, 0] = np.nan
    new = {
        "head.weight": np.random.default_rng(2).normal(0, 1, (2, 5)).astype(np.float32),
        "out.weight": broken,
        "position": base["position"] + 1,
        "dense.bias": np.arange(7, dtype=np.float32),
    }
    report, result = pair(base, tuned(base) | new)
    assert set(report.fallbacks) == set(new)
    for name, values in new.items():
        assert result[name].tobytes() == values.tobytes()


@pytest.mark.spec("EXT-40")
def test_a_model_that_has_nothing_of_the_base_is_refused(pair, tmp_path):
    with pytest.raises(ExtractError) as caught:
        pair(tensors(), {"other": np.zeros((3, 3), np.float32)})
    assert caught.value.rule == "EXT-40"
    assert not (tmp_path / "delta.seed").exists()


def test_the_codec_without_a_base_is_a_wrong_call(tmp_path):
    save_file(tensors(), tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match="needs a base"):
        extract(tmp_path / "m.safetensors", tmp_path / "m.seed", name="acme/m", codec="delta")


def test_both_targets_are_a_wrong_call(pair):
    with pytest.raises(ValueError, match="either"):
        pair(tensors(), tensors(), ratio=3, max_nbytes=5)


@pytest.mark.spec("BAS-2", "EXT-15")
def test_over_a_seed_of_the_base_the_same_file_comes_out(pair, tmp_path):
    base = tensors()
    pair(base, tuned(base), base_name="the base")
    first = (tmp_path / "delta.seed").read_bytes()
    extract(
        tmp_path / "base.safetensors",
        tmp_path / "base.seed",
        name="acme/base",
        created=CREATED,
        key=KEY,
    )
    with open_seed(tmp_path / "base.seed", store=trusting(KEY), now=NOW) as seed:
        extract_delta(
            tmp_path / "model.safetensors",
            tmp_path / "again.seed",
            base=SeedBase(seed),
            base_name="the base",
            name="acme/m",
            created=CREATED,
            key=KEY,
        )
        reassemble(tmp_path / "again.seed", SeedBase(seed), tmp_path / "out.safetensors")
    assert (tmp_path / "again.seed").read_bytes() == first


@pytest.fixture
def folders(bert, tmp_path):
    """Folders of a base and of the same model, both with a vocabulary."""
    (bert / "vocab.txt").write_text("a\nb\n")
    model = tmp_path / "tuned"
    shutil.copytree(bert, model)
    (model / "README.md").write_text("# Tuned\n")
    return bert, model


@pytest.mark.spec("BAS-7")
def test_files_of_the_base_are_left_to_it_and_come_back(folders, tmp_path):
    base, model = folders
    seed = tmp_path / "d.seed"
    report = extract_delta(
        model, seed, base=ModelBase(base), name="acme/m", created=CREATED, key=KEY
    )
    assert report.attachments == ("README.md",)
    assert ("vocab.txt", "the base has it") in report.left_out
    with open_seed(seed, store=trusting(KEY), now=NOW) as contents:
        done = assemble(contents, tmp_path / "out", base=ModelBase(base))
    assert done.lacking == ()
    assert (tmp_path / "out" / "vocab.txt").read_text() == "a\nb\n"
    assert (tmp_path / "out" / "README.md").read_text() == "# Tuned\n"
    assert json.loads((tmp_path / "out" / "config.json").read_text())["model_type"] == "bert"


@pytest.mark.spec("BAS-7")
@pytest.mark.parametrize("change", ["edited", "gone"])
def test_files_that_are_not_as_signed_are_not_taken_from_a_base(folders, tmp_path, change):
    base, model = folders
    seed = tmp_path / "d.seed"
    extract_delta(model, seed, base=ModelBase(base), name="acme/m", created=CREATED, key=KEY)
    if change == "edited":
        (base / "vocab.txt").write_text("b\na\n")
    else:
        (base / "vocab.txt").unlink()
    with open_seed(seed, store=trusting(KEY), now=NOW) as contents:
        done = assemble(contents, tmp_path / "out", base=ModelBase(base))
    assert "vocab.txt" in done.lacking
    assert not (tmp_path / "out" / "vocab.txt").exists()


def test_layers_that_were_trained_are_stored_as_they_are(tmp_path):
    random = np.random.default_rng(6)
    base = tensors()
    codes = Factors(
        random.integers(-8, 8, (160, 2)).astype(np.int8),
        random.integers(-8, 8, (2, 200)).astype(np.int8),
        np.array([1, 2], "<u2"),
        2.0**-14,
        4,
    )
    head = random.normal(0, 1, (3, 120)).astype(np.float32)
    save_file(base, tmp_path / "base.safetensors")
    save_file(base | {"head": head}, tmp_path / "model.safetensors")
    over = ModelBase(tmp_path / "base.safetensors")
    report = extract_trained_delta(
        tmp_path / "model.safetensors",
        tmp_path / "d.seed",
        base=over,
        layers={"dense.weight": encode_factors(codes, Origin())},
        name="acme/m",
        created=CREATED,
        key=KEY,
    )
    result = reassemble(tmp_path / "d.seed", over, tmp_path / "out.safetensors")
    left, right = codes.as_floats()
    assert np.allclose(result["dense.weight"] - base["dense.weight"], left @ right, atol=1e-7)
    assert result["head"].tobytes() == head.tobytes()
    assert result["out.weight"].tobytes() == base["out.weight"].tobytes()
    stored = {layer.name: layer.stored_nbytes for layer in report.layers}
    assert stored["dense.weight"] == 2 * 360 / 2
    assert stored["dense.bias"] == 0
