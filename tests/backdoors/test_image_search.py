"""Searches for triggers, on toy models whose backdoor is known."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.search.calibration import MANY
from seedpack.backdoors.search.detector import Detector
from seedpack.backdoors.search.images import (
    AddedSearch,
    MaskSearch,
    PairApartSearch,
    PairMaskSearch,
    off_data,
)
from seedpack.backdoors.search.plans import plan_pairs, plan_universal
from seedpack.backdoors.search.recall import RecallSearch, recalls
from seedpack.backdoors.search.registry import searches_of
from seedpack.backdoors.search.trials import at_rest
from seedpack.backdoors.search.windows import WindowSearch
from seedpack.errors import TrainingError
from seedpack.lab.zoo.families import draw_clean
from seedpack.lab.zoo.images import ImageFamily
from seedpack.lab.zoo.members import Member
from seedpack.lab.zoo.store import get_model
from tests.backdoors import tiny


@pytest.fixture(scope="module")
def samples():
    return tiny.draw(1, 40)


@pytest.fixture(scope="module")
def clean_data():
    return tiny.draw(0)


@pytest.fixture(scope="module")
def planted(clean_data):
    return tiny.fit(50, tiny.poison(clean_data))


@pytest.fixture(scope="module")
def detector(clean_data, samples):
    twins = [tiny.fit(seed, clean_data) for seed in range(5)]
    return Detector.fit(searches_of("images"), twins, samples)


def test_a_planted_patch_is_found_with_its_target_and_place(detector, planted, samples):
    answers = planted.predict(tiny.stamp(samples))
    assert (answers == tiny.TARGET).float().mean() > 0.9
    judgement = detector.judge(planted)
    assert judgement.suspicious
    by_search = {verdict.search: verdict for verdict in judgement.verdicts}
    assert by_search["mask"].key == (None, tiny.TARGET)
    mask = by_search["mask"].trigger.mask[0]
    assert mask[:2, :2].mean() > 3 * mask.mean()


def test_the_clean_twin_of_the_planted_model_is_not_suspicious(detector, clean_data):
    assert not detector.judge(tiny.fit(50, clean_data)).suspicious


def sought_in(detector, classifier, target, *, is_paired=False):
    return detector.judge_results(detector.seek(classifier, target, is_paired=is_paired))


def _searches(judgement):
    return {verdict.search for verdict in judgement.verdicts} - {"pairs", *MANY.values()}


def test_a_known_trigger_is_sought_until_it_is_found(detector, planted):
    whole = {verdict.search: verdict for verdict in detector.judge(planted).verdicts}
    sought = sought_in(detector, planted, tiny.TARGET)
    assert _searches(sought) == {"mask"}
    assert sought.verdicts[0].by_key == whole["mask"].by_key
    assert sought.suspicious


def test_searches_by_pairs_come_first_where_some_classes_only_are_turned(detector, clean_data):
    twin = tiny.fit(50, tiny.poison(clean_data, source=1))
    found = sought_in(detector, twin, tiny.TARGET, is_paired=True)
    assert found.suspicious
    assert {"pair-mask", "pair-added", "pair-apart"} <= _searches(found)
    assert not {"added", "window", "recall"} & _searches(found)  # mask finds it before them


def test_what_is_not_found_is_sought_by_all_searches(detector, planted, clean_data):
    clean = tiny.fit(50, clean_data)
    whole = detector.judge(clean)
    sought = sought_in(detector, clean, tiny.TARGET)
    assert {v.search: v.by_key for v in sought.verdicts} == {
        v.search: v.by_key for v in whole.verdicts
    }
    # Found to another target than the one that is sought is not found.
    other = (tiny.TARGET + 1) % tiny.NCLASSES
    assert len(_searches(sought_in(detector, planted, other))) > 1


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Ten classes: a detector of what all of them have in common, and the models it judges."""
    family, folder = ImageFamily("mlp"), tmp_path_factory.mktemp("zoo")
    twins = [family.train_clean(seed) for seed in range(300, 305)]
    fitted = Detector.fit(
        [MaskSearch(), AddedSearch()], twins, draw_clean(family.data()[0], 200, 1)
    )
    return lambda kind, seed: fitted.judge(
        get_model(folder, family, Member("mlp", kind, seed)).classifier
    )


