"""Interleaved layouts and top bits twice, as extraction makes them (spec/extract.md, Parity)."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import save_file

from seedpack.container.stripes import stripe_layout
from seedpack.extract import extract
from seedpack.extract.scattering import fit_chunks, widest_stripe
from seedpack.seed.opening import open_unverified
from seedpack.seed.verify import verify_seed


def make_model(folder, shapes=((64, 200), (100, 64), (64, 160), (150, 70))):
    """Write a model of matrices and vectors, and return its path."""
    random = np.random.default_rng(0)
    tensors = {}
    for number, shape in enumerate(shapes):
        tensors[f"{number}.weight"] = random.normal(0, 0.1, shape).astype(np.float32)
        tensors[f"{number}.bias"] = random.normal(0, 0.1, shape[0]).astype(np.float32)
    tensors["last"] = np.ones(7, np.float32)
    tensors["count"] = np.arange(3)
    save_file(tensors, folder / "m.safetensors")
    return folder / "m.safetensors"


def make(folder, **options):
    """Return the report and the manifest of a whole interleaved seed."""
    model = make_model(folder)
    report = extract(model, folder / "a.seed", name="a", overwrite=True, **options)
    with open_unverified(folder / "a.seed") as seed:
        assert verify_seed(seed, decode=True).is_whole
        return report, seed.manifest


@pytest.mark.spec("EXT-66")
def test_every_layer_is_scattered_but_constants(tmp_path):
    for codec in ("ecq", "raw"):
        report, manifest = make(tmp_path, codec=codec, interleave=True)
        found = {layer.name: layer.codec for layer in manifest.layers}
        assert found == dict.fromkeys(found, "scatter") | {"last": "const"}
        plain, _ = make(tmp_path, codec=codec)
        assert report.fallbacks == plain.fallbacks
        assert [layer.codec for layer in report.layers] == [layer.codec for layer in plain.layers]
        assert report.file_nbytes < 1.15 * plain.file_nbytes


@pytest.mark.spec("EXT-66")
@pytest.mark.parametrize("options", [{"codec": "q8"}, {"codec": "tcq"}])
def test_other_codecs_are_a_wrong_call(tmp_path, options):
    with pytest.raises(ValueError, match="interleaved"):
        make(tmp_path, interleave=True, **options)
    assert not (tmp_path / "a.seed").exists()


def test_top_bits_of_exact_values_are_a_wrong_call(tmp_path):
    with pytest.raises(ValueError, match="top bits"):
        make(tmp_path, codec="raw", protect_top_bits=True)


@pytest.mark.spec("EXT-16", "EXT-66")
def test_a_size_is_hit_interleaved_too(tmp_path):
    report, manifest = make(tmp_path, ratio=6, interleave=True, parity_percent=25)
    assert abs(report.ratio / 6 - 1) < 0.02
    assert any(layer.codec == "scatter" and layer.chunks for layer in manifest.layers)


@pytest.mark.spec("EXT-68")
@pytest.mark.parametrize("percent", [10, 50, 100, 300])
def test_all_chunks_are_of_one_stripe(tmp_path, percent):
    _, manifest = make(tmp_path, codec="ecq", interleave=True, parity_percent=percent)
    stored = [chunk.stored_nbytes for chunk in manifest.data_chunks]
    parity = manifest.parity
    assert len(stripe_layout(stored, parity.stripe_nchunks, percent)) == 1
    assert len(stored) >= 12


@pytest.mark.parametrize("percent", [1, 7, 33, 100, 299, 1000])
def test_no_stripe_is_wider_than_the_code_allows(percent):
    nchunks = widest_stripe(percent)
    assert nchunks + -(-nchunks * percent // 100) <= 256
    assert nchunks + 1 + -(-(nchunks + 1) * percent // 100) > 256 or nchunks == 255


def test_sizes_of_chunks_grow_with_the_model():
    goals = [fit_chunks([3 << bits] * 4, 100) for bits in range(8, 32, 3)]
    assert goals == sorted(goals)
    assert goals[-1] < 4 << 20


# ---------------------------------------------------------------- top bits twice


def positions(manifest):
    """Return where each digest stands among the layers' bytes, and how many those are."""
    where, at = {}, 0
    for layer in manifest.layers:
        for chunk in layer.chunks:
            where.setdefault(chunk.digest, []).append((at, at + chunk.stored_nbytes))
            at += chunk.stored_nbytes
    return where, at


@pytest.mark.spec("EXT-67")
def test_a_run_of_half_the_bytes_leaves_the_top_bits(tmp_path):
    report, manifest = make(tmp_path, codec="ecq", protect_top_bits=True)
    where, total = positions(manifest)
    split = [layer for layer in manifest.layers if "low_step" in layer.params]
    assert len(split) == 4
    tops = []
    for layer in split:
        own = layer.chunks[layer.params.get("copies_before", 0) :]
        nown = len(own) - layer.params.get("copies_behind", 0)
        tops += own[: nown // 2]
    twice = [places for places in where.values() if len(places) == 2]
    assert len(twice) == len(tops)
    assert {chunk.digest for chunk in tops} == {d for d, places in where.items() if len(places) > 1}
    for first, second in twice:
        assert second[1] - first[0] > 0.48 * total  # both are lost only by a run of that length
    assert 11 < 8 * report.file_nbytes / 43_500 < 14.5


def test_what_is_protected_is_decoded_to_eight_bits(tmp_path):
    _, manifest = make(tmp_path, codec="ecq", protect_top_bits=True)
    steps = [np.frombuffer(l.params["low_step"], "<f4")[0] for l in manifest.layers if l.chunks]
    assert all(0.001 < step < 0.002 for step in steps)  # of a root mean square of 0.1


@pytest.mark.spec("EXT-68")
@pytest.mark.parametrize("rows", [60, 100, 124, 128, 130, 200])
def test_a_layer_of_about_the_size_of_chunks_is_no_exception(tmp_path, rows):
    model = make_model(tmp_path, shapes=((rows, 64), (64, 128), (10, 64)))
    extract(model, tmp_path / "a.seed", name="a", codec="ecq", interleave=True, parity_percent=100)
    with open_unverified(tmp_path / "a.seed") as seed:
        stored = [chunk.stored_nbytes for chunk in seed.manifest.data_chunks]
    assert len({nbytes.bit_length() for nbytes in stored}) == 1


@pytest.mark.spec("EXT-17", "EXT-68")
@pytest.mark.parametrize("limit", [19_000, 22_000, 25_000, 31_000])
def test_a_largest_size_is_never_exceeded_however_chunks_are_fitted(tmp_path, limit):
    model = make_model(tmp_path, shapes=((60, 64), (64, 96), (10, 64)))
    report = extract(
        model, tmp_path / "a.seed", name="a", max_nbytes=limit, interleave=True, parity_percent=100
    )
    assert report.file_nbytes == (tmp_path / "a.seed").stat().st_size <= limit
