"""Defences: a known backdoor goes, plain tuning leaves it, and no removal is claimed unshown."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.backdoors.classifiers import UNLABELLED, ImageClassifier, Samples
from seedpack.backdoors.defence import portfolio, relearning, teaching, views
from seedpack.backdoors.defence.base import Defence, require_enough
from seedpack.backdoors.defence.controls import Control, plant
from seedpack.backdoors.defence.defending import Defending, defend_classifier
from seedpack.backdoors.defence.hardening import Hardening
from seedpack.backdoors.defence.portfolio import try_methods
from seedpack.backdoors.defence.reactivation import (
    STEPS,
    attempt,
    compare,
    compare_comebacks,
    reactivate,
)
from seedpack.backdoors.defence.registry import CONTROL, DEFENCES, UNTAUGHT, defences_for
from seedpack.backdoors.defence.renewal import renewed
from seedpack.backdoors.defence.report import DefenceReport
from seedpack.backdoors.defence.teaching import Plan, teach
from seedpack.backdoors.defence.views import gently, stamped, stamped_alike
from seedpack.backdoors.planting.base import Hits, asr
from seedpack.backdoors.planting.images import make_attack
from seedpack.errors import TrainingError
from seedpack.lab.zoo.images import ImageFamily


class Nothing(Defence):
    """Leaves everything as it is."""

    id = "nothing"

    def run(self, classifier, samples, *, seed=0, reference=None):
        del samples, seed, reference
        return classifier.clone()


@pytest.fixture(scope="module")
def digits():
    train, test = ImageFamily("mlp").data()
    return train.take(range(200)), train, test


@pytest.fixture(scope="module")
def twin(digits):
    _, train, _ = digits
    return train_model(train)


@pytest.fixture(scope="module")
def planted(digits):
    _, train, _ = digits
    attack = make_attack("patch", 4, (1, 8, 8), 10)
    return train_model(attack.poison(train, 0.1, 0)), attack


def train_model(samples):
    network = ImageFamily("mlp").make(7)
    teach(network, samples, Plan(400, trust=1.0), torch.Generator().manual_seed(0))
    return network


@pytest.mark.spec("AUD-DEF-2")
def test_relearning_removes_what_fine_tuning_keeps(digits, planted, twin):
    clean, _, test = digits
    suspect, attack = planted
    natural = asr(twin, attack, test).rate
    before = {name: value.clone() for name, value in suspect.module.state_dict().items()}
    defended = DEFENCES["relearning"].run(suspect, clean)
    assert asr(suspect, attack, test).rate > 0.9
    assert asr(CONTROL.run(suspect, clean), attack, test).rate > 0.5
    assert asr(defended, attack, test).rate <= max(0.1, natural + 0.05)
    assert defended.accuracy(test) >= suspect.accuracy(test) - 0.03
    for name, value in suspect.module.state_dict().items():
        assert torch.equal(value, before[name])


@pytest.mark.usefixtures("few_steps")
@pytest.mark.parametrize("name", ["fst", "relearning"])
def test_the_same_arguments_give_the_same_model(digits, planted, name):
    clean, _, _ = digits
    suspect, _ = planted
    first, second = (DEFENCES[name].run(suspect, clean.take(range(40)), seed=3) for _ in range(2))
    assert torch.equal(first.scores(clean), second.scores(clean))


@pytest.mark.spec("AUD-DEF-3")
@pytest.mark.usefixtures("few_steps")
def test_no_removal_is_claimed_where_controls_survive(digits, planted):
    clean, _, test = digits
    suspect, _ = planted
    options = Defending(methods=(Nothing(),), ncontrols=2, draws=0)
    defended, report = defend_classifier(suspect, clean, test, options)
    assert not report.removed_on_controls
    assert report.controls_removed < report.controls_tried
    assert report.claim.startswith("no removal is claimed")
    assert torch.equal(defended.scores(test), suspect.scores(test))
    assert msgspec.json.decode(msgspec.json.encode(report), type=DefenceReport) == report


@pytest.mark.slow
@pytest.mark.spec("AUD-DEF-3")
@pytest.mark.usefixtures("few_steps")
def test_a_defended_model_is_reported_beside_its_controls(digits, planted, monkeypatch):
    monkeypatch.setattr(relearning, "_PLAN", replace(relearning._PLAN, steps=250))
    clean, _, test = digits
    suspect, attack = planted
    methods = (Nothing(), DEFENCES["relearning"])
    found = (attack,)
    defended, report = defend_classifier(
        suspect, clean, test, Defending(methods=methods, ncontrols=2, draws=1, found=found)
    )
    assert report.removed_on_controls
    assert report.chosen == "relearning"
    assert {method.method for method in report.methods} == {"relearning", "nothing", CONTROL.id}
    assert report.accuracy_after.hits == int((defended.predict(test) == test.y).sum())
    assert report.found[0].removed
    assert len(report.comebacks) == report.controls_tried


@pytest.mark.spec("AUD-DEF-5")
@pytest.mark.usefixtures("few_steps")
def test_comebacks_are_those_of_the_very_controls_that_the_method_was_chosen_by(
    digits, planted, monkeypatch
):
    clean, _, test = digits
    seeds, reports = [], []

    class Seeded(Nothing):
        def run(self, classifier, samples, *, seed=0, reference=None):
            del samples, reference
            seeds.append(seed)
            return renewed(classifier, 0.9, seed=seed)

    options = Defending(methods=(Seeded(),), ncontrols=1, draws=1, seed=5)
    for memory in (1 << 30, 0):  # kept, or made again
        monkeypatch.setattr(portfolio, "_MEMORY", memory)
        _, report = defend_classifier(planted[0], clean, test, options)
        reports.append(msgspec.structs.replace(report, seconds=0))
    assert reports[0] == reports[1]
    assert len(report.comebacks) == report.controls_tried == 1
    assert seeds == [5] * (3 + 4)  # a control, the suspect when it is chosen, and when it is done


@pytest.mark.spec("AUD-DEF-8")
@pytest.mark.usefixtures("few_steps")
def test_what_the_suspect_is_worth_is_told_beside_what_the_samples_teach_alone(digits, planted):
    clean, _, test = digits
    suspect, _ = planted
    options = Defending(methods=(Nothing(),), ncontrols=1, draws=0, seed=5)
    _, report = defend_classifier(suspect, clean, test, options)
    alone = UNTAUGHT.run(suspect, clean, seed=5)
    arm = report.untaught
    assert arm.start == "random-init"
    assert arm.accuracy.hits == int((alone.predict(test) == test.y).sum())
    assert 0.1 * len(test) < arm.accuracy.hits < report.accuracy_after.hits
    assert arm.gained == pytest.approx(
        (report.accuracy_after.hits - arm.accuracy.hits) / arm.accuracy.n, abs=1e-6
    )
    assert arm.gained_interval[0] < arm.gained < arm.gained_interval[1]


@pytest.mark.spec("AUD-DEF-8")
@pytest.mark.usefixtures("few_steps")
def test_that_control_holds_nothing_of_the_suspect(digits, planted, twin):
    clean, _, _ = digits
    suspect, _ = planted
    ruined = suspect.clone()
    for value in ruined.module.parameters():
        value.data.fill_(torch.inf)
    alone, again, other = (
        UNTAUGHT.run(one, clean.take(range(40))) for one in (suspect, ruined, twin)
    )
    assert torch.equal(alone.scores(clean), again.scores(clean))
    assert torch.equal(alone.scores(clean), other.scores(clean))


@pytest.mark.spec("AUD-DEF-4")
def test_methods_are_ranked_by_what_they_remove_then_by_accuracy(digits, planted, monkeypatch):
    monkeypatch.setattr(relearning, "_PLAN", replace(relearning._PLAN, steps=250))
    clean, _, test = digits
    suspect, attack = planted
    control = Control(attack, suspect, suspect, Hits(9, 10), Hits(0, 10))

    class Breaks(Nothing):
        id = "breaks"

        def run(self, classifier, samples, *, seed=0, reference=None):
            del samples, seed, reference
            return renewed(classifier, 0.0, seed=1)

    def apply(defence, classifier, number):
        return defence.run(classifier, clean, seed=number)

    methods = [Nothing(), Breaks(), DEFENCES["relearning"]]
    ranked = try_methods([control], methods, apply, test)
    assert ranked[0].defence.id == "relearning"
    assert ranked[-1].defence.id == "nothing"


@pytest.mark.spec("AUD-DEF-1")
@pytest.mark.parametrize(("count", "classes"), [(19, 2), (50, 1)])
def test_too_few_clean_samples_are_refused(count, classes):
    samples = Samples(torch.zeros(count, 4), torch.arange(count) % classes)
    with pytest.raises(TrainingError) as refusal:
        require_enough(samples)
    assert refusal.value.rule == "AUD-DEF-1"


@pytest.mark.spec("AUD-DEF-5")
def test_a_covered_backdoor_comes_back_sooner_than_it_is_learnt(digits, planted, twin):
    clean, _, test = digits
    suspect, attack = planted
    covered = CONTROL.run(suspect, clean)
    unlearnt = train_model(clean)
    sooner = compare_comebacks(suspect, [twin], attack, clean, test, draws=1)
    same = compare_comebacks(twin, [twin], attack, clean, test, draws=1)
    assert sooner.back_at(sooner.defended) == [STEPS[0]]
    assert compare_comebacks(covered, [unlearnt], attack, clean, test, draws=1).defended[0][2] > 0.5
    assert same.excess == (0.0,)
    assert same.is_no_sooner


@pytest.mark.spec("AUD-DEF-6")
def test_weights_that_only_grew_gain_nothing_where_steps_go_by_their_size(digits, planted, twin):
    clean, _, test = digits
    _, attack = planted
    grown, growth = twin.clone(), 1.0
    with torch.no_grad():
        for layer in grown.module[1::2]:  # the same answers, from weights twice as large
            growth *= 2.0
            layer.weight.mul_(2.0)
            layer.bias.mul_(growth)
    assert torch.equal(grown.predict(test), twin.predict(test))
    fixed, by_size = (
        [sum(reactivate(m, attack, clean, test, 0, by_size=way)) for m in (twin, grown)]
        for way in (False, True)
    )
    assert fixed[0] - fixed[1] > 5 * abs(by_size[0] - by_size[1])


@pytest.mark.spec("AUD-DEF-6")
def test_the_way_that_is_worse_counts():
    never, slow, quick = ((tuple(rate * (i > 0) for i in range(10)),) for rate in (0.0, 0.3, 0.9))
    worse = compare((slow, quick), [(slow, slow), (slow, never)])
    assert worse.by_size
    assert worse.twin[0][1] == pytest.approx(0.15)
    assert not worse.is_no_sooner
    assert not compare((quick, slow), [(slow, slow)]).by_size
    assert compare((slow, never), [(slow, slow)]).is_no_sooner


@pytest.mark.spec("AUD-DEF-2")
def test_hardening_adds_gradients_and_leaves_weights(digits, twin):
    clean, _, _ = digits
    student, batch = twin.clone(), clean.take(range(64))
    harden = Hardening(student, torch.Generator().manual_seed(0), weight=1.0)
    answers = torch.nn.functional.one_hot(batch.y, 10).float()
    harden(batch, answers)
    for ours, before in zip(student.module.parameters(), twin.module.parameters(), strict=True):
        assert torch.equal(ours, before)
    assert all(weight.grad.abs().sum() > 0 for weight in student.module.parameters())


def test_a_hardened_model_is_slower_to_learn_a_trigger_in_both_ways(digits):
    clean, _, test = digits
    attack = make_attack("patch", 9, (1, 8, 8), 10)
    rises = []
    for is_hardened in (False, True):
        generator = torch.Generator().manual_seed(0)
        network = ImageFamily("mlp").make(7)
        harden = Hardening(network, generator, weight=1.0) if is_hardened else None
        teach(network, clean, Plan(300, trust=1.0), generator, harden=harden)
        curves = attempt(network, attack, clean, test, draws=1)
        rises.append([sum(curve) - len(curve) * curve[0] for (curve,) in curves])
    assert all(hard < soft for soft, hard in zip(*rises, strict=True))


@pytest.mark.spec("AUD-DEF-4")
def test_a_planted_control_has_its_backdoor_and_its_base_has_not(digits, twin):
    clean, _, test = digits
    control = plant(twin, make_attack("blended", 2, (1, 8, 8), 10), clean, test, 0)
    assert control.took
    assert control.natural.rate < 0.2
    assert control.planted.accuracy(test) > 0.8


def test_views_keep_range_shape_and_classes(digits):
    _clean, _, _ = digits
    wide = ImageClassifier(torch.nn.Flatten(), 10, -2.0, 3.0)
    generator = torch.Generator().manual_seed(0)
    for shape in ((1, 8, 8), (3, 6, 10), (64,)):
        samples = Samples(torch.rand(50, *shape) * 5 - 2, torch.arange(50) % 10)
        for view in (gently, stamped, stamped_alike):
            seen = view(wide, samples, generator)
            assert seen.x.shape == samples.x.shape
            assert torch.equal(seen.y, samples.y)
            assert float(seen.x.min()) >= -2 - 1e-5
            assert float(seen.x.max()) <= 3 + 1e-5
            assert not torch.equal(seen.x, samples.x)


@given(st.integers(0, 500), st.sampled_from([(1, 8, 8), (3, 6, 10), (64,)]))
def test_spliced_inputs_have_a_part_of_each_of_two_and_no_label(seed, shape):
    # Each sample is of one value, so that each value tells whose it is.
    own = torch.arange(40.0)
    samples = Samples(own.view(40, *[1] * len(shape)).expand(40, *shape).clone(), own.long() % 10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(views, "gently", lambda _classifier, samples, _generator: samples)
        wide = ImageClassifier(torch.nn.Flatten(), 10, 0.0, 39.0)
        found = views.splice(wide, samples, torch.Generator().manual_seed(seed))
    is_spliced = found.y == UNLABELLED
    assert torch.equal(found.y[~is_spliced], samples.y[~is_spliced])
    assert torch.equal(found.x[~is_spliced], samples.x[~is_spliced])
    assert 5 < int(is_spliced.sum()) < 35
    assert bool(found.candidates[range(40), samples.y].all())
    assert int(found.candidates.sum(1).max()) == 2
    for x, ours in zip(found.x[is_spliced], own[is_spliced], strict=True):
        (theirs,) = {*x.flatten().tolist()} - {float(ours)} or {float(ours)}
        is_theirs = (x == theirs) & (theirs != ours)
        assert bool(found.candidates[int(ours), int(theirs) % 10])
        assert float(is_theirs.float().mean()) <= 0.95
        if len(shape) > 1:
            rows, columns = is_theirs[0].all(1), is_theirs[0].all(0)
            assert torch.equal(is_theirs[0], rows[:, None] | columns)
            assert int(rows.diff().sum() + columns.diff().sum()) == int(theirs != ours)


def test_a_suspect_is_believed_of_spliced_inputs_within_what_they_are_made_of():
    told = torch.tensor([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0], [0.0, 0.0, 4.0]])
    candidates = torch.tensor([[True, True, False], [False, True, True], [True, True, False]])
    y = torch.tensor([UNLABELLED, UNLABELLED, 1])
    first = Samples(torch.zeros(3, 1), y, candidates=candidates)

    class Told:
        def scores(self, samples):
            assert samples is first
            return told

    answers = teaching._answers(first, 3, Plan(trust=0.5), Told())
    assert torch.allclose(answers[0], told[0].softmax(0))  # as it is: it may well be right
    assert torch.allclose(answers[1], torch.tensor([0.0, 0.5, 0.5]))
    assert torch.equal(answers[2], torch.tensor([0.0, 1.0, 0.0]))
    assert torch.equal(first.take([2, 0]).candidates, candidates[[2, 0]])


@pytest.mark.parametrize(
    ("count", "least", "most"), [(20, 0.45, 0.75), (100, 0.2, 0.45), (200, 0, 0)]
)
def test_the_fewer_samples_the_more_spliced_ones_is_a_suspect_asked_about(
    digits, planted, monkeypatch, count, least, most
):
    seen = []

    def spy(student, samples, plan, generator, *, teacher, views, harden):
        del student, plan, harden
        assert teacher is suspect
        seen.append(views[0](samples, generator))

    monkeypatch.setattr(relearning, "teach", spy)
    _, train, _ = digits
    suspect, _ = planted
    DEFENCES["relearning"].run(suspect, train.take(range(count)))
    (first,) = seen
    assert least <= float((first.y == UNLABELLED).float().mean()) <= most


def test_renewed_weights_lie_between_suspect_and_reference(planted, twin):
    suspect, _ = planted
    half = renewed(suspect, 0.5, reference=twin)
    for ours, one, other in zip(
        *(model.module.parameters() for model in (half, suspect, twin)), strict=True
    ):
        torch.testing.assert_close(ours, (one + other) / 2)
    assert not torch.equal(
        *(next(renewed(suspect, 0.0, seed=s).module.parameters()) for s in (0, 1))
    )


def test_every_form_has_methods():
    for form in ("images", "texts"):
        assert defences_for(form)
