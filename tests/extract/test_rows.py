"""Embeddings whose rows are rounded by how often a text reads them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs import encode_tensor
from seedpack.codecs.ecq.levels import find_thresholds, round_to_levels
from seedpack.dtypes import DTYPES
from seedpack.extract.rows import encode_rows, estimate_row_rates, find_shares, round_rows
from seedpack.frameworks import open_model
from seedpack.frameworks.observing import run_model
from tests.codecs.laws import decode, layer_for

F32 = DTYPES["float32"]
MIB = 1 << 20


def entropy(levels):
    _, counts = np.unique(levels, return_counts=True)
    shares = counts / counts.sum()
    return -(shares * np.log2(shares)).sum()


def zipf(rows):
    return np.floor(3 * rows / np.arange(1, rows + 1))


@pytest.mark.spec("EXT-64")
@given(st.integers(0, 30), st.sampled_from([0.25, 1.0, 2.0]))
def test_EXT_64_values_are_on_the_grid_and_frequent_rows_are_nearer(seed, step):
    random = np.random.default_rng(seed)
    weight = random.normal(size=(400, 24)).astype(np.float32)
    counts = random.permutation(zipf(400) * (np.arange(400) < 200))
    values = round_rows(weight, step, find_shares(counts))
    assert np.array_equal(values, np.rint(values / np.float32(step)) * np.float32(step))
    error = np.square(weight - values).mean(1)
    assert error[counts == counts.max()].mean() <= error[counts == 0].mean() + 0.02 * step**2


@pytest.mark.spec("EXT-64")
@pytest.mark.parametrize("seed", range(3))
def test_EXT_64_rows_by_share_lose_less_of_the_text_at_equal_bits(seed):
    random = np.random.default_rng(seed)
    weight = random.normal(size=(4000, 32)).astype(np.float32)
    counts = zipf(4000) * (np.arange(4000) < 1500)
    shares = find_shares(counts)
    steps = np.geomspace(0.3, 1.5, 12)
    bits = np.array(estimate_row_rates(weight, steps, shares))
    step = float(steps[np.abs(bits - 1.5).argmin()])
    by_share = round_rows(weight, step, shares)
    found = entropy(np.rint(by_share / step))
    flat = weight.ravel()
    even = min(
        (round_to_levels(flat, s, find_thresholds(flat, s)) * s for s in np.geomspace(0.8, 2, 30)),
        key=lambda values: abs(entropy(values) - found),
    ).reshape(weight.shape)

    def loss(values):
        return (counts * np.square(weight - values).sum(1)).sum()

    assert loss(by_share) < 0.8 * loss(even)


@pytest.mark.spec("EXT-64")
def test_EXT_64_paths_of_weighted_rows_lose_less_of_the_text_than_a_grid_at_equal_bits():
    random = np.random.default_rng(0)
    weight = random.normal(size=(4000, 32)).astype(np.float32)
    counts = zipf(4000) * (np.arange(4000) < 1500)
    shares = find_shares(counts)

    def loss(encoded):
        layer = layer_for(encoded, F32, weight.shape, finite=True)
        values = decode(layer, encoded.chunks).reshape(weight.shape)
        return (counts * np.square(weight - values).sum(1)).sum()

    step = 0.5
    by_path = encode_rows(weight, F32, MIB, step=step, shares=shares)
    grids = (
        encode_tensor("ecq", round_rows(weight, s, shares), F32, settings={"step": s, "mu": 0.0})
        for s in np.geomspace(0.3, 0.8, 24).astype(np.float32).astype(float).tolist()
    )
    grid = min(grids, key=lambda found: abs(found.record_nbytes - by_path.record_nbytes))
    assert loss(by_path) < 0.9 * loss(grid)


@given(st.integers(1, 60), st.integers(1, 9))
def test_values_beyond_what_a_sample_shows_are_rounded_too(rows, step):
    weight = (np.random.default_rng(rows).normal(size=(rows, 3)) * 4000).astype(np.float32)
    values = round_rows(weight, float(step), find_shares(np.ones(rows)))
    assert (np.abs(values - weight) <= step).all()


@pytest.mark.spec("EXT-64")
def test_EXT_64_only_an_embedding_of_tokens_that_is_no_head_is_counted(minilm, families):
    source = open_model(minilm)
    names = [info.name for info in source.infos() if len(info.shape) > 1]
    lines = [f"tree river {i} stone cloud" for i in range(60)]
    counts = run_model(source, lines).row_counts(names)
    assert list(counts) == ["embeddings.word_embeddings.weight"]
    counted = counts["embeddings.word_embeddings.weight"]
    assert 0 < counted.max() <= 60
    assert run_model(open_model(minilm)).row_counts(names) == {}
    language_model = open_model(families["bert"])  # its head is tied to the embedding
    names = [info.name for info in language_model.infos()]
    running = run_model(language_model)
    running = replace(running, inputs=running.inputs._replace(tokens=np.ones(40)))
    assert running.row_counts(names) == {}