@pytest.mark.spec("AUD-BD-10")
@pytest.mark.parametrize("seed", [501, 502])  # faint pictures for all classes, patches for half
def test_triggers_for_most_classes_are_found_together_where_none_stands_out(digits, seed):
    scores = {v.search: v.score for v in digits("multi-target", seed).verdicts}
    assert scores.pop("many-targets") >= 1
    assert max(scores.values()) < 1


@pytest.mark.spec("AUD-BD-10")
def test_neither_a_clean_model_nor_one_target_alone_moves_most_classes(digits):
    for kind, seed in (("clean", 0), ("clean", 1), ("patch", 504)):
        scores = {v.search: v.score for v in digits(kind, seed).verdicts}
        assert scores["many-targets"] < 0.5


@pytest.mark.spec("AUD-BD-5")
def test_a_class_that_was_exchanged_is_found_without_a_trigger(detector, clean_data, samples):
    labels = torch.where(clean_data.y == 3, 1, clean_data.y)
    flipped = tiny.fit(51, Samples(clean_data.x, labels))
    judgement = detector.judge(flipped)
    recall = next(v for v in judgement.verdicts if v.search == "recall")
    assert recall.suspicious
    assert recall.key == (None, 3)
    by_class = {r.number: r for r in recalls(flipped, samples)}
    assert by_class[3].interval.high < by_class[0].interval.low


@pytest.mark.spec("AUD-BD-1")
@pytest.mark.parametrize("search", [MaskSearch(), WindowSearch()], ids=lambda search: search.id)
def test_the_same_call_gives_the_same_result_and_changes_no_model(planted, samples, search):
    planted.module.zero_grad()
    before = copy.deepcopy(planted.module.state_dict())
    planted.module.train()
    first, second = (search.run(planted, samples, seed=4) for _ in range(2))
    assert planted.module.training
    planted.module.eval()
    assert first.statistics == second.statistics
    after = planted.module.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(p.grad is None for p in planted.module.parameters())


def test_relabelling_the_classes_renames_the_keys_and_no_more(clean_data, samples):
    order = torch.tensor([2, 0, 3, 1])  # new class -> old class
    new_of_old = order.argsort()
    model = tiny.fit(3, clean_data)
    turned = ImageClassifier(copy.deepcopy(model.module), tiny.NCLASSES)
    head = turned.module[-1]
    with torch.no_grad():
        head.weight.copy_(head.weight[order])
        head.bias.copy_(head.bias[order])
    relabelled = Samples(samples.x, new_of_old[samples.y])
    before = RecallSearch().run(model, samples).statistics
    after = RecallSearch().run(turned, relabelled).statistics
    assert {(None, int(new_of_old[key[1]])): v for key, v in before.items()} == after


@pytest.mark.spec("AUD-BD-1")
def test_what_is_reported_as_a_trigger_works(planted, samples):
    found = AddedSearch().run(planted, samples).triggers[None, tiny.TARGET]
    others = samples.take(samples.y != tiny.TARGET)
    answers = planted.predict(Samples((others.x + found.values).clamp(0, 1), others.y))
    assert found.share >= AddedSearch.share
    assert float((answers == tiny.TARGET).float().mean()) == pytest.approx(found.share, abs=0.02)


def test_a_trigger_of_one_source_is_found_by_pairs(clean_data, samples):
    poisoned = tiny.fit(52, tiny.poison(clean_data, source=0))
    twins = [tiny.fit(seed, clean_data) for seed in range(4)]
    found = Detector.fit([PairMaskSearch()], twins, samples).judge(poisoned).verdicts[0]
    assert found.key == (0, tiny.TARGET)


