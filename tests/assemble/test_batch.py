"""Many seeds at once over one base: each result whole, and none harmed by another."""

from __future__ import annotations

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from seedpack.assemble import assemble_many, open_base
from seedpack.errors import SeedError
from seedpack.extract import extract, extract_delta
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.opening import open_seed
from tests.builders import CREATED, NOW, make_key, trusting

KEY = make_key()


def opened(path):
    return open_seed(path, store=trusting(KEY), now=NOW)


@pytest.fixture
def models(tmp_path):
    """Save a base, as a file and as a seed, and two deltas over it; return the tuned tensors."""
    random = np.random.default_rng(3)
    base = {"w": random.normal(0, 1, (40, 50)).astype(np.float32)}
    named = {"created": CREATED, "key": KEY}
    save_file(base, tmp_path / "base.safetensors")
    extract(tmp_path / "base.safetensors", tmp_path / "base.seed", name="acme/base", **named)
    tuned = {}
    for name in ("a", "b"):
        tuned[name] = base["w"] + random.normal(0, 0.01, (40, 50)).astype(np.float32)
        save_file({"w": tuned[name]}, tmp_path / f"{name}.safetensors")
        extract_delta(
            tmp_path / f"{name}.safetensors",
            tmp_path / f"{name}.seed",
            base=ModelBase(tmp_path / "base.safetensors"),
            name="acme/m",
            **named,
        )
    return tuned


def run(tmp_path, names, base):
    with open_base(tmp_path / base, opened) as over:
        paths = [tmp_path / f"{name}.seed" for name in names]
        return list(assemble_many(paths, tmp_path / "out", open_contents=opened, base=over))


@pytest.mark.parametrize("base", ["base.safetensors", "base.seed"])
def test_deltas_share_a_base_and_nothing_else_is_left_behind(models, tmp_path, base):
    outcomes = run(tmp_path, ["a", "b", "base"], base)
    assert [outcome.refusal for outcome in outcomes] == [None, None, None]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "a.safetensors",
        "b.safetensors",
        "base.safetensors",
    ]
    for name, values in models.items():
        result = load_file(tmp_path / "out" / f"{name}.safetensors")["w"]
        assert np.abs(result - values).max() < 0.02


def test_a_damaged_seed_harms_no_other(models, tmp_path):
    path = tmp_path / "a.seed"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    first, second = run(tmp_path, models, "base.seed")
    assert isinstance(first.refusal, SeedError)
    assert first.refusal.rule == "CHK-2"
    assert second.report is not None
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["b.safetensors"]


def test_seeds_of_one_name_are_a_wrong_call(models, tmp_path):
    with pytest.raises(ValueError, match="one name"):
        run(tmp_path, ["a", "a"], "base.seed")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["..seed", "...seed"])
def test_no_name_of_a_seed_leads_out_of_the_folder(families, tmp_path, name):
    """Without its ending, each of these means a folder that is there already."""
    extract(families["bert"], tmp_path / name, name="acme/m", created=CREATED, key=KEY)
    folder = tmp_path / "out"
    (outcome,) = assemble_many([tmp_path / name], folder, open_contents=opened)
    made = [] if outcome.report is None else [outcome.report.output]
    assert list(folder.iterdir()) == made
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "out"])
