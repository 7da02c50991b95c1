"""Optional packages, imported when a model needs them (extra ``torch``)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from seedpack.errors import ExtractError

if TYPE_CHECKING:
    from types import ModuleType


def import_torch() -> Any:  # noqa: ANN401 -- a module
    """Return torch.

    Raises:
        ExtractError: EXT-12, it is not installed.
    """
    return _import("torch")


def import_transformers(submodule: str = "") -> Any:  # noqa: ANN401 -- a module
    """Return transformers, or a module inside it.

    Raises:
        ExtractError: EXT-12, it or torch is not installed.
    """
    _import("torch")  # transformers imports without torch, but then knows no class of models
    return _import(f"transformers.{submodule}" if submodule else "transformers")


def import_hub(submodule: str) -> Any:  # noqa: ANN401 -- a module
    """Return a module inside huggingface_hub, which transformers stands on.

    Raises:
        ExtractError: EXT-12, it is not installed.
    """
    return _import(f"huggingface_hub.{submodule}")


def _import(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ExtractError(
            f"needs the package {error.name}",
            rule="EXT-12",
            where=name,
            hint="pip install 'seedpack[torch]'; .safetensors files work without it",
        ) from error
