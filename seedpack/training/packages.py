"""Optional packages, imported when data or training needs them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from seedpack.errors import TrainingError


def import_package(name: str, *, extra: str) -> Any:  # noqa: ANN401 -- a module
    """Return the module ``name``.

    Raises:
        TrainingError: TRN-12, its package is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"needs the package {error.name}",
            rule="TRN-12",
            where=name,
            hint=f"pip install 'seedpack[{extra}]'",
        ) from error
