"""The tiny models and data of the tuning tests, and what notices rounded products."""

from __future__ import annotations

import pytest

from seedpack.training import products
from tests.tune.conftest import data, models, one_thread

__all__ = ["data", "models", "one_thread"]


@pytest.fixture
def rounded(monkeypatch):
    """Layers of any size that multiplied rounded factors, on a processor that can."""
    for name, value in (("has_bfloat16", lambda: True), ("_LEAST_ROWS", 1), ("_LEAST_WIDTH", 1)):
        monkeypatch.setattr(products, name, value)
    layers, multiply = [], products.QuickLinear._multiply_rounded
    monkeypatch.setattr(
        products.QuickLinear,
        "_multiply_rounded",
        lambda layer, x: layers.append(layer) or multiply(layer, x),
    )
    return layers
