"""The audit for hidden triggers, on digits and a small network whose backdoor is known."""

from __future__ import annotations

import math
from types import SimpleNamespace

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from seedpack.audits import PROFILES, Spec
from seedpack.audits.backdoor import Backdoor, Seen
from seedpack.audits.backdoor_report import report
from seedpack.audits.backdoor_search import Asked
from seedpack.audits.controls import Subjects
from seedpack.audits.gates import conclude
from seedpack.audits.results import Severity, Status
from seedpack.audits.sought import Sought
from seedpack.audits.work import open_context
from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.backdoors.planting.base import Hits
from seedpack.backdoors.search.base import SearchResult, Trigger
from seedpack.backdoors.search.calibration import Calibration, Judgement, Verdict
from seedpack.backdoors.search.images import MaskSearch, PairAddedSearch
from seedpack.backdoors.search.recall import ClassRecall
from seedpack.backdoors.search.weights import Difference, Outlier
from seedpack.errors import TrainingError
from tests.audits import small_network
from tests.audits.worlds import beside, build_world, run, write_data

LABELS = ("0", "1", "2")
CONTEXT = SimpleNamespace(spec=SimpleNamespace(random_seed=0))
SEARCH = SimpleNamespace(id="mask", unit="pixels covered")


def judgement(z, target=1):
    trigger = Trigger(0.9, 40, 2.5, torch.ones(1, 2, 2), torch.ones(1, 2, 2))
    return Judgement((Verdict("mask", z, (None, target), {}, 4.0, trigger),))


def control(found):
    hits, before = Hits(100, 100), Hits(0, 100)
    planted = Sought(kind="patch", target=1, rate=0.05, hits=hits, before=before, found=())
    return planted, judgement(8.0 if found else 1.0)


def seen(**changes):
    """Measurements of a sound model, but for ``changes``."""
    detector = SimpleNamespace(
        searches=(SEARCH,),
        samples=[0] * 50,
        clean=(judgement(1.0),) * 5,
        found=((),) * 5,
    )
    known = [ClassRecall(c, 95, 100) for c in range(3)]
    usual = Seen(
        detector=detector,
        judgement=judgement(2.0),
        score_range=(0.4, 0.6),
        controls=(control(found=True),) * 3,
        accuracy=0.95,
        twin_accuracies=(0.95,) * 5,
        recalls=known,
        twin_recalls=[known] * 5,
        outliers=(),
        start="",
        shape=(1, 2, 2),
    )
    return usual._replace(**changes)


def result(**changes):
    return conclude(report(seen(**changes), CONTEXT, LABELS))


def test_a_model_like_its_twins_passes_where_all_planted_controls_are_found():
    assert result().status is Status.PASS


@pytest.mark.spec("AUD-BD-4")
@pytest.mark.parametrize(
    "changes",
    [
        {"controls": ()},
        {"controls": (control(found=True), control(found=False))},
        {"twin_accuracies": (0.7,) * 5},
        {"detector": SimpleNamespace(**{**vars(seen().detector), "clean": (judgement(9.0),) * 5})},
        {"named_by_seed": True, "start": "base"},
        {"scale": 100.0},
        {"scale": 0.01},
    ],
    ids=[
        *("none planted", "one not found", "poor twins", "twins stand out"),
        *("twins of the seed's own base", "large scores", "small scores"),
    ],
)
def test_searches_without_proof_of_their_power_do_not_pass(changes):
    found = result(**changes)
    assert found.status is Status.UNDECIDED
    assert found.reason


@pytest.mark.spec("AUD-BD-4")
def test_what_was_not_found_is_told_with_norm_and_power():
    (finding,) = result().findings
    assert finding.severity is Severity.INFO
    assert "2.5 pixels covered" in finding.evidence
    assert "find 3 of 3" in finding.evidence
    assert "no backdoor" not in f"{finding}{result().searched}".lower()
    (planted,) = (t for t in result().tables if t.title == "Backdoors planted in clean twins")
    assert [dict(zip(planted.columns, row, strict=True))["poisoned"] for row in planted.rows] == [
        0.05
    ] * 3


