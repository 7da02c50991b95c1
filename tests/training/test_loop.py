"""The loop: interrupted trainings, robust losses, heads."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import TrainingError
from seedpack.training import Examples, check_split, get_task, products
from seedpack.training.batches import gather
from seedpack.training.heads import fit_head
from seedpack.training.loop import train
from seedpack.training.objectives import IGNORED, class_loss, number_loss
from seedpack.training.recipes import Recipe, default_recipe
from seedpack.training.tasks.opening import open_adapter
from tests.refusals import refused_by

FACTORY = """
import torch
def build():
    return torch.nn.Sequential(
        torch.nn.Linear(4, 8), torch.nn.Dropout(0.3), torch.nn.Tanh(), torch.nn.Linear(8, 2)
    )
"""


class Interrupted(Exception):  # noqa: N818 -- says what happened
    pass


@pytest.fixture
def start(tmp_path):
    (tmp_path / "net.py").write_text(FACTORY)
    values = torch.randn(40, 4, generator=torch.Generator().manual_seed(0)).numpy()
    labels = [str(int(row[0] > 0)) for row in values]
    train_part = Examples("arrays", values[:30], labels[:30], "train")
    split = check_split(
        get_task("generic"), train_part, Examples("arrays", values[30:], labels[30:], "eval")
    )
    factory = f"{tmp_path / 'net.py'}:build"

    def opened():
        adapter = open_adapter(split, tmp_path, factory=factory, random_init=True, seed=0)
        items = adapter.encode(split.train, Recipe())
        return adapter, items[:24], items[24:]

    return opened


def state_of(adapter):
    return {name: value.tolist() for name, value in adapter.model.state_dict().items()}


@pytest.mark.spec("TRN-18")
@pytest.mark.parametrize("patience", [9, 0])
@pytest.mark.parametrize("stop_after", [1, 3])
def test_TRN_18_resumed_training_ends_where_an_unbroken_one_does(
    start, tmp_path, stop_after, patience
):
    recipe = Recipe(epochs=5, patience=patience)
    whole, items, held = start()
    expected = train(whole, items, held, recipe, seed=1)

    def interrupt(done, total):
        if done > stop_after * total / recipe.epochs:
            raise Interrupted

    path = tmp_path / "training.safetensors"
    broken, items, held = start()
    with pytest.raises(Interrupted):
        train(broken, items, held, recipe, seed=1, progress=interrupt, checkpoint=path)
    resumed, items, held = start()
    found = train(resumed, items, held, recipe, seed=1, checkpoint=path)
    assert found == expected
    assert state_of(resumed) == state_of(whole)


@pytest.mark.spec("TRN-18")
def test_TRN_18_checkpoint_of_another_training_is_refused(start, tmp_path):
    path = tmp_path / "training.safetensors"
    adapter, items, held = start()
    train(adapter, items, held, Recipe(epochs=1), seed=1, checkpoint=path)
    mislabelled = [*items[1:], items[0] | {"target": 1 - items[0]["target"]}]
    others = [(items, Recipe(epochs=1), 2), (items[1:], Recipe(epochs=1), 1)]
    others += [(mislabelled, Recipe(epochs=1), 1), (items, Recipe(epochs=2), 1)]
    for examples, recipe, seed in others:
        with refused_by(TrainingError, "TRN-18"):
            train(start()[0], examples, held, recipe, seed=seed, checkpoint=path)
    with refused_by(TrainingError, "TRN-18"):  # the weights that it left
        train(adapter, items, held, Recipe(epochs=1), seed=1, checkpoint=path)
    path.write_bytes(b"something else")
    with refused_by(TrainingError, "TRN-18"):
        train(start()[0], items, held, Recipe(epochs=1), seed=1, checkpoint=path)


def test_training_leaves_the_callers_randomness_alone(start):
    adapter, items, held = start()
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(adapter, items, held, Recipe(epochs=1), seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.are_deterministic_algorithms_enabled()


def test_training_learns_and_keeps_the_best_state(start):
    adapter, items, held = start()
    before = float(adapter.loss(adapter.collate(held), Recipe()).detach())
    found = train(adapter, items, held, Recipe(epochs=40, head_rate=1e-2, patience=40), seed=0)
    adapter.model.eval()
    after = float(adapter.loss(adapter.collate(held), Recipe()).detach())
    assert after == pytest.approx(-found.merit)
    assert after < before / 2


@pytest.mark.spec("TRN-19")
@pytest.mark.parametrize("epochs", [1, 4, 5])
def test_TRN_19_without_a_held_out_part_the_mean_of_the_later_states_is_kept(start, epochs):
    states = []

    def watch(done, total):
        if total > 1 and done % (total // epochs) == 0:
            states.append(state_of(adapter))

    adapter, items, held = start()
    found = train(adapter, items, held, Recipe(epochs=epochs, patience=0), seed=1, progress=watch)
    later = states[epochs // 2 :]
    assert (len(states), found.merit) == (epochs, None)
    for name, value in adapter.model.state_dict().items():
        mean = torch.tensor([state[name] for state in later]).mean(0)
        torch.testing.assert_close(value, mean)


@pytest.mark.spec("TRN-19")
def test_TRN_19_robust_training_learns_fewer_of_the_planted_wrong_labels(start):
    learned = {}
    for robust in (False, True):
        adapter, items, _held = start()
        wrong = range(0, len(items), 5)
        for i in wrong:
            items[i] = items[i] | {"target": 1 - items[i]["target"]}
        recipe = default_recipe(len(items), epochs=20, robust=robust)
        recipe = dataclasses.replace(recipe, head_rate=40 * recipe.head_rate)
        train(adapter, items, [], recipe, seed=0)
        adapter.model.eval()
        batch = adapter.collate([items[i] for i in wrong])
        chances = adapter.outputs(batch["x"]).softmax(-1)
        learned[robust] = float(chances.gather(1, batch["target"][:, None]).mean().detach())
    assert learned[True] < learned[False] - 0.1


@given(st.floats(-20, 20), st.floats(0.1, 1))
def test_robust_loss_bounds_what_a_wrong_label_can_do(logit, exponent):
    logits = torch.tensor([[logit, 0.0]], requires_grad=True)
    loss = class_loss(logits, torch.tensor([1]), Recipe(exponent=exponent))
    (pull,) = torch.autograd.grad(loss, logits)
    assert 0 <= float(loss.detach()) <= 1 / exponent + 1e-6
    plain = class_loss(logits, torch.tensor([1]), Recipe())
    (plain_pull,) = torch.autograd.grad(plain, logits)
    assert float(pull.abs().sum()) <= float(plain_pull.abs().sum()) + 1e-6


def test_ignored_targets_change_no_loss():
    logits = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    targets = torch.tensor([0, 2, IGNORED, IGNORED])
    for recipe in (Recipe(), Recipe(exponent=0.7), Recipe(smoothing=0.1)):
        assert float(class_loss(logits, targets, recipe)) == pytest.approx(
            float(class_loss(logits[:2], targets[:2], recipe))
        )


def test_robust_number_loss_grows_less_with_an_outlier():
    outputs, targets = torch.zeros(2), torch.tensor([0.0, 100.0])
    plain = number_loss(outputs, targets, Recipe())
    assert number_loss(outputs, targets, Recipe(exponent=0.7)) < plain / 10


def test_robust_recipe_takes_smaller_steps_and_holds_nothing_out():
    plain, robust = default_recipe(500), default_recipe(500, robust=True)
    assert robust.rate < plain.rate
    assert plain.holds_out
    assert not robust.holds_out
    assert robust.exponent > 0
    assert default_recipe(50, robust=True).epochs < default_recipe(50).epochs
    assert default_recipe(50, epochs=7, robust=True).epochs == 7


def test_a_ridge_that_is_given_holds_a_head_back_whatever_the_held_out_part_says():
    features = torch.randn(60, 8, generator=torch.Generator().manual_seed(0))
    labels = (features[:, 0] > 0).long()
    part = (features, labels)
    loose, _ = fit_head(part, part, nlabels=2)
    held_back, _ = fit_head(part, part, nlabels=2, ridge=0.1)
    assert float(held_back.norm()) < float(loose.norm()) / 2


def test_head_separates_what_is_separable():
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(200, 5, generator=generator)
    labels = (features[:, 0] > 0).long()
    held = torch.randn(100, 5, generator=generator)
    wanted = (held[:, 0] > 0).long()
    weight, bias = fit_head((features, labels), (held, wanted), nlabels=2)
    assert float(((held @ weight.T + bias).argmax(-1) == wanted).float().mean()) > 0.95


@pytest.mark.spec("AUD-10")
@pytest.mark.parametrize("rounded", [True, False])
def test_products_of_steps_are_rounded_where_the_recipe_says_so_and_of_answers_never(
    start, rounded, monkeypatch
):
    monkeypatch.setattr(products, "has_bfloat16", lambda: True)
    monkeypatch.setattr(products, "_LEAST_WIDTH", 1)
    monkeypatch.setattr(products, "_LEAST_ROWS", 1)
    modes, plain = [], products.QuickLinear._multiply_rounded
    monkeypatch.setattr(
        products.QuickLinear,
        "_multiply_rounded",
        lambda layer, x: modes.append(layer.training) or plain(layer, x),
    )
    adapter, items, held = start()
    products.quicken(adapter.model)
    before = state_of(adapter)
    train(adapter, items, held, Recipe(epochs=2, batch=8, rounded=rounded), seed=1)
    assert modes == [True] * (2 * 3 * 2 if rounded else 0)  # epochs, steps, layers
    assert state_of(adapter) != before
    assert {value.dtype for value in adapter.model.state_dict().values()} == {torch.float32}


@given(st.lists(st.integers(1, 50), max_size=300), st.integers(1, 20))
def test_batches_of_similar_lengths_hold_each_example_once(lengths, size):
    batches = gather(range(len(lengths)), size, lambda i: lengths[i])
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    assert all(len(batch) == size for batch in batches[:-1])
    assert len(batches) == -(-len(lengths) // size)
    for batch, following in itertools.pairwise(batches[:8]):  # gathered from the first 8 * size
        assert max(lengths[i] for i in batch) <= min(lengths[i] for i in following)
