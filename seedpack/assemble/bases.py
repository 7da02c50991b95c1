"""A base from a path: a seed that is trusted, or a model (spec/delta.md)."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from seedpack.container.preamble import MAGIC
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.base import SeedBase

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seedpack.seed.base import Base
    from seedpack.seed.contents import Contents


@contextlib.contextmanager
def open_base(path: Path, open_contents: Callable[[Path], Contents]) -> Iterator[Base]:
    """Open the base of delta seeds and close it at the end.

    Args:
        path: A seed, a transformers folder, a ``.safetensors`` file or a state dict.
        open_contents: Opens a seed; normally ``open_seed`` with a trust store (BAS-6), because
            nothing of a file is decoded that nobody vouches for. A model needs no such thing:
            each of its tensors is held against the digest that the delta's publisher signed.

    Raises:
        SeedError: It cannot be opened; BAS-5, it is a delta itself.
    """
    if not _is_seed(path):
        yield ModelBase(path)
        return
    with open_contents(path) as contents:
        yield SeedBase(contents)


def _is_seed(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC
