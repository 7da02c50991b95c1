"""Audits of other data and of small changes: they notice a seed that is made to break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from seedpack.audits import Spec, Status
from seedpack.audits.adversarial import Adversarial
from seedpack.audits.corruptions import images, texts
from seedpack.audits.perturbations import _ball, attack, perturb
from seedpack.audits.shift import DomainShift
from seedpack.backdoors.classifiers import ImageClassifier, Samples
from seedpack.errors import TrainingError
from seedpack.training.statistics import compare, compare_changes
from tests.audits import small_network
from tests.audits.test_kept import scores
from tests.audits.worlds import beside, build_world, run
from tests.backdoors import words

if TYPE_CHECKING:
    from pathlib import Path

SENTENCES = ["the film was surprisingly good", "a dull story about nothing at all", "fine"]


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> Spec:
    return build_world(tmp_path_factory.mktemp("attacked"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("arms")


# ---------------------------------------------------------------- corruptions


@pytest.mark.spec("AUD-SHI-1")
@pytest.mark.parametrize("shape", [(6, 8, 8), (6, 3, 9, 7), (40, 12)])
def test_images_and_vectors_keep_shape_and_bounds(shape: tuple[int, ...]) -> None:
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0)) * 4 - 1
    for name in images.names_for(x):
        first, again = (images.corrupt(name, x, low=-1.0, high=3.0, seed=3) for _ in range(2))
        assert first.shape == x.shape
        assert torch.equal(first, again)
        assert float(first.min()) >= -1.0
        assert float(first.max()) <= 3.0
        assert float((first - x).abs().mean()) > 0.01, name


def test_a_rotated_image_turns_and_a_shifted_one_moves() -> None:
    x = torch.zeros(1, 9, 9)
    x[0, 4, 7] = 1.0  # right of the middle
    turned = images.corrupt("rotation by 30 degrees", x, low=0.0, high=1.0, seed=0)[0]
    row, column = divmod(int(turned.argmax()), 9)
    assert row != 4
    assert column in {6, 7}
    moved = images.corrupt("shift", x, low=0.0, high=1.0, seed=0)[0]
    row, column = divmod(int(moved.argmax()), 9)
    assert abs(row - 4) + abs(column - 7) == 1


@pytest.mark.spec("AUD-SHI-1")
@pytest.mark.parametrize("name", texts.NAMES)
def test_texts_follow_from_the_seed_and_are_never_empty(name: str) -> None:
    first, again = (texts.corrupt(name, SENTENCES * 9, seed=1) for _ in range(2))
    assert first == again != SENTENCES * 9
    assert all(first)


@pytest.mark.spec("AUD-SHI-1")
@pytest.mark.parametrize("name", texts.NAMES_IN_PLACE)
def test_words_with_tags_keep_their_places(name: str) -> None:
    sentences = [sentence.split() for sentence in SENTENCES * 9]
    changed = texts.corrupt_words(name, sentences, seed=1)
    assert [len(w) for w in changed] == [len(w) for w in sentences]
    assert changed != sentences


def test_a_typo_changes_one_place_of_a_long_word() -> None:
    for seed in range(30):
        (changed,) = texts.corrupt("typos", ["wonderful " * 8], seed=seed)
        for word in changed.split():
            assert len(word) in {8, 9}
            assert word[0] == "w"
            assert word[-1] == "l"


# ---------------------------------------------------------------- shift


def test_a_seed_like_its_original_breaks_no_sooner(spec: Spec, folder: Path) -> None:
    result = run(DomainShift(), msgspec.structs.replace(spec, original=spec.model), folder)
    assert {g.name: g.status for g in result.gates}["shift-as-original"] is Status.PASS
    assert len(result.tables[0].rows) == 6


@pytest.mark.spec("AUD-SHI-2")
def test_a_seed_that_breaks_sooner_fails(spec: Spec, folder: Path) -> None:
    fragile = msgspec.structs.replace(
        spec, model=beside(spec, "fragile.safetensors"), original=spec.model
    )
    result = run(DomainShift(), fragile, folder)
    assert {g.name: g.status for g in result.gates}["shift-as-original"] is Status.FAIL
    assert "sooner than its original" in result.findings[0].title


def test_sets_that_the_user_gives_are_measured(spec: Spec, folder: Path, tmp_path: Path) -> None:
    with np.load(spec.evaluation) as arrays:
        np.savez(tmp_path / "dark.npz", x=arrays["x"] * 0.3, y=arrays["y"])
    given = msgspec.structs.replace(spec, shifts=(str(tmp_path / "dark.npz"),))
    rows = run(DomainShift(), given, folder).tables[0].rows
    assert rows[0][:2] == ("data dark.npz", 250)
    assert len(rows) == 7


@pytest.mark.spec("AUD-SHI-3")
def test_a_set_with_other_labels_is_refused(spec: Spec, folder: Path, tmp_path: Path) -> None:
    with np.load(spec.evaluation) as arrays:
        np.savez(tmp_path / "more.npz", x=arrays["x"], y=arrays["y"] + 5)
        np.savez(tmp_path / "flat.npz", x=arrays["x"].reshape(250, 64), y=arrays["y"])
    for name, rule in (("more.npz", "TRN-6"), ("flat.npz", "TRN-7")):
        given = msgspec.structs.replace(spec, shifts=(str(tmp_path / name),))
        with pytest.raises(TrainingError, match=rule):
            run(DomainShift(), given, folder)


# ---------------------------------------------------------------- attacks


class _Line(torch.nn.Module):
    """Class 1 where the first value is above a half."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.stack([0.5 - x[:, 0], x[:, 0] - 0.5], dim=1) * 10


