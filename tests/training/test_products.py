"""A linear layer that multiplies by oneDNN is the same layer; rounded, where that is asked for."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrize

from seedpack.training import products
from seedpack.training.lowrank import LowRankTuning
from seedpack.training.tasks.transformer import load_model
from tests.frameworks.models import FAMILIES, build

WIDE, ROWS = 160, 240


def linear_of(k=WIDE, n=WIDE + 32, *, bias=True):
    torch.manual_seed(0)
    return nn.Linear(k, n, bias=bias)


def quick_of(layer, monkeypatch, *, is_quicker=True, has_bfloat16=False):
    monkeypatch.setattr(products, "is_quicker", lambda: is_quicker)
    monkeypatch.setattr(products, "has_bfloat16", lambda: has_bfloat16)
    model = nn.Sequential(copy.deepcopy(layer))
    products.quicken(model)
    return model[0]


@pytest.fixture
def convolutions(monkeypatch):
    """Count what goes to oneDNN."""
    calls, plain = [], nn.functional.conv2d
    monkeypatch.setattr(
        nn.functional, "conv2d", lambda *args: calls.append(args[0].shape) or plain(*args)
    )
    return calls


@pytest.mark.parametrize("shape", [(ROWS,), (12, 20), (3, 4, 20), (1, 256)])
@pytest.mark.parametrize("bias", [True, False])
def test_values_and_gradients_are_those_of_the_plain_layer(shape, bias, monkeypatch, convolutions):
    plain = linear_of(bias=bias)
    quick = quick_of(plain, monkeypatch)
    x = torch.randn(*shape, WIDE, generator=torch.Generator().manual_seed(1))
    rows = []
    for layer in (plain, quick):
        own = x.clone().requires_grad_()
        found = layer(own)
        assert found.shape == (*shape, WIDE + 32)
        found.square().sum().backward()
        rows.append([found, own.grad, *(p.grad for p in layer.parameters())])
    assert len(convolutions) == 1
    for one, other in zip(*rows, strict=True):
        torch.testing.assert_close(
            one, other, rtol=1e-4, atol=1e-4 * float(one.detach().abs().max())
        )


@pytest.mark.parametrize(
    ("nrows", "k", "n"),
    [(127, WIDE, WIDE), (ROWS, 127, WIDE), (ROWS, WIDE, 127), (131, WIDE, WIDE), (0, WIDE, WIDE)],
    ids=["few rows", "narrow", "few outputs", "a prime number of rows", "no rows"],
)
def test_what_gains_nothing_is_multiplied_as_ever(nrows, k, n, monkeypatch, convolutions):
    plain = linear_of(k, n)
    x = torch.randn(nrows, k)
    assert torch.equal(quick_of(plain, monkeypatch)(x), plain(x))
    assert not convolutions


def test_double_precision_stays_as_it_is(monkeypatch, convolutions):
    plain = linear_of().double()
    x = torch.randn(ROWS, WIDE, dtype=torch.float64)
    assert torch.equal(quick_of(plain, monkeypatch)(x), plain(x))
    assert not convolutions


def test_a_copy_has_weights_of_its_own(monkeypatch):
    quick = quick_of(linear_of(), monkeypatch)
    twin, x = copy.deepcopy(quick), torch.ones(ROWS, WIDE)
    before = quick(x)
    with torch.no_grad():
        twin.weight.zero_()
    assert torch.equal(quick(x), before)
    assert torch.equal(twin(x), twin.bias.expand(ROWS, -1))
    assert quick.state_dict().keys() == twin.state_dict().keys() == {"weight", "bias"}


def test_an_update_on_the_weight_counts(monkeypatch, convolutions):
    model = nn.Sequential(quick_of(linear_of(), monkeypatch))
    x = torch.ones(ROWS, WIDE)
    before = model(x)
    tuning = LowRankTuning(model, rank=2)
    with torch.no_grad():
        tuning.parameters[0].add_(1.0)
    assert parametrize.is_parametrized(model[0])
    plain = nn.functional.linear(x, model[0].weight, model[0].bias)
    torch.testing.assert_close(model(x), plain, rtol=1e-4, atol=1e-4)
    assert not torch.equal(model(x), before)
    assert len(convolutions) == 3


@pytest.mark.parametrize("random_init", [True, False])
def test_what_is_tuned_is_quickened_stored_or_drawn(random_init, monkeypatch, tmp_path):
    monkeypatch.setattr(products, "is_quicker", lambda: True)
    _, config, settings = FAMILIES["bert"]
    folder = build(tmp_path / "bert", "BertModel", config, **settings)
    model, _ = load_model(folder, "AutoModel", random_init=random_init, seed=0)
    kinds = {type(module) for module in model.modules() if isinstance(module, nn.Linear)}
    assert kinds == {products.QuickLinear}


def test_only_plain_linear_layers_are_touched_and_only_where_it_is_quicker(monkeypatch):
    class Other(nn.Linear):
        """Whatever it is."""

    assert type(quick_of(linear_of(), monkeypatch)) is products.QuickLinear
    assert type(quick_of(linear_of(), monkeypatch, is_quicker=False)) is nn.Linear
    rounding = quick_of(linear_of(), monkeypatch, is_quicker=False, has_bfloat16=True)
    assert type(rounding) is products.QuickLinear
    assert type(quick_of(Other(WIDE, WIDE), monkeypatch)) is Other


def pass_through(layer, x):
    """Output and all gradients."""
    own = x.clone().requires_grad_()
    found = layer(own)
    found.square().sum().backward()
    return [found.detach(), own.grad, *(p.grad for p in layer.parameters())]


@pytest.mark.parametrize("is_quicker", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_rounded_products_are_those_of_rounded_factors(bias, is_quicker, monkeypatch, convolutions):
    plain = linear_of(bias=bias)
    quick = quick_of(plain, monkeypatch, is_quicker=is_quicker, has_bfloat16=True)
    x = torch.randn(12, 20, WIDE, generator=torch.Generator().manual_seed(1))
    with products.rounded_products():
        rounded = pass_through(quick, x)
    assert not convolutions
    for one, other in zip(rounded, pass_through(plain, x), strict=True):
        assert one.dtype == torch.float32
        gap = (one - other).abs().max() / other.abs().max()
        assert 1e-6 < gap < 2e-2  # eight bits, and no less
    factors = nn.functional.linear(x.bfloat16().double(), plain.weight.bfloat16().double())
    wanted = factors if plain.bias is None else factors + plain.bias.bfloat16()
    torch.testing.assert_close(rounded[0].double(), wanted, rtol=2**-8, atol=2**-8)


def test_products_are_rounded_within_alone_whatever_happens_there(monkeypatch):
    quick = quick_of(linear_of(), monkeypatch, is_quicker=False, has_bfloat16=True)
    x = torch.randn(ROWS, WIDE)
    exact = quick(x)
    with products.rounded_products():
        assert not torch.equal(quick(x), exact)
        with products.rounded_products(wanted=False):
            assert torch.equal(quick(x), exact)
        assert not torch.equal(quick(x), exact)
    assert torch.equal(quick(x), exact)
    with pytest.raises(RuntimeError, match="shape"), products.rounded_products():
        quick(x[:, 1:])
    assert torch.equal(quick(x), exact)


def test_a_processor_without_such_instructions_rounds_nothing(monkeypatch):
    quick = quick_of(linear_of(), monkeypatch)
    monkeypatch.setattr(products, "is_quicker", lambda: False)
    x = torch.randn(ROWS, WIDE)
    with products.rounded_products():
        assert torch.equal(quick(x), linear_of()(x))


def test_few_rows_and_double_precision_are_not_rounded(monkeypatch):
    quick = quick_of(linear_of(), monkeypatch, is_quicker=False, has_bfloat16=True)
    x = torch.randn(ROWS, WIDE)
    with products.rounded_products():
        assert torch.equal(quick(x[:100]), linear_of()(x[:100]))
        assert torch.equal(quick.double()(x.double()), linear_of().double()(x.double()))
