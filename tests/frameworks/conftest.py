"""Small models of several families, made once; and a real one."""

from tests.frameworks.fixtures import bert, families, minilm

__all__ = ["bert", "families", "minilm"]
