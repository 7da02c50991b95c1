"""The benchmark: on a few models, with the methods whose outcome is known."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from functools import partial

import msgspec
import pytest
import torch
from msgspec.structs import replace

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.defence.defending import Defending
from seedpack.backdoors.defence.registry import DEFENCES
from seedpack.backdoors.edition import code_digest
from seedpack.backdoors.planting.base import asr
from seedpack.errors import StoreError
from seedpack.lab import beside, methods
from seedpack.lab.benchmark import Plan, run
from seedpack.lab.effects import Effect, effect_of
from seedpack.lab.groups import group_of
from seedpack.lab.methods import get_defence
from seedpack.lab.processes import Work
from seedpack.lab.removal import defence_rows, is_removed
from seedpack.lab.units import Unit, defending, searching, training
from seedpack.lab.work import Found, Removed, perform, read_result, result_path
from seedpack.lab.zoo.families import draw_clean
from seedpack.lab.zoo.members import Member
from seedpack.lab.zoo.registry import Zoo
from seedpack.lab.zoo.store import Record, get_model, read_record
from seedpack_cli.benchmark import benchmark_text
from tests.refusals import refused_by

PLAN = Plan(
    families=("mlp",),
    clean=2,
    planted=6,
    twins=4,
    detectors=("recall",),
    defences=("fine-tuning",),
    defence_samples=(50,),
)
RECORD = Record(
    version=1, family="mlp", kind="patch", seed=500, accuracy=0.9, seconds=1, hits=90, nvictims=100
)
FIRST = Member("mlp", "clean", 0)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """Models and results; comebacks of the first model alone.

    No row of a trigger that stays has any, and those of all take as long as all the rest.
    """
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("zoo")
    are_large = iter([False])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(beside, "is_large", lambda _model: next(are_large, True))
        run(PLAN, Zoo(folder))
    return folder


@pytest.fixture
def models(cache, tmp_path):
    """A cache with models and no results."""
    shutil.copytree(cache / "mlp", tmp_path / "mlp")
    return tmp_path


def keep(folder, unit, left):
    """Write a result as if it had been measured."""
    path = result_path(folder, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(left))


def test_flips_are_found_by_recall_and_triggers_are_not(cache):
    (family,) = run(PLAN, Zoo(cache)).families
    rows = {row.group: row for row in family.detectors}
    assert rows["flip"].auc.value == 1
    assert rows["flip"].tpr.value == rows["flip"].found.value == 1
    assert rows["flip"].false_alarms.value == 0
    assert rows["flip"].false_alarms.n == 2
    assert rows["universal"].found.value == 0
    assert family.accuracy > 0.95
    assert family.asr > 0.5 > family.control_asr


def test_plain_tuning_removes_no_trigger(cache):
    (family,) = run(PLAN, Zoo(cache)).families
    row = {row.group: row for row in family.defences}["universal"]
    assert row.removed.value == 0
    assert row.asr_after > 0.5
    assert abs(row.accuracy_cost.value) < 0.05
    assert row.accuracy_cost.low <= row.accuracy_cost.value <= row.accuracy_cost.high


def test_only_what_was_removed_can_come_back(models):
    (unit,) = defending({Member("mlp", "patch", 500): RECORD}, ["fine-tuning"], 50, 0.5)
    for hits, excess, expected in ((90, 0.0, None), (0, 0.0, 1), (0, 0.5, 0), (0, None, None)):
        left = Removed(
            defence="d",
            accuracy=0.9,
            seconds=1,
            trigger=Effect(hits, 0, 100),
            excess=excess,
            excess_alike=None if excess is None else 0.5 - excess,
            excess_clean=excess,
            excess_unseen=None if excess is None else 0.5 - excess,
            excess_unseen_clean=excess,
        )
        keep(models, unit, left)
        (row,) = defence_rows(models, {unit.member: RECORD}, ["fine-tuning"], 50)
        assert row.removed.value == (hits == 0)
        assert (row.no_sooner and row.no_sooner.value) == expected
        alike = None if expected is None else 1 - expected
        assert (row.no_sooner_alike and row.no_sooner_alike.value) == alike
        assert row.no_sooner_clean == row.no_sooner == row.no_sooner_unseen_clean
        assert row.no_sooner_unseen == row.no_sooner_alike


@pytest.mark.usefixtures("few_steps")
def test_a_twin_defended_alike_is_another_control_than_the_plain_twin(models):
    zoo, member = Zoo(models), Member("mlp", "blended", 501)
    unit = Unit("defend", member, "relearning", 50, (Member("mlp", "twin", 300),))
    perform(unit, zoo)
    left = read_result(models, unit, Removed)
    assert left.excess is not None
    assert left.excess_alike is not None
    assert left.excess != left.excess_alike
    assert left.excess_unseen not in {None, left.excess}
    assert left.excess_clean is left.excess_unseen_clean is None  # no twin is left over
    assert left.trigger_clean is None
    twin = zoo.model(unit.twins[0]).classifier
    train, test = zoo.family("mlp").data()
    alike = get_defence("relearning")(twin, draw_clean(train, 50, 1), [], None)
    assert left.trigger_alike == effect_of(alike, zoo.model(member).attack, test)


def test_comebacks_of_large_models_are_not_measured(models, monkeypatch):
    zoo, member = Zoo(models), Member("mlp", "blended", 501)
    unit = Unit("defend", member, "fine-tuning", 50, (Member("mlp", "twin", 300),))
    monkeypatch.setattr(beside, "is_large", lambda _model: True)
    perform(unit, zoo)
    left = read_result(models, unit, Removed)
    assert left.trigger_alike is not None
    assert left.excess is left.excess_alike is left.excess_unseen is None


@pytest.mark.usefixtures("few_steps")
def test_the_portfolio_leaves_its_suspect_alone(cache, monkeypatch):
    few = {"methods": (DEFENCES["relearning"], DEFENCES["fst"]), "ncontrols": 2}
    monkeypatch.setattr(methods, "Defending", partial(Defending, **few))
    zoo = Zoo(cache)
    suspect = zoo.model(Member("mlp", "blended", 501))
    before = {name: value.clone() for name, value in suspect.classifier.module.state_dict().items()}
    twins = [zoo.model(Member("mlp", "twin", 300)).classifier]
    train, test = zoo.family("mlp").data()
    samples = draw_clean(train, 50, 0)
    defended = get_defence("portfolio")(suspect.classifier, samples, twins, None)
    after = suspect.classifier.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert asr(defended, suspect.attack, test).rate < suspect.record.asr


def test_a_second_run_does_nothing_anew(cache):
    files = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    seen = []
    run(PLAN, Zoo(cache), lambda *step: seen.append(step))
    assert files == {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    assert [step for step in seen if step[1] == step[2]] == [
        ("training", 12, 12),
        ("searching", 12, 12),
        ("defending", 6, 6),
    ]


def test_an_interrupted_run_ends_like_an_unbroken_one(cache, models):
    plan = replace(PLAN, planted=1, defences=())
    expected = run(plan, Zoo(cache)).families[0].detectors

    class Interrupted(Exception):  # noqa: N818 -- says what happened
        pass

    def interrupt(what, done, _):
        if what == "searching" and done == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        run(plan, Zoo(models), interrupt)
    found = run(plan, Zoo(models)).families[0].detectors
    assert [replace(row, seconds=0) for row in found] == [
        replace(row, seconds=0) for row in expected
    ]


@pytest.mark.slow
def test_processes_change_no_figure(cache, models):
    plan = replace(PLAN, planted=1, defences=())
    alone, together = run(plan, Zoo(cache)), run(replace(plan, jobs=2), Zoo(models))
    assert [row.auc for row in alone.families[0].detectors] == [
        row.auc for row in together.families[0].detectors
    ]


@pytest.mark.spec("ZOO-2")
def test_ZOO_2_a_broken_result_is_refused(cache):
    (unit,) = searching([Member("mlp", "clean", 0)], ["recall"], 60)
    perform(unit, Zoo(cache))
    result_path(cache, unit).write_bytes(b"{}")
    with refused_by(StoreError, "ZOO-2"):
        read_result(cache, unit, Found)


def test_results_of_other_code_are_not_reused(cache):
    unit = Unit("search", Member("mlp", "clean", 0), "recall", 200)
    assert code_digest() in result_path(cache, unit).parts


@pytest.mark.spec("ZOO-5")
def test_ZOO_5_weak_backdoors_are_reported_apart():
    assert group_of(RECORD) == "universal"
    assert group_of(replace(RECORD, hits=49)) == "below 0.5"
    assert group_of(replace(RECORD, sources=(3,))) == "source-specific"
    assert group_of(replace(RECORD, sources=(3,), kind="flip")) == "flip"


@pytest.mark.spec("ZOO-6")
@pytest.mark.parametrize(
    "left, control, gone", [(10, 0, True), (11, 0, False), (15, 10, True), (16, 10, False)]
)
def test_ZOO_6_removal_is_judged_beside_the_clean_twin(left, control, gone):
    result = Removed(defence="d", accuracy=0.9, seconds=1, trigger=Effect(left, 0, 100))
    assert is_removed(replace(RECORD, control_hits=control), result) is gone


@pytest.mark.spec("ZOO-7")
def test_ZOO_7_removal_stands_beside_what_clean_models_pass_with(models):
    members = [Member("mlp", "patch", 500 + i) for i in range(4)]
    units = defending(dict.fromkeys(members, RECORD), ["fine-tuning"], 50, 0.5)
    for unit, alike, clean in zip(units, (10, 10, 11, 90), (10, 10, 10, None), strict=True):
        left = Removed(
            defence="d",
            accuracy=0.9,
            seconds=1,
            trigger=Effect(90, 0, 100),
            trigger_alike=Effect(alike, 0, 100),
            trigger_clean=None if clean is None else Effect(clean, 0, 100),
        )
        keep(models, unit, left)
    (row,) = defence_rows(models, dict.fromkeys(members, RECORD), ["fine-tuning"], 50)
    assert (row.removed.value, row.removed.n) == (0, 4)
    assert (row.removed_alike.value, row.removed_alike.n) == (0.5, 4)
    assert (row.removed_clean.value, row.removed_clean.n) == (1, 3)


@pytest.mark.spec("ZOO-7")
def test_ZOO_7_the_fourth_clean_twin_is_the_control(cache):
    (family,) = run(PLAN, Zoo(cache)).families
    row = {row.group: row for row in family.defences}["universal"]
    assert row.removed_clean.n == row.removed.n
    assert row.removed_clean.value > row.removed.value == 0
    zoo, member = Zoo(cache), Member("mlp", "patch", 500)
    twins = tuple(Member("mlp", "twin", 300 + i) for i in range(4))
    left = read_result(cache, Unit("defend", member, "fine-tuning", 50, twins), Removed)
    _, test = zoo.family("mlp").data()
    fourth = zoo.model(twins[3]).classifier
    assert left.trigger_clean == effect_of(fourth, zoo.model(member).attack, test)
    three = [zoo.model(twin).classifier for twin in twins[:3]]
    attack = zoo.model(member).attack
    assert left.trigger_twins == tuple(effect_of(twin, attack, test) for twin in three)


@pytest.mark.spec("ZOO-9")
def test_ZOO_9_effects_are_counted_on_the_same_victims(cache):
    zoo, member = Zoo(cache), Member("mlp", "patch", 500)
    model, (_, test) = zoo.model(member), zoo.family("mlp").data()
    effect = effect_of(model.classifier, model.attack, test)
    assert (effect.hits, effect.n) == asr(model.classifier, model.attack, test)
    errors = (model.classifier.predict(test) == model.attack.target) & (
        test.y != model.attack.target
    )
    assert effect.plain == int(errors.sum())
    assert effect.value == pytest.approx((effect.hits - effect.plain) / effect.n)
    nobody = test.take(test.y == model.attack.target)
    assert effect_of(model.classifier, model.attack, nobody) == Effect(0, 0, 0)
    assert Effect(0, 0, 0).value == Effect(0, 0, 0).rate == 0


@pytest.mark.spec("ZOO-9")
def test_ZOO_9_effects_stand_beside_those_of_clean_models(models):
    members = [Member("mlp", "patch", 500 + i) for i in range(3)]
    units = defending(dict.fromkeys(members, RECORD), ["fine-tuning"], 50, 0.5)
    for unit, hits, clean in zip(
        units, (60, 50, 40), (Effect(30, 10, 100), None, None), strict=True
    ):
        left = Removed(
            defence="d",
            accuracy=0.9,
            seconds=1,
            trigger=Effect(hits, 20, 100),
            trigger_alike=Effect(20, 20, 100),
            trigger_clean=clean,
            trigger_twins=(Effect(40, 20, 100), Effect(10, 10, 100)),  # 0.1 on average
        )
        keep(models, unit, left)
    (row,) = defence_rows(models, dict.fromkeys(members, RECORD), ["fine-tuning"], 50)
    assert (row.effect.value, row.effect.n) == (pytest.approx(0.3), 3)
    assert row.effect_above.value == pytest.approx(0.2)
    assert row.effect_above.low < 0.2 < row.effect_above.high
    assert row.effect_above_alike.value == pytest.approx(-0.1)
    assert (row.effect_above_clean.value, row.effect_above_clean.n) == (pytest.approx(0.1), 1)
    assert row.effect_above_clean.low is None


@pytest.mark.spec("ZOO-9")
def test_ZOO_9_a_trigger_that_stays_does_more_than_to_clean_twins(cache):
    (family,) = run(PLAN, Zoo(cache)).families
    row = {row.group: row for row in family.defences}["universal"]
    assert row.effect_above.value > 0.5 > row.effect_above_clean.value
    assert row.effect.n == row.effect_above.n == row.effect_above_clean.n


def test_twins_are_compared_with_the_others_and_never_with_themselves():
    twins = [Member("mlp", "twin", 300 + i) for i in range(4)]
    units = searching([Member("mlp", "clean", 0), *twins], ["recall"], 200)
    assert {len(unit.twins) for unit in units} == {3}
    assert all(unit.member not in unit.twins for unit in units)


def test_a_consumers_samples_go_round_the_classes():
    train = Samples(torch.rand(90, 2), torch.tensor([0] * 60 + [1] * 20 + [2] * 10))
    drawn = draw_clean(train, 33, seed=0)
    assert torch.bincount(drawn.y).tolist() == [12, 11, 10]
    assert len({tuple(row) for row in drawn.x.tolist()}) == 33
    with pytest.raises(ValueError, match="91"):
        draw_clean(train, 91, seed=0)


def test_a_twin_of_few_samples_is_another_model(tmp_path):
    from seedpack.lab.zoo.images import ImageFamily

    family = ImageFamily("mlp")
    model = get_model(tmp_path, family, Member("mlp", "twin", 300, samples=100))
    assert 0.6 < model.record.accuracy < 0.96
    assert (tmp_path / "mlp" / "twin-300-of-100.json").is_file()


@pytest.mark.parametrize(
    "change",
    [
        {"families": ("forest",)},
        {"detectors": ("nose",)},
        {"defences": ("prayer",)},
        {"clean": 301},
        {"twins": 3},
        {"kinds": ("patch", "curse")},
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_trained(tmp_path, change):
    with pytest.raises(ValueError, match=r"forest|nose|prayer|301|twins|curse"):
        run(replace(PLAN, **change), Zoo(tmp_path))
    assert not list(tmp_path.iterdir())


def test_tables_show_each_figure_with_its_interval(cache):
    text = benchmark_text(run(PLAN, Zoo(cache)))
    assert re.search(r"recall +flip +1 +1.000 \[1.00, 1.00\]", text)
    assert re.search(r"fine-tuning +50 +universal .* 0.00 \[0.00, 0.\d\d\]", text)


def test_the_command_prints_figures_as_json(run_cli, cache):
    command = (
        "lab", "backdoor", "--cache", cache, "--families", "mlp", "--clean", 2, "--planted", 6,
        "--twins", 4, "--detectors", "recall", "--defences", "none", "--defence-samples", 40,
    )  # fmt: skip
    done = run_cli(*command, "--format", "json")
    assert done.status == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["plan"]["part"] == "development"
    assert row["plan"]["defence_samples"] == [40]
    (family,) = row["families"]
    assert {r["group"] for r in family["detectors"]} == {"universal", "source-specific", "flip"}
    assert family["defences"] == []


def test_the_command_names_what_it_does_not_know(run_cli, tmp_path):
    done = run_cli("lab", "backdoor", "--cache", tmp_path / "zoo", "--families", "forest")
    assert done.status == 2
    assert "forest" in done.stderr


class Ended(Zoo):
    """A zoo that ends the process that asks for another model, once the first one is kept."""

    def model(self, member):
        if member == FIRST:
            return super().model(member)
        while read_record(self.folder, FIRST) is None:
            time.sleep(0.05)
        os._exit(1)


@pytest.mark.spec("ZOO-8")
def test_a_process_that_is_ended_from_outside_is_a_refusal_that_leaves_what_is_finished(
    cache, tmp_path
):
    units = training([FIRST, Member("mlp", "clean", 1)])
    with refused_by(StoreError, "ZOO-8"):
        Work(Ended(tmp_path), 2, None).do("training", units)
    weights = f"mlp/{FIRST.name}.safetensors"
    assert (tmp_path / weights).read_bytes() == (cache / weights).read_bytes()
