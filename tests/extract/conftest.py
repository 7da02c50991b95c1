"""The models of the frameworks' tests, and encoding without company."""

import pytest

from seedpack.extract import layers
from tests.frameworks.fixtures import bert, families, minilm, small_minilm

__all__ = ["bert", "families", "minilm", "one_thread", "small_minilm"]


@pytest.fixture
def one_thread(monkeypatch):
    """Encode one layer after another, where the size of a file is what matters.

    Many threads in loops of short calls wait for each other, the more so beside other tests.
    """
    monkeypatch.setattr(layers, "layer_thread_count", lambda **_: 1)
