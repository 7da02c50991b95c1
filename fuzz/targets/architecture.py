"""An architecture's config: JSON that is data and points to no code (spec: ARC).

Input: UTF-8 class, model type and config, joined by NUL.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from fuzz.harness import Target, reference, same_verdict
from fuzz.samples import drafts
from fuzz.trees import copy_tree, edit_text, mutate_tree, pack
from seedpack.container.architecture import CODE_KEYS, check_architecture
from seedpack.container.manifest import Architecture

if TYPE_CHECKING:
    from random import Random

_CONFIG: Final = {
    "architectures": ["TinyModel"],
    "hidden_size": 8,
    "id2label": {"0": "no", "1": "yes"},
    "rope": {"theta": 10000.0, "scaling": None},
    "use_cache": True,
}


def _check(data: bytes) -> None:
    class_name, model_type, config = _split(data)
    architecture = Architecture(
        class_name=class_name, config=config, framework="transformers", model_type=model_type
    )
    plain = {"class": class_name, "config": config, "framework": "transformers"}
    with same_verdict(lambda: _read_independently(plain | {"model_type": model_type})):
        check_architecture(architecture)
    value = json.loads(config)
    assert isinstance(value, dict)
    assert not _keys(value) & CODE_KEYS


def _read_independently(architecture: dict[str, str]) -> None:
    manifest = drafts()["small"].tree | {"architecture": architecture}
    reference().check_manifest(reference().decode_manifest(pack(manifest)))


def _split(data: bytes) -> tuple[str, str, str]:
    class_name, model_type, config, *_ = [*data.decode(errors="replace").split("\0"), "", ""]
    return class_name, model_type, config


def _keys(value: object) -> set[str]:
    """Return every key at any depth."""
    if isinstance(value, dict):
        return set(value).union(*map(_keys, value.values()))
    return set().union(*map(_keys, value)) if isinstance(value, list) else set()


def _starts() -> dict[str, bytes]:
    return {
        "plain": _join("TinyModel", json.dumps(_CONFIG, indent=2)),
        "code": _join("TinyModel", json.dumps(_CONFIG | {"x": [{"auto_map": {}}]})),
        "duplicate": _join("TinyModel", '{"a": 1, "a": 2}'),
        "escaped": _join("TinyModel", '{"\\u0061uto_map": {}}'),
        "not-finite": _join("TinyModel", '{"a": NaN, "b": -Infinity, "c": 1e999}'),
        "deep": _join("TinyModel", '{"a": ' + "[" * 200 + "]" * 200 + "}"),
    }


def _join(class_name: str, config: str) -> bytes:
    return f"{class_name}\0tiny\0{config}".encode(errors="surrogatepass")


def _mutate(data: bytes, random: Random) -> bytes:
    class_name, model_type, config = _split(data)
    match random.randrange(5):
        case 0:
            class_name = edit_text(class_name, random)
        case 1:
            config = edit_text(config, random)
        case _:
            config = _edit_json(config, random)
    return f"{class_name}\0{model_type}\0{config}".encode(errors="surrogatepass")


def _edit_json(text: str, random: Random) -> str:
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        tree = copy_tree(_CONFIG)
    escaped = random.choice([True, False])
    return json.dumps(mutate_tree(tree, random), ensure_ascii=escaped, default=str)


TARGET: Final = Target(_check, _starts, _mutate, max_input_nbytes=8192)
