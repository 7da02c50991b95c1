"""transformers models for a task: stored or randomly initialised, never code from elsewhere.

folder ──AutoModelFor...──from_pretrained──> stored weights, a new head where it has none
──config alone──from_config────────> the control arm: same architecture, random weights
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import torch

from seedpack.errors import TrainingError
from seedpack.frameworks.transformers_models import isolated, map_parameters
from seedpack.training.packages import import_package
from seedpack.training.pooling import quicken_pools
from seedpack.training.products import quicken

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

# Attributes of configurations that say how far random weights spread.
_SPREADS: Final = (
    "initializer_range",
    "initializer_factor",
    "init_std",
    "initializer_cutoff_factor",
)

# What transformers raises on a folder or configuration that does not fit the class asked for.
_LOAD_ERRORS: Final = (
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def save_model(model: Any, folder: Path, state: dict[str, Any] | None = None) -> None:  # noqa: ANN401
    """Write ``model`` into ``folder``, as ``from_pretrained`` reads it.

    Args:
        model: Of transformers.
        folder: Exists.
        state: Tensors to write instead of the model's own.
    """
    with isolated():
        model.save_pretrained(folder, state_dict=state)


def load_model(
    folder: Path, auto_class: str, *, random_init: bool, seed: int, **settings: object
) -> tuple[Any, tuple[str, ...]]:
    """Return a model of ``auto_class`` in float32, and the names of what is new in it.

    Args:
        folder: With config.json and weights.
        auto_class: A class of transformers, such as ``AutoModelForTokenClassification``.
        random_init: Take the configuration alone.
        seed: Of whatever is initialised.
        settings: Of the configuration (labels).

    Raises:
        TrainingError: TRN-7, the architecture has no such head, or cannot be loaded so.
    """
    transformers = import_package("transformers", extra="torch")
    where = f"model {folder}"
    with _refusing(where, auto_class), isolated():
        torch.manual_seed(seed)
        config = transformers.AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False, **settings
        )
        auto = getattr(transformers, auto_class)
        if random_init:
            _start_as_usual(config)
            model = auto.from_config(config, trust_remote_code=False, dtype=torch.float32)
            new: list[str] = []
        else:
            model, info = auto.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            new = sorted(info["missing_keys"])
        quicken(model)
        quicken_pools(model)
        return model, tuple(new)


def _start_as_usual(config: Any) -> None:  # noqa: ANN401 -- transformers' own
    """Draw random weights as the architecture's authors do, whatever the seed's config says.

    A control arm that started at zero, or far too large, would learn nothing, and any seed look
    good beside it.
    """
    usual = type(config)()
    for name in _SPREADS:
        if hasattr(config, name) and hasattr(usual, name):
            setattr(config, name, getattr(usual, name))


def name_parameters(model: Any, stored: Sequence[str]) -> dict[str, str]:  # noqa: ANN401 -- same
    """Return the parameter or buffer of ``model`` that each stored tensor becomes as it is."""
    with isolated():
        return map_parameters(model, stored)


def load_tokenizer(folder: Path) -> Any:  # noqa: ANN401 -- transformers' own
    """Return the tokenizer of ``folder``.

    Raises:
        TrainingError: TRN-7, it has none.
    """
    transformers = import_package("transformers", extra="torch")
    with _refusing(f"model {folder}", "AutoTokenizer"), isolated():
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


@contextlib.contextmanager
def _refusing(where: str, what: str) -> Iterator[None]:
    try:
        yield
    except _LOAD_ERRORS as error:
        reason = str(error).strip().partition("\n")[0]
        raise TrainingError(
            f"not loadable as {what}: {reason}"[:300],
            rule="TRN-7",
            where=where,
            hint="this architecture, or what lies in its folder, does not fit the task",
        ) from error


def model_inputs(tokenizer: Any, tokens: dict[str, list[int]]) -> dict[str, list[int]]:  # noqa: ANN401
    """Return of a tokenizer's result what its model takes."""
    return {name: list(tokens[name]) for name in tokenizer.model_input_names if name in tokens}


def padding_of(tokenizer: Any, name: str) -> int:  # noqa: ANN401
    """Return what one of the model's inputs is filled up with."""
    return int(tokenizer.pad_token_id or 0) if name == "input_ids" else 0


def max_length(config: Any, asked: int) -> int:  # noqa: ANN401
    """Return the length at which texts are cut: what is asked, if the model has as many places."""
    places = getattr(config, "max_position_embeddings", None) or asked
    # Some families keep two places for themselves (RoBERTa).
    return min(asked, places - 2 if getattr(config, "model_type", "") == "roberta" else places)
