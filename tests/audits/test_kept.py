"""Audits of what was kept: they pass on a good seed, and can fail on a bad one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from seedpack.audits import Spec, Status
from seedpack.audits.labelnoise import LabelNoise, mislabel
from seedpack.audits.lowdata import LowData, _judge_loss, _losses
from seedpack.audits.quantised import Quantised, _Coded, _judge, code_again
from seedpack.audits.retention import Retention
from seedpack.audits.work import open_context, run_audit
from seedpack.seed.opening import open_unverified
from seedpack.training import Examples
from seedpack.training.scores import score_classes
from tests.audits.worlds import BROKEN, QUICK, beside, build_world, run

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.audits import AuditResult
    from seedpack.training.scores import Score

DATA_AUDITS = ("retention", "low-data", "label-noise", "shift", "quantised", "adversarial")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    return build_world(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where arms are kept, shared as in a run of all audits."""
    return tmp_path_factory.mktemp("arms")


def gates(result: AuditResult) -> dict[str, Status]:
    return {gate.name: gate.status for gate in result.gates}


def scores(rate: float, n: int = 400) -> list[Score]:
    """Return two seeds' scores of a classifier of ten classes with that accuracy."""
    asked = np.arange(n) % 10
    found = []
    for seed in range(2):
        wrong = np.random.default_rng(seed).permutation(n)[: round((1 - rate) * n)]
        given = asked.copy()
        given[wrong] = (given[wrong] + 1) % 10
        found.append(score_classes(given, asked, nclasses=10, majority=0)[0])
    return found


# ---------------------------------------------------------------- retention


def test_a_good_seed_keeps_what_its_original_knew(spec: Spec, folder: Path) -> None:
    result = run(Retention(), msgspec.structs.replace(spec, original=spec.model), folder)
    assert result.status is Status.PASS
    assert gates(result)["retention-tuned"] is Status.PASS
    names = [figure.name for figure in result.figures]
    assert "assembled, zero-shot" in names
    assert all(figure.seeds in {1, 2} and figure.n == 250 for figure in result.figures)


def test_a_seed_that_kept_nothing_fails(spec: Spec, folder: Path) -> None:
    ignorant = msgspec.structs.replace(
        spec, model=beside(spec, "ignorant.safetensors"), original=spec.model
    )
    result = run(Retention(), ignorant, folder)
    assert result.status is Status.FAIL
    assert gates(result)["retention-tuned"] is Status.FAIL
    assert gates(result)["tuned-above-control"] is not Status.PASS


@pytest.mark.spec("AUD-RET-1")
def test_the_better_of_two_controls_judges(spec: Spec, folder: Path) -> None:
    result = run(Retention(), spec, folder)
    by_name = {figure.name: figure for figure in result.figures}
    alike = by_name["random init, tuned alike (control)"].value
    thorough = by_name["random init, trained thoroughly (control)"].value
    assert alike is not None
    assert thorough is not None
    assert thorough > alike
    assert "assembled minus random init, thorough" in by_name
    assert "retention" not in " ".join(by_name)


@pytest.mark.spec("AUD-RET-2")
def test_an_original_at_chance_leaves_retention_undefined(spec: Spec, folder: Path) -> None:
    original = beside(spec, "constant.safetensors")
    result = run(Retention(), msgspec.structs.replace(spec, original=original), folder)
    kept = next(figure for figure in result.figures if figure.name == "retention, zero-shot")
    assert kept.value is None
    assert "not above chance" in kept.note


# ---------------------------------------------------------------- low-data


def test_a_good_seed_needs_few_samples(spec: Spec, folder: Path) -> None:
    result = run(LowData(), spec, folder)
    assert result.status is Status.PASS
    (curve,) = result.curves
    assert [series.is_control for series in curve.series] == [False, True]
    assert curve.series[0].x == (0.0, 12.0, 30.0)


@pytest.mark.spec("AUD-LOW-1")
def test_numbers_that_the_data_do_not_have_are_left_out(spec: Spec, folder: Path) -> None:
    profile = msgspec.structs.replace(QUICK, sample_sizes=(0, 5, 30, 5000))
    result = run(LowData(), spec, folder, profile)
    assert "5, 5000 left out" in result.searched
    none = msgspec.structs.replace(QUICK, sample_sizes=(5,), nsamples=5)
    result = run(LowData(), spec, folder, none)
    assert result.status is Status.UNDECIDED
    assert "5 left out" in result.reason


@pytest.mark.spec("AUD-LOW-2")
@pytest.mark.parametrize("as_it_is", [0.9, None])
def test_tuning_that_destroys_fails(as_it_is: float | None) -> None:
    zero = None if as_it_is is None else scores(as_it_is)[0]
    for rate, wanted in ((0.92, Status.PASS), (0.02, Status.FAIL)):
        gate, finding = _judge_loss(_losses({20: scores(rate)}, zero)[20])
        assert gate.status is wanted
        assert ("destroys" in finding.title) == (wanted is Status.FAIL)