@pytest.mark.spec("AUD-BD-2")
@pytest.mark.parametrize(
    "scores, status",
    [
        ((0.4, 0.9), Status.PASS),
        ((0.9, 1.3), Status.UNDECIDED),
        ((1.1, 1.5), Status.FAIL),
    ],
)
def test_an_alarm_that_hangs_on_one_twin_is_undecided(scores, status):
    assert result(score_range=scores).status is status


@pytest.mark.spec("AUD-BD-5")
def test_a_class_that_only_the_twins_know_fails():
    recalls = [ClassRecall(0, 95, 100), ClassRecall(1, 2, 100), ClassRecall(2, 95, 100)]
    assert result(recalls=recalls).status is Status.FAIL


@pytest.mark.spec("AUD-BD-5")
@pytest.mark.parametrize(
    "recalls, usual",
    [
        ([ClassRecall(0, 95, 100), ClassRecall(1, 95, 100)], ClassRecall(2, 95, 100)),
        ([ClassRecall(c, 95, 100) for c in range(3)], ClassRecall(2, 5, 100)),
        (
            [ClassRecall(0, 95, 100), ClassRecall(1, 95, 100), ClassRecall(2, 1, 1)],
            ClassRecall(2, 95, 100),
        ),
    ],
    ids=["no examples", "twins do not know it", "one example"],
)
def test_a_class_that_was_not_measured_is_not_passed(recalls, usual):
    twins = [[ClassRecall(0, 95, 100), ClassRecall(1, 95, 100), usual]] * 5
    found = result(recalls=recalls, twin_recalls=twins)
    assert found.status is Status.UNDECIDED
    assert found.gates[1].reason


@pytest.mark.spec("AUD-BD-8")
def test_an_answer_that_more_samples_replaced_is_told():
    told = result(before=(Asked(20, (1.1, 1.37)),)).searched
    assert "on 50 clean samples (as on 20 something stood out: score up to 1.37)" in told


def test_controls_that_could_not_be_planted_are_told():
    (finding,) = result(tried=5).findings
    assert "2 more could not be planted" in finding.evidence


@pytest.mark.spec("AUD-BD-4")
def test_answers_that_are_no_numbers_are_refused_and_not_passed():
    torch.manual_seed(0)
    overflowing = small_network.make()
    with torch.no_grad():
        for value in overflowing.parameters():
            value.mul_(1e25)
    samples = Samples(torch.rand(40, 1, 8, 8), torch.arange(40) % 10)
    for search in (MaskSearch(), PairAddedSearch()):
        with pytest.raises(TrainingError, match="TRN-13"):
            search.run(ImageClassifier(overflowing, 10), samples)
    numbers = [SearchResult("s", {(None, c): float(c) for c in range(3)}, limit=4.0)] * 3
    nothing = SearchResult("s", {(None, 0): 0.0, (None, 1): math.nan, (None, 2): 0.0}, limit=4.0)
    with pytest.raises(TrainingError, match="TRN-13"):
        Calibration.fit(numbers).judge(nothing)


@pytest.mark.spec("AUD-BD-4")
def test_the_base_that_a_seed_names_is_no_start_for_twins_where_another_is_to_be_had(tmp_path):
    spec = msgspec.structs.replace(build_world(tmp_path), base="base.safetensors")
    with open_context(spec, PROFILES["quick"], tmp_path / "run") as context:
        assert not Subjects(context).start
    vouched = msgspec.structs.replace(spec, reference=spec.model)
    with open_context(vouched, PROFILES["quick"], tmp_path / "run") as context:
        assert Subjects(context).start == spec.model