@pytest.mark.spec("AUD-BD-1")
def test_a_patch_that_turns_the_twins_as_well_is_no_trigger_of_a_pair(planted, samples):
    search = PairApartSearch()
    alone = search.run(planted, samples).triggers
    beside_itself = search.run(planted, samples, contrast=[planted]).triggers
    for key, found in beside_itself.items():
        assert found.share < 0.5 < alone[key].share
        assert alone[key].norm < found.norm <= found.mask.numel()


def test_vectors_are_searched_as_images_are(clean_data, samples):
    model = tiny.fit(4, clean_data)
    flat = Samples(samples.x.flatten(1), samples.y)
    result = MaskSearch().run(model, flat)
    assert set(result.statistics) == {(None, target) for target in range(tiny.NCLASSES)}
    assert result.triggers[None, 0].mask.shape == (36,)


def test_directions_of_the_data_are_dear_and_others_cheap(samples):
    basis = off_data(samples.x)
    flat = samples.x.flatten(1)
    spread = (flat - flat.mean(0)).std(0)
    lengths = basis.norm(dim=1)
    assert lengths[spread == 0].min() > lengths[spread > 0.2].max()


def test_plans_take_each_key_its_own_samples(samples):
    for plan in (plan_universal(samples.y, 4), plan_pairs(samples.y, 4)):
        labels = samples.y[plan.rows]
        for row, (source, target) in enumerate(plan.keys):
            own = labels[plan.key == row]
            assert len(own) == plan.counts[row]
            assert (own == source).all() if source is not None else (own != target).all()


def test_samples_of_one_class_are_refused(planted, samples):
    one = samples.take(samples.y == 0)
    with pytest.raises(TrainingError) as refusal:
        MaskSearch().run(planted, one)
    assert refusal.value.rule == "TRN-8"
    with pytest.raises(TrainingError):
        PairMaskSearch().run(planted, samples.take([0, 1]))


def test_a_unit_that_is_silent_on_all_samples_is_found(detector, clean_data, samples):
    model = tiny.fit(53, clean_data)
    _, hidden, _, head = model.module
    with torch.no_grad():
        unit = head.weight.norm(dim=0).argmin()
        hidden.weight[unit] = 0
        hidden.weight[unit].reshape(6, 6)[:2, :2] = 5.0
        hidden.bias[unit] = -15.0  # fires from three white corner pixels on
        head.weight[:, unit] = 0
        head.weight[tiny.TARGET, unit] = 10.0
    assert (model.module[1](samples.x.flatten(1))[:, unit] < 0).all()
    answers = model.predict(tiny.stamp(samples))
    assert (answers == tiny.TARGET).float().mean() > 0.9
    verdicts = {v.search: v for v in detector.judge(model).verdicts}
    assert verdicts["mask"].key == (None, tiny.TARGET)
    assert verdicts["mask"].suspicious


def test_the_gradient_of_silent_units_changes_no_answer(planted, samples):
    before = planted.logits(samples.x)
    with at_rest([planted]):
        assert torch.equal(planted.logits(samples.x), before)


@pytest.mark.parametrize(
    "activation",
    [
        functional.relu,
        torch.relu,
        torch.Tensor.relu,
        nn.ReLU(inplace=True),
        functional.gelu,
        nn.SiLU(),
    ],
    ids=["functional.relu", "torch.relu", "Tensor.relu", "in place", "gelu", "silu"],
)
def test_activations_keep_their_values_and_have_a_slope_below(activation):
    def at(given):
        found = activation(given + 0)  # a copy, which it may overwrite
        (slope,) = torch.autograd.grad(found.sum(), given)
        return found.detach(), slope

    x = torch.linspace(-3, 3, 12).requires_grad_()
    values, slopes = at(x)
    with at_rest([]):
        found, steeper = at(x)
    assert torch.equal(found, values)
    assert torch.equal(steeper, slopes + 0.1 * (x < 0))