# ---------------------------------------------------------------- label-noise


@pytest.mark.spec("AUD-NOI-1")
@pytest.mark.parametrize("share", [0.1, 0.2, 0.4])
def test_exactly_the_share_is_wrong_and_the_seed_decides(share: float) -> None:
    labels = ("a", "b", "c")
    given = Examples("texts", [str(i) for i in range(50)], [labels[i % 3] for i in range(50)], "w")
    first, again, other = (mislabel(labels, share)(seed)(given) for seed in (1, 1, 2))
    changed = [a != b for a, b in zip(first.targets, given.targets, strict=True)]
    assert sum(changed) == round(50 * share)
    assert set(first.targets) <= set(labels)
    assert first.targets == again.targets != other.targets
    assert first.inputs == given.inputs


def test_a_good_seed_stands_wrong_labels(spec: Spec, folder: Path) -> None:
    result = run(LabelNoise(), msgspec.structs.replace(spec, original=spec.model), folder)
    assert result.status is Status.PASS
    assert gates(result) == {
        "noise-above-control": Status.PASS,
        "noise-as-original": Status.PASS,
    }


def test_an_ignorant_seed_does_not(spec: Spec, folder: Path) -> None:
    ignorant = msgspec.structs.replace(spec, model=beside(spec, "ignorant.safetensors"))
    assert run(LabelNoise(), ignorant, folder).status is not Status.PASS


@pytest.mark.spec("AUD-NOI-2")
def test_numbers_have_no_wrong_label(spec: Spec, tmp_path: Path) -> None:
    numbers = msgspec.structs.replace(
        spec,
        task="generic",
        train=beside(spec, "numbers.npz"),
        evaluation=beside(spec, "other-numbers.npz"),
    )
    result = run(LabelNoise(), numbers, tmp_path)
    assert result.status is Status.UNDECIDED
    assert "numbers" in result.reason


# ---------------------------------------------------------------- quantised


@pytest.mark.spec("AUD-QUA-1")
@pytest.mark.parametrize("bits", [8, 4, 3, 2])
def test_the_bits_that_are_stored_are_those_asked_for(
    spec: Spec, tmp_path: Path, bits: int
) -> None:
    with open_context(spec, QUICK, tmp_path) as context:
        model, actual = code_again(context, bits)
        assert model.exists()
        assert model.name != spec.model
        with open_unverified(context.scratch / f"{bits}.seed") as contents:
            assert {layer.codec for layer in contents.manifest.layers} <= {"q8", "ecq", "raw"}
    assert bits - 0.3 <= actual <= bits + 0.6  # 4,440 values have tables to carry


def test_a_good_seed_stands_four_bits(spec: Spec, folder: Path) -> None:
    result = run(Quantised(), spec, folder)
    assert result.status is Status.PASS
    assert [row[0] for row in result.tables[0].rows] == [4, 2]
    assert result.curves[0].series[1].is_control


@pytest.mark.spec("AUD-QUA-2")
def test_a_model_that_few_bits_destroy_fails(tmp_path: Path) -> None:
    usual, control = scores(0.95), scores(0.6)
    good = _Coded(tmp_path, 4.0, scores(0.93), None)
    bad = _Coded(tmp_path, 4.0, scores(0.3), None)
    assert [g.status for _, g, _ in _judge({8: good, 4: good}, usual, control)] == [
        Status.UNDECIDED,  # two points: the interval lies across the margin
        Status.PASS,
    ]
    assert [g.status for _, g, _ in _judge({8: bad, 4: bad}, usual, control)] == [
        Status.FAIL,
        Status.FAIL,
    ]
    assert _judge({2: good}, usual, control) == []


# ---------------------------------------------------------------- all of them


@pytest.mark.spec("AUD-6")
@pytest.mark.parametrize("name", DATA_AUDITS)
def test_losses_that_are_no_numbers_are_undecided(spec: Spec, tmp_path: Path, name: str) -> None:
    broken = msgspec.structs.replace(spec, factory=BROKEN, model=beside(spec, "broken.safetensors"))
    result = run_audit(broken, name, QUICK, tmp_path)
    assert result.status is Status.UNDECIDED
    assert "TRN-13" in result.reason


@pytest.mark.spec("AUD-6")
@pytest.mark.parametrize("name", DATA_AUDITS)
def test_a_tiny_evaluation_is_never_a_pass(spec: Spec, folder: Path, name: str) -> None:
    tiny = msgspec.structs.replace(spec, evaluation=beside(spec, "tiny.npz"))
    result = run_audit(tiny, name, QUICK, folder)
    assert result.status is Status.UNDECIDED
    assert "50 evaluation examples" in result.reason
