"""Audits of lost chunks and of parts of the layers, on digits (their pages in spec/audits)."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file

from seedpack.audits import Spec, Status, measures
from seedpack.audits.corruption import Corruption
from seedpack.audits.corruption.losses import Damager, Loss, draw_chunks
from seedpack.audits.corruption.report import Baselines, Cell, make_result
from seedpack.audits.gates import conclude
from seedpack.audits.partial import Partial, _Model, choose_left_out, group_layers
from seedpack.audits.work import open_context
from seedpack.extract import extract
from seedpack.seed.opening import open_unverified
from seedpack.training.scores import Score
from tests.audits.worlds import QUICK, beside, build_world, run

PROFILE = msgspec.structs.replace(QUICK, shares=(0.1, 0.5))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    return build_world(tmp_path_factory.mktemp("damaged"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where arms are kept, shared as in a run of all audits."""
    return tmp_path_factory.mktemp("arms")


def with_seed(spec: Spec, path: Path, **options: object) -> Spec:
    """Return the world with a seed of its model."""
    extract(Path(spec.model), path, name="a/b", codec="ecq", **options)
    with open_unverified(path) as contents:
        return msgspec.structs.replace(spec, seed=str(path), seed_id=contents.id)


@pytest.fixture
def costly(monkeypatch):
    """Have each tuning count as one that takes minutes."""
    monkeypatch.setattr(measures, "is_small", lambda _: False)


# ---------------------------------------------------------------- what is destroyed


