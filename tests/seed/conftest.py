"""What the tests of seeds share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from seedpack.seed.opening import open_seed, open_unverified
from tests.builders import NOW, BuiltSeed, make_key, make_seed, trusting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from seedpack.seed.contents import Contents


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.seed"


@pytest.fixture
def opened(path: Path) -> Iterator[Callable[..., tuple[BuiltSeed, Contents]]]:
    """Write a seed, open it by its trusted key, and close it when the test is over."""
    files: list[Contents] = []

    def build(where: Path = path, **fields: object) -> tuple[BuiltSeed, Contents]:
        built = make_seed(where, **fields)
        files.append(open_seed(where, store=trusting(make_key()), now=NOW))
        return built, files[-1]

    yield build
    for file in files:
        file.close()


@pytest.fixture
def reopened() -> Iterator[Callable[..., Contents]]:
    """Open files without asking who made them, and close them when the test is over."""
    files: list[Contents] = []

    def open_(where: Path, **options: bool) -> Contents:
        files.append(open_unverified(where, **options))
        return files[-1]

    yield open_
    for file in files:
        file.close()
