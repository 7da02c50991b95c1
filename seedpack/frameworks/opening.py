"""Decides by content what a MODEL path is (spec: EXT-1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from seedpack.errors import AssemblyError, ExtractError
from seedpack.frameworks.safetensors_files import SafetensorsWeights
from seedpack.frameworks.sources import ModelSource

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.frameworks.sources import Weights

_STATE_DICT_ENDINGS: Final = frozenset({".pt", ".pth", ".bin"})


def open_model(path: Path, *, factory: str | None = None) -> ModelSource:
    """Open a transformers folder, a ``.safetensors`` file or a weights-only state dict.

    Args:
        path: Of the model.
        factory: ``module:function`` or ``file.py:function`` of the user's, that builds the module
            which the tensors of a file must make; a folder has a class of its own.

    Raises:
        ExtractError: EXT-1, it is none of these; EXT-2 to EXT-12, it is one that cannot
            become a seed, or is not what ``factory`` builds (EXT-10).
    """
    source = _open(path)
    if factory is not None:
        _check_factory(source, factory, where=str(path))
    return source


def _check_factory(source: ModelSource, factory: str, *, where: str) -> None:
    from seedpack.frameworks.factories import check_module, load_factory, make_module  # noqa: PLC0415 -- lazy

    if source.architecture is not None:
        raise ExtractError(
            "has an architecture of its own",
            rule="EXT-10",
            where=where,
            hint="a factory is for weights files of plain torch modules",
        )
    try:
        check_module(make_module(load_factory(factory)), source.infos())
    except AssemblyError as error:
        message = f"{error.message} ({error.rule})"
        raise ExtractError(message, rule="EXT-10", where=error.where, hint=error.hint) from error


def _open(path: Path) -> ModelSource:
    if path.is_dir():
        from seedpack.frameworks.transformers_dirs import open_folder  # noqa: PLC0415 -- lazy

        return _with_tensors(open_folder(path), path)
    kind, weights = _open_file(path)
    return _with_tensors(ModelSource(kind=kind, weights=weights, left_out=weights.left_out), path)


def open_weights(path: Path) -> Weights:
    """Open the same paths as ``open_model``; nobody is asked what the tensors make.

    Raises:
        ExtractError: EXT-1 to EXT-8, EXT-12.
    """
    if path.is_dir():
        from seedpack.frameworks.transformers_dirs import (  # noqa: PLC0415 -- lazy
            open_folder_weights,
        )

        return open_folder_weights(path)[1]
    return _open_file(path)[1]


def _open_file(path: Path) -> tuple[Literal["safetensors", "state-dict"], Weights]:
    if not path.is_file():
        what = "not a regular file" if path.exists() else "no such file or folder"
        raise ExtractError(what, rule="EXT-1", where=str(path), hint="MODEL is a path")
    if path.suffix == ".safetensors":
        return "safetensors", SafetensorsWeights(path)
    if path.suffix in _STATE_DICT_ENDINGS:
        from seedpack.frameworks.torch_files import TorchWeights  # noqa: PLC0415 -- lazy

        return "state-dict", TorchWeights(path)
    raise ExtractError(
        "neither a folder nor .safetensors, .pt, .pth or .bin",
        rule="EXT-1",
        where=str(path),
        hint="MODEL is a transformers folder, a safetensors file or a state dict",
    )


def _with_tensors(source: ModelSource, path: Path) -> ModelSource:
    if not source.infos():
        raise ExtractError("holds no tensors", rule="EXT-3", where=str(path))
    return source