@pytest.mark.parametrize("kind", ["random", "burst"])
def test_as_many_chunks_are_destroyed_as_the_share_says(kind: str) -> None:
    for share, nchunks in ((0.01, 40), (0.1, 40), (0.5, 41), (1.0, 7)):
        chosen = draw_chunks(nchunks, Loss(share, kind, 3))
        assert len(set(chosen)) == len(chosen) == min(max(-(-share * nchunks // 1), 1), nchunks)
        assert set(chosen) <= set(range(nchunks))
        assert kind == "random" or chosen == list(range(chosen[0], chosen[0] + len(chosen)))
        assert chosen == draw_chunks(nchunks, Loss(share, kind, 3))


@pytest.mark.spec("AUD-COR-1")
def test_what_parity_covers_is_restored_and_the_rest_salvaged(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True, parity_percent=100)
    with open_context(spec, PROFILE, folder) as context:
        damager = Damager(context, tmp_path / "a.seed", "own", with_parity=True)
        alone = Damager(context, tmp_path / "a.seed", "alone", with_parity=False)
        assert damager.nchunks == 2 * alone.nchunks
        before = (tmp_path / "a.seed").read_bytes()
        for kind in ("random", "burst"):
            whole = damager.damage(Loss(0.5, kind, 0))
            assert (whole.model, whole.missing) == (None, 0.0)
            lost = alone.damage(Loss(0.5, kind, 0))
            assert lost.model is not None
            assert "salvaged" in lost.model.name
            assert 0.3 < lost.missing < 0.6
            values = load_file(lost.model)
            assert values.keys() == load_file(spec.model).keys()
            assert any((value == 0).mean() > 0.3 for value in values.values())
        assert (tmp_path / "a.seed").read_bytes() == before


def test_layers_of_which_nothing_is_left_have_initial_values(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed")
    with open_context(spec, PROFILE, folder) as context:
        damager = Damager(context, tmp_path / "a.seed", "own", with_parity=True)
        lost = damager.damage(Loss(1.0, "burst", 0))
        assert lost.missing == 1.0
        assert lost.model is not None
        values = load_file(lost.model)
    assert all(np.abs(value).max() > 0 for value in values.values())


# ---------------------------------------------------------------- the audits


@pytest.mark.spec("AUD-COR-1", "AUD-COR-2")
def test_an_interleaved_seed_stands_half_of_its_chunks_lost(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True)
    result = run(Corruption(), spec, folder, PROFILE)
    assert result.status is not Status.FAIL
    assert {gate.name for gate in result.gates} == {
        *("lost-10-random", "lost-10-burst", "lost-50-random", "lost-50-burst")
    }
    accuracies = [figure for figure in result.figures if figure.name.startswith("tuned acc")]
    assert all(f.control is not None and f.chance == 0.1 for f in accuracies)
    assert {line.name for line in result.curves[0].series} == {
        *("the seed, tuned", "the seed, zero-shot", "random init, tuned")
    }
    kept = {figure.name: figure.value for figure in result.figures}
    assert kept["tuned retention, the seed, 10 % random"] > 0.9


@pytest.mark.usefixtures("costly")
def test_what_no_gate_is_about_takes_two_draws_where_each_costs_minutes(
    world, folder, tmp_path
) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True)
    profile = msgspec.structs.replace(PROFILE, nseeds=3, shares=(0.05, 0.1))
    result = run(Corruption(), spec, folder, profile)
    rows = {(row[1], row[2]): row[3] for row in result.tables[0].rows}
    for kind in ("random", "burst"):
        assert rows[5.0, kind] == "0 of 2"
        assert rows[10.0, kind] == "0 of 3"
    assert "2 or, where a gate is about it, 3 draws each" in result.searched
    retention = [figure for figure in result.figures if figure.name.startswith("tuned retention")]
    assert sorted(figure.seeds for figure in retention) == [2, 2, 3, 3]
    assert all(figure.value > 0.5 for figure in retention)


@pytest.mark.spec("AUD-COR-1")
def test_with_parity_both_arms_are_shown(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True, parity_percent=100)
    result = run(Corruption(), spec, folder, msgspec.structs.replace(PROFILE, shares=(0.5,)))
    rows = {(row[0], row[2]): row for row in result.tables[0].rows}
    for kind in ("random", "burst"):
        assert rows["the seed", kind][3] == "2 of 2"
        assert rows["the seed", kind][7] == 1.0
        assert rows["the seed without its parity", kind][3] == "0 of 2"
        assert rows["the seed without its parity", kind][4] > 30
    assert result.status is Status.PASS


@pytest.mark.usefixtures("costly")
def test_what_parity_did_not_restore_is_not_measured_without_it_where_that_costs_minutes(
    world, folder, tmp_path
) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True, parity_percent=30)
    profile = msgspec.structs.replace(PROFILE, nseeds=3, shares=(0.1, 0.5))
    result = run(Corruption(), spec, folder, profile)
    exact = {(row[0], row[1], row[2]): row[3] for row in result.tables[0].rows}
    assert exact == {
        (layout, share, kind): found
        for kind in ("random", "burst")
        for layout, share, found in (
            ("the seed", 10.0, "3 of 3"),
            ("the seed", 50.0, "0 of 3"),
            ("the seed without its parity", 10.0, "0 of 2"),
        )
    }


@pytest.mark.spec("AUD-COR-2")
def test_where_the_whole_model_is_at_chance_nothing_is_decided(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True)
    with open_context(spec, PROFILE, folder) as context:
        arms = Baselines(context)
        own = Damager(context, tmp_path / "a.seed", "own", with_parity=True)
        stats = np.stack([np.arange(250) % 10 == 0, np.ones(250)], axis=1).astype(float)
        guesses = [Score("accuracy", stats, 0.1, 0.1)] * 2
        arms.whole = guesses
        cells = [
            Cell("the seed", 0.5, "random", [own.damage(Loss(0.5, "random", 0))], None, guesses)
        ]
        result = conclude(make_result("corruption", "x", context, cells, arms, own))
    assert result.status is Status.UNDECIDED
    assert "not above chance" in result.reason


@pytest.mark.spec("AUD-COR-2")
def test_what_random_weights_reach_as_well_does_not_pass(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed", interleave=True)
    with open_context(spec, PROFILE, folder) as context:
        arms = Baselines(context)
        own = Damager(context, tmp_path / "a.seed", "own", with_parity=True)
        damaged = [own.damage(Loss(0.5, "random", 0))] * len(arms.whole)
        cells = [Cell("the seed", 0.5, "random", damaged, None, arms.whole)]
        kept = conclude(make_result("corruption", "x", context, cells, arms, own))
        arms.control = arms.whole
        result = conclude(make_result("corruption", "x", context, cells, arms, own))
    assert kept.status is Status.PASS
    assert result.status is Status.UNDECIDED
    assert "random weights do as well" in result.gates[0].reason


def test_a_seed_without_chunks_is_undecided(world, folder, tmp_path) -> None:
    constant = msgspec.structs.replace(world, model=beside(world, "constant.safetensors"))
    result = run(Corruption(), with_seed(constant, tmp_path / "a.seed"), folder, PROFILE)
    assert result.status is Status.UNDECIDED
    assert "no chunk" in result.reason


@pytest.mark.spec("AUD-COR-3")
def test_deep_shows_what_other_layouts_would_keep(world, folder, tmp_path) -> None:
    spec = with_seed(world, tmp_path / "a.seed")
    deep = msgspec.structs.replace(PROFILE, name="deep", shares=(0.5,), nseeds=2)
    result = run(Corruption(), spec, folder, deep)
    rows = {(row[0], row[2]): row for row in result.tables[0].rows}
    assert {name for name, _ in rows} == {
        *("the seed", "interleaved", "interleaved, 100 % parity", "top bits twice")
    }
    assert rows["interleaved, 100 % parity", "random"][3] == "2 of 2"
    assert rows["top bits twice", "burst"][5] > rows["top bits twice", "burst"][4]


@pytest.mark.spec("AUD-PAR-1", "AUD-PAR-2")
def test_a_part_of_the_layers_stands_beside_random_init(world, folder) -> None:
    result = run(Partial(), world, folder, PROFILE)
    assert [gate.name for gate in result.gates] == ["partial-80"]
    assert result.status is not Status.FAIL
    names = [figure.name for figure in result.figures]
    assert "80 % of the layers by importance minus random init" in names
    assert "training examples" in result.searched
    by_importance, by_depth = result.tables[0].rows
    assert by_depth[3] == "3.bias"
    assert by_importance[2] < 10


@pytest.mark.usefixtures("costly")
def test_parts_that_no_gate_is_about_take_two_seeds_where_each_costs_minutes(world, folder) -> None:
    result = run(Partial(), world, folder, msgspec.structs.replace(PROFILE, nseeds=3))
    seeds = {figure.name: figure.seeds for figure in result.figures}
    assert seeds["tuned, 80 % of the layers by importance"] == 3
    assert seeds["tuned, 80 % of the layers by depth"] == 2
    assert seeds["80 % of the layers by depth minus random init"] == 2


@pytest.mark.spec("AUD-PAR-1")
def test_what_is_left_out_is_drawn_and_the_rest_kept(world, folder) -> None:
    with open_context(world, PROFILE, folder) as context:
        model = _Model(context)
        path = model.write(["1.weight"], 4, "x")
        again = model.write(["1.weight"], 4, "y")
        other = model.write(["1.weight"], 5, "z")
        found, same, drawn = load_file(path), load_file(again), load_file(other)
    original = load_file(world.model)
    assert np.array_equal(found["3.weight"], original["3.weight"])
    assert not np.array_equal(found["1.weight"], original["1.weight"])
    assert np.array_equal(found["1.weight"], same["1.weight"])
    assert not np.array_equal(found["1.weight"], drawn["1.weight"])


def test_layers_are_grouped_by_module_where_there_are_many() -> None:
    names = [f"encoder.layer.{i}.{m}.{p}" for i in range(12) for m in "qkv" for p in ("w", "b")]
    groups = group_layers([*names, "head.w", "head.b"])
    assert list(groups) == ["encoder.layer." + str(i) for i in range(12)] + ["head.w", "head.b"]
    assert group_layers(["a.w", "b.w"]) == {"a.w": ["a.w"], "b.w": ["b.w"]}
    assert choose_left_out(list("abcde"), 0.8) == ["a"]
    assert choose_left_out(list("ab"), 0.95) == ["a"]
    assert choose_left_out(list("abcdefghij"), 0.5) == list("abcde")