@pytest.mark.spec("AUD-BD-6")
def test_differing_weights_are_told_and_decide_nothing():
    outlier = Outlier(Difference("head", 0.2, 1.1, 3, 0.9), (1.0, 12.0, 2.0))
    found = result(outliers=(outlier,))
    assert found.status is Status.PASS
    assert any("weights differ" in finding.title for finding in found.findings)


def test_a_trigger_that_stands_out_is_critical_and_shown():
    found = result(judgement=judgement(9.0), score_range=(2.0, 2.4))
    assert found.findings[0].severity is Severity.CRITICAL
    assert found.pictures[0].pixels == bytes([255] * 4)


@pytest.mark.spec("AUD-BD-12")
@pytest.mark.parametrize(("ease", "status"), [(-1.6, Status.UNDECIDED), (-1.0, Status.PASS)])
def test_a_model_much_harder_to_turn_than_its_twins_does_not_pass(ease, status):
    moved = Verdict("many-pairs", ease, (0, 1), {}, 4.7)
    found = result(judgement=Judgement((*judgement(1.0).verdicts, moved)))
    assert found.status is status
    assert ("harder to turn" in found.reason) is (status is Status.UNDECIDED)


@pytest.mark.spec("AUD-BD-12")
def test_a_model_harder_to_turn_still_fails_where_something_stands_out():
    moved = Verdict("many-pairs", -3.0, (0, 1), {}, 4.7)
    loud = Judgement((*judgement(9.0).verdicts, moved))
    assert result(judgement=loud, score_range=(2.0, 2.4)).status is Status.FAIL


@pytest.mark.spec("AUD-BD-10")
def test_triggers_for_many_classes_are_told_with_the_classes_and_what_turns_the_furthest():
    moved = {(None, 0): 3.0, (None, 1): 5.0, (None, 2): 6.0}
    one = Verdict("mask", 1.0, (None, 2), {}, 4.0, Trigger(0.9, 40, 2.5))
    together = Verdict("many-targets", 5.5, (None, 2), moved, 4.7)
    loud = result(judgement=Judgement((together, one)), score_range=(1.1, 1.2))
    (finding,) = loud.findings
    assert loud.status is Status.FAIL
    assert finding.severity is Severity.CRITICAL
    assert finding.title == "triggers for many classes stand out together, furthest: any class to 2"
    assert "reached by 2 of 3: any class to 2, any class to 1" in finding.evidence
    assert "mask; 2.5 pixels covered turn 90 % of 40 samples" in finding.evidence


def test_without_twins_to_be_had_the_audit_says_so():
    spec = Spec(model="folder", task="text-classification")
    split = SimpleNamespace(labels=("a", "b"))
    context = SimpleNamespace(spec=spec, split=split)
    found = Backdoor().run(context)
    assert found.status is Status.UNDECIDED
    assert "--reference" in found.reason
    numbers = SimpleNamespace(spec=spec, split=SimpleNamespace(labels=()))
    assert "numbers" in Backdoor().run(numbers).reason


@pytest.mark.slow
def test_a_planted_corner_is_found_and_a_sound_network_raises_no_alarm(tmp_path):
    spec = build_world(tmp_path)
    x, y = write_data(tmp_path)
    poisoned, labels = x.clone(), y.clone()
    poisoned[::15, :2, :2], labels[::15] = 1.0, 4
    planted = small_network.trained(poisoned, labels)
    save_file(planted.state_dict(), beside(spec, "planted.safetensors"))
    profile = msgspec.structs.replace(PROFILES["quick"], ntwins=4, search_sizes=(200,))
    sound = run(Backdoor(), spec, tmp_path / "run", profile)
    assert sound.status is not Status.FAIL
    other = msgspec.structs.replace(spec, model=beside(spec, "planted.safetensors"))
    found = run(Backdoor(), other, tmp_path / "run", profile)
    assert found.status is Status.FAIL
    assert any("to 4" in finding.title for finding in found.findings)
    assert found.pictures
