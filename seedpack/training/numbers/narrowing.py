"""The same-bytes student of a transformers folder: the same family, narrower (spec: trained.md).

config.json ──narrow(width)──> fewer features, heads in proportion, as many layers
tokenizer and other files ──beside it──> adapter with random weights ──4 bits a weight──> bytes
width ──bisection──> the widest student that takes no more bytes than the seed
"""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from seedpack.dtypes import DTYPES
from seedpack.errors import SeedError
from seedpack.frameworks.sources import TensorInfo
from seedpack.training.numbers.budget import make_plain
from seedpack.training.numbers.virtual import VirtualModel
from seedpack.training.tasks.opening import open_adapter

if TYPE_CHECKING:
    from seedpack.training.checks import Split
    from seedpack.training.numbers.budget import Budget
    from seedpack.training.tasks.base import Adapter

_WIDTHS: Final = 64  # how finely the student's width is searched
_BITS: Final = 4
_FEATURES: Final = ("hidden_size", "n_embd", "d_model", "dim")
_HEADS: Final = ("num_attention_heads", "n_head", "n_heads", "num_heads")
_INNER: Final = ("intermediate_size", "n_inner", "hidden_dim", "ffn_dim", "d_ff")
# Where these stand, features and heads are no longer in proportion.
_FIXED: Final = ("head_dim", "hidden_sizes", "embedding_size", "num_key_value_heads")
_NO_WEIGHTS: Final = frozenset({".bin", ".safetensors", ".pt", ".pth"})


def narrow(config: dict[str, Any], width: float) -> dict[str, Any] | None:
    """Return the configuration with that share of the features; None where it has none to spare.

    Args:
        config: Of a transformers model, as JSON.
        width: From 0, excluded, to 1.
    """
    features, heads = (_find(config, keys) for keys in (_FEATURES, _HEADS))
    if features is None or heads is None or any(config.get(key) for key in _FIXED):
        return None
    nheads = max(1, round(config[heads] * width))
    each = max(1, round(config[features] * width / nheads))
    changed = {**config, heads: nheads, features: nheads * each}
    inner = _find(config, _INNER)
    if inner is not None:
        changed[inner] = max(1, round(config[inner] * width))
    return changed


def _find(config: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    return next((key for key in keys if isinstance(config.get(key), int)), None)


def open_student(
    split: Split, folder: Path, nbytes: int, *, seed: int
) -> tuple[Adapter, VirtualModel, Budget] | None:
    """Return the widest student of ``folder`` of at most ``nbytes`` at 4 bits, untrained.

    None where its configuration cannot be narrowed, or even the narrowest takes more.
    """
    low, high = 0, _WIDTHS  # the widest known to fit, the narrowest known not to
    while high - low > 1:
        middle = (low + high) // 2
        made = _open(split, folder, middle / _WIDTHS, seed)
        if made is None:
            return None
        low, high = (middle, high) if made[1].nbytes <= nbytes else (low, middle)
    made = _open(split, folder, low / _WIDTHS, seed) if low else None
    if made is None:
        return None
    adapter, budget = made
    virtual = VirtualModel(adapter.model, budget, seed=seed)
    adapter.model = virtual
    return adapter, virtual, budget


def _open(split: Split, folder: Path, width: float, seed: int) -> tuple[Adapter, Budget] | None:
    config = narrow(json.loads((folder / "config.json").read_text("utf-8")), width)
    if config is None:
        return None
    with tempfile.TemporaryDirectory(prefix="seedpack-") as name:
        for path in folder.iterdir():
            if path.is_file() and path.suffix not in _NO_WEIGHTS:
                shutil.copyfile(path, Path(name) / path.name)
        (Path(name) / "config.json").write_text(json.dumps(config), "utf-8")
        try:
            adapter = open_adapter(split, Path(name), random_init=True, seed=seed)
        except SeedError:  # a family with more to its width than the keys above
            return None
    state = {**dict(adapter.model.named_buffers()), **dict(adapter.model.named_parameters())}
    kept = [name for name in adapter.model.state_dict() if name in state]  # tied ones once
    infos = [
        TensorInfo(n, DTYPES[str(state[n].dtype).removeprefix("torch.")], tuple(state[n].shape))
        for n in kept
    ]
    trainable = frozenset(name for name, _ in adapter.model.named_parameters())
    return adapter, make_plain(infos, trainable, _BITS)
