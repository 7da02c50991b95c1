"""A transformers folder: config.json, weights in one or more files, and what lies beside.

    config.json ──configs──> Architecture ──transformers_models──> allowed, complete?
    model.safetensors | shards of an index | pytorch_model.bin ──> Weights
    everything else ──attachments──> files, left out

transformers' own order of preference decides which weights are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container.architecture import FRAMEWORK, check_architecture
from seedpack.container.manifest import Architecture
from seedpack.errors import AssemblyError, ExtractError, FormatError
from seedpack.files import read_small_file
from seedpack.frameworks.attachments import collect_files
from seedpack.frameworks.configs import normalise_config, parse_object
from seedpack.frameworks.safetensors_files import SafetensorsWeights
from seedpack.frameworks.sources import ModelSource, ShardedWeights
from seedpack.frameworks.torch_files import TorchWeights
from seedpack.frameworks.transformers_models import check_assembly, default_class

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seedpack.frameworks.sources import Weights

_MAX_INDEX_NBYTES: Final = 64 * limits.MIB  # MAX_LAYERS names of 255 bytes, twice, and room
_FILES: Final[tuple[tuple[str, Callable[[Path], Weights]], ...]] = (
    ("model.safetensors", SafetensorsWeights),
    ("pytorch_model.bin", TorchWeights),
)


def open_folder(folder: Path) -> ModelSource:
    """Open a transformers folder and make sure that its tensors make its architecture.

    Raises:
        ExtractError: EXT-1 to EXT-12.
    """
    architecture = _read_architecture(folder)
    names, weights = open_folder_weights(folder)
    files, left_out = collect_files(folder, weights=frozenset(names))
    try:
        unused = check_assembly(architecture, weights.infos())
    except AssemblyError as error:
        raise _not_ours(error) from error
    return ModelSource(
        kind="transformers",
        weights=weights,
        architecture=architecture,
        files=files,
        left_out=weights.left_out + left_out,
        unused=unused,
    )


def _not_ours(error: AssemblyError) -> ExtractError:
    message = f"{error.message} ({error.rule})"
    return ExtractError(message, rule="EXT-10", where=error.where, hint=error.hint)


def _read_architecture(folder: Path) -> Architecture:
    path = folder / "config.json"
    if not path.is_file():
        raise ExtractError(
            "no config.json",
            rule="EXT-1",
            where=str(folder),
            hint="give the folder that save_pretrained wrote, or a weights file",
        )
    # Resolved, because the cache of the hub consists of links.
    data = read_small_file(path.resolve(), limit=limits.MAX_CONFIG_NBYTES, rule="EXT-9")
    try:
        architecture = _as_architecture(normalise_config(data.decode()))
        check_architecture(architecture)
    except UnicodeDecodeError as error:
        raise ExtractError("not UTF-8", rule="EXT-9", where="config.json") from error
    except FormatError as error:
        raise ExtractError(
            f"{error.message} ({error.rule})",
            rule="EXT-9",
            where="config.json",
            hint="a seed carries no code and points to none; use a class of transformers itself",
        ) from error
    return architecture


def _as_architecture(text: str) -> Architecture:
    config = parse_object(text, where="config.json")
    model_type = config.get("model_type")
    classes = config.get("architectures") or [None]
    if not isinstance(model_type, str) or not isinstance(classes, list):
        raise ExtractError("says no model_type", rule="EXT-9", where="config.json")
    try:
        class_name = str(classes[0] or default_class(model_type))
    except AssemblyError as error:
        raise _not_ours(error) from error
    return Architecture(
        class_name=class_name, config=text, framework=FRAMEWORK, model_type=model_type
    )


def open_folder_weights(folder: Path) -> tuple[list[str], Weights]:
    """Open the weights of a folder; what they make is not looked at.

    Returns:
        Names of the files, and the tensors.

    Raises:
        ExtractError: EXT-2 to EXT-8, EXT-12.
    """
    for name, open_file in _FILES:
        if (folder / name).is_file():
            return [name], open_file(folder / name)
        index = folder / f"{name}.index.json"
        if index.is_file():
            return _open_shards(folder, index, open_file)
    raise ExtractError(
        "no weights",
        rule="EXT-3",
        where=str(folder),
        hint=f"expected {' or '.join(name for name, _ in _FILES)}, or shards with an index",
    )


def _open_shards(
    folder: Path, index: Path, open_file: Callable[[Path], Weights]
) -> tuple[list[str], Weights]:
    weight_map = _read_index(index)
    names = sorted(set(weight_map.values()))
    shards = []
    for name in names:
        path = folder / name
        # A name with a slash would lead out of the folder.
        if "/" in name or name in {"", ".", ".."} or not path.is_file():
            raise ExtractError(
                f"shard {name[:80]!a} is missing",
                rule="EXT-2",
                where=str(index),
                hint="fetch the whole model",
            )
        shards.append(open_file(path))
    weights = ShardedWeights(shards, where=index)
    different = weight_map.keys() ^ {info.name for info in weights.infos()}
    if different:
        raise ExtractError(
            f"index and shards disagree on {min(different)[:80]!a}", rule="EXT-2", where=str(index)
        )
    return names, weights


def _read_index(index: Path) -> dict[str, str]:
    data = read_small_file(index.resolve(), limit=_MAX_INDEX_NBYTES, rule="EXT-2")
    try:
        weight_map = parse_object(data.decode(), where=index.name).get("weight_map")
    except (UnicodeDecodeError, FormatError) as error:
        raise ExtractError(f"{error}"[:300], rule="EXT-2", where=str(index)) from error
    if not isinstance(weight_map, dict) or not all(
        isinstance(name, str) for name in weight_map.values()
    ):
        raise ExtractError("no weight_map of names", rule="EXT-2", where=str(index))
    return weight_map
