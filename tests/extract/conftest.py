"""The models of the frameworks' tests."""

from tests.frameworks.fixtures import bert, families, minilm, small_minilm

__all__ = ["bert", "families", "minilm", "small_minilm"]