@pytest.mark.spec("AUD-ADV-1")
def test_what_stands_within_the_radius_of_the_border_is_misled_and_nothing_else() -> None:
    x = torch.stack([torch.linspace(0, 1, 101), torch.rand(101)], dim=1)
    samples = Samples(x, (x[:, 0] > 0.5).long())
    right = attack(ImageClassifier(_Line(), 2), samples, 0.1, steps=10, seed=0)
    away = (x[:, 0] - 0.5).abs()
    assert not right[away < 0.099].any()
    assert right[away > 0.101].all()


@pytest.mark.spec("AUD-ADV-1")
def test_no_change_leaves_radius_or_bounds() -> None:
    x = torch.rand(50, 8, 8)
    classifier = ImageClassifier(small_network.make(), 10, low=0.2, high=0.9)
    samples = Samples(x.clamp(0.2, 0.9), torch.zeros(50, dtype=torch.long))
    ball = _ball(classifier, samples, 0.1)
    generator = torch.Generator().manual_seed(0)
    delta = ball.start(generator)
    for _ in range(5):
        slope = torch.randn(delta.shape, generator=generator)
        delta = ball.project(delta + ball.direct(slope), samples.x)
        assert float(delta.abs().max()) <= 0.07 + 1e-6  # a tenth of the range
        assert float((samples.x + delta).min()) >= 0.2 - 1e-6
        assert float((samples.x + delta).max()) <= 0.9 + 1e-6


def test_an_attack_leaves_the_weights_as_they_were_and_trainable() -> None:
    network = small_network.make()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    samples = Samples(torch.rand(70, 8, 8), torch.zeros(70, dtype=torch.long))
    classifier = ImageClassifier(network, 10)
    one, same = (attack(classifier, samples, 0.1, steps=3, seed=1) for _ in range(2))
    assert torch.equal(one, same)
    assert len(perturb(classifier, samples, 0.1, seed=1)) == 70
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(before[name], v) for name, v in network.state_dict().items())


@pytest.mark.spec("AUD-ADV-3")
@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_scores_of_any_size_are_attacked_alike(spec: Spec, factor: float) -> None:
    network = small_network.make()
    network.load_state_dict(load_file(spec.model))
    data = np.load(spec.evaluation)
    samples = Samples(torch.tensor(data["x"]), torch.tensor(data["y"]))
    classifier = ImageClassifier(network.eval(), 10)
    usual, scaled = (
        attack(model, samples, 0.06, steps=5, seed=0).float().mean()
        for model in (classifier, classifier.scaled(factor))
    )
    assert classifier.accuracy(samples) > usual + 0.1
    assert float(scaled) == pytest.approx(float(usual), abs=0.01)


@pytest.mark.spec("AUD-ADV-2")
def test_a_fragile_seed_fails_and_a_sound_one_passes(spec: Spec, folder: Path) -> None:
    beside_original = msgspec.structs.replace(spec, original=spec.model)
    assert run(Adversarial(), beside_original, folder).status is Status.PASS
    fragile = msgspec.structs.replace(beside_original, model=beside(spec, "fragile.safetensors"))
    assert run(Adversarial(), fragile, folder).status is Status.FAIL


def test_the_model_as_it_will_be_used_is_what_is_attacked(spec: Spec, folder: Path) -> None:
    final = beside(spec, "fragile.safetensors")
    used = msgspec.structs.replace(spec, original=spec.model, final=final)
    result = run(Adversarial(), used, folder)
    assert result.status is Status.FAIL
    assert "as it will be used" in result.searched


@pytest.mark.slow
@pytest.mark.spec("AUD-ADV-2")
def test_a_clean_twin_stands_in_for_a_missing_original(spec: Spec, folder: Path) -> None:
    result = run(Adversarial(), spec, folder)
    assert result.status is not Status.FAIL
    assert "clean twin" in result.searched
    fragile = msgspec.structs.replace(spec, model=beside(spec, "fragile.safetensors"))
    assert run(Adversarial(), fragile, folder).status is Status.FAIL


# ---------------------------------------------------------------- differences of changes


def test_equal_changes_cancel_and_unequal_ones_do_not() -> None:
    high, low, lower = scores(0.9), scores(0.7), scores(0.5)
    same = compare_changes((high, low), (high, low))
    assert same.difference == 0.0
    assert same.interval == (0.0, 0.0)
    found = compare_changes((high, lower), (high, low))
    assert found.difference == pytest.approx(-0.2)
    assert found.interval.high < 0
    assert found.interval == compare(lower, low).interval


def test_texts_of_any_length_are_told_apart_in_their_order_whatever_fills_them_up() -> None:
    twin, told = words.clean_twin(1), words.make_texts(9, 150)
    mislabelled = torch.arange(150) % 3 == 0
    data = Samples(told.x, torch.where(mislabelled, 1 - told.y, told.y), told.mask)
    padding = torch.zeros(150, 20, dtype=torch.long)
    assert data.mask is not None
    longer = Samples(torch.cat([data.x, padding], 1), data.y, torch.cat([data.mask, padding], 1))
    asked: list[int] = []

    def note_width(_block: torch.nn.Module, given: tuple[torch.Tensor, ...]) -> None:
        asked.append(given[0].shape[1])

    view = twin.clone()
    view.module.blocks[0].register_forward_pre_hook(note_width)  # type: ignore[union-attr,index]
    right = twin.predict(data) == data.y
    assert torch.equal(right, ~mislabelled)
    for samples in (data, longer):
        assert torch.equal(attack(view, samples, 1e-9, steps=2, seed=0), right)
        assert torch.equal(perturb(view, samples, 1e-9, seed=0), right)
    assert max(asked) == int(data.mask.sum(1).max())
    assert min(asked) < max(asked)  # short texts are not filled up to the longest
