"""A pooling layer that has channels last is the same layer, to the last bit."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seedpack.training.pooling import QuickMaxPool, quicken_pools

SIDES = st.one_of(st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3)))


@st.composite
def layers(draw):
    kernel = draw(SIDES)
    smallest = kernel if isinstance(kernel, int) else min(kernel)
    return nn.MaxPool2d(
        kernel,
        draw(st.none() | SIDES),
        padding=draw(st.integers(0, smallest // 2)),
        dilation=draw(st.integers(1, 2)),
        ceil_mode=draw(st.booleans()),
    )


def quick_of(layer):
    model = nn.Sequential(copy.deepcopy(layer))
    quicken_pools(model)
    assert type(model[0]) is QuickMaxPool
    return model[0]


def pass_through(layer, x, weights=None):
    """Return the values, and the slopes of a sum in which every value has a weight of its own."""
    x = x.clone().requires_grad_()
    found = layer(x)
    weights = torch.arange(1.0, found.numel() + 1).reshape(found.shape)
    (found.nan_to_num() * weights).sum().backward()
    return found.detach(), x.grad


@given(
    layer=layers(),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 20), st.integers(6, 9), st.integers(6, 9)),
    seed=st.integers(0, 2**31 - 1),
)
def test_values_and_slopes_are_those_of_the_plain_layer_to_the_last_bit(layer, shape, seed):
    generator = torch.Generator().manual_seed(seed)
    # Few different values, so that there are ties; and some that are no number, or infinite.
    x = torch.randint(-2, 3, shape, generator=generator).float()
    odd = torch.rand(shape, generator=generator)
    x = x.where(odd > 0.02, torch.nan).where(odd < 0.98, -torch.inf)
    for one, other in zip(pass_through(layer, x), pass_through(quick_of(layer), x), strict=True):
        assert torch.equal(one.view(torch.int32), other.view(torch.int32))


@pytest.mark.parametrize("shape", [(12, 8, 8), (2, 4, 8, 8)])
def test_single_images_and_few_channels_go_the_usual_way(shape):
    layer, x = nn.MaxPool2d(2), torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.equal(layer(x), quick_of(layer)(x))


def test_places_are_given_where_they_are_asked_for():
    layer, x = nn.MaxPool2d(2, return_indices=True), torch.randn(2, 16, 8, 8)
    for one, other in zip(layer(x), quick_of(layer)(x), strict=True):
        assert torch.equal(one, other)


def test_images_with_channels_last_stay_so():
    layer, x = (
        nn.MaxPool2d(2),
        torch.randn(2, 16, 8, 8).contiguous(memory_format=torch.channels_last),
    )
    found = quick_of(layer)(x)
    assert torch.equal(found, layer(x))
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_a_layer_of_somebody_elses_is_left_as_it_is():
    class Other(nn.MaxPool2d):
        pass

    model = nn.Sequential(Other(2), nn.AvgPool2d(2))
    quicken_pools(model)
    assert [type(layer) for layer in model] == [Other, nn.AvgPool2d]


def test_the_way_of_the_slopes_has_slopes_itself():
    x = torch.randn(2, 8, 4, 4, dtype=torch.float64, requires_grad=True)
    layer = quick_of(nn.MaxPool2d(2))
    assert torch.autograd.gradgradcheck(lambda t: layer(t).square(), x)
