"""Vectors of section 9: the architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .catalog import accepted, refused
from .writer import Draft, frame, pack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .catalog import Vector

CONFIG = '{\n  "hidden_size": 8,\n  "layers": [1, 2.5, null, true, {"a": "\\u00e9"}]\n}'
GOOD = {
    "class": "BertModel",
    "config": CONFIG,
    "framework": "transformers",
    "model_type": "bert",
}


def of(**changes: object) -> bytes:
    """Return a file whose architecture has these fields."""
    manifest = Draft().manifest() | {"architecture": GOOD | changes}
    return frame(pack(manifest))


def vectors() -> Iterator[Vector]:
    """Build the area."""
    yield from _accepted()
    yield from _names()
    yield from _configs()


def _accepted() -> Iterator[Vector]:
    cases = {
        "good": (of(), "ARC-2", "a config of several lines"),
        "config-smallest": (of(config="{}"), "ARC-2", "the smallest config"),
        "config-5000": (of(config='{"a": "' + "b" * 5000 + '"}'), "ARC-2", "more than other texts"),
        "names-255": (of(**{"class": "C" * 255, "model_type": "m" * 255}), "ARC-1", "long names"),
        "value-auto-map": (of(config='{"a": "auto_map"}'), "ARC-3", "the word as a value"),
        "key-like-auto-map": (of(config='{"auto_mapping": 1}'), "ARC-3", "a longer key"),
        "same-key-elsewhere": (of(config='{"a": {"b": 1}, "b": 2}'), "ARC-2", "one key, two maps"),
    }
    for name, (data, rule, about) in cases.items():
        yield accepted(f"architecture/{name}", data, about, shows=(rule,))


def _names() -> Iterator[Vector]:
    cases: dict[str, tuple[dict[str, str], str]] = {
        "framework": ({"framework": "pytorch"}, "another framework"),
        "framework-case": ({"framework": "Transformers"}, "the framework in other case"),
        "framework-empty": ({"framework": ""}, "no framework"),
        "class-empty": ({"class": ""}, "no class"),
        "class-call": ({"class": "os.system('id')"}, "a class that is a call"),
        "class-path": ({"class": "../modeling/Bert"}, "a class that is a path"),
        "class-space": ({"class": "Bert Model"}, "a class with a space"),
        "class-256": ({"class": "C" * 256}, "a class of 256 bytes"),
        "class-not-ascii": ({"class": "B\u0435rt"}, "a class with a Cyrillic letter"),
        "model-type-empty": ({"model_type": ""}, "no model type"),
        "model-type-slash": ({"model_type": "bert/evil"}, "a model type with a slash"),
        "model-type-256": ({"model_type": "m" * 256}, "a model type of 256 bytes"),
    }
    for name, (changes, about) in cases.items():
        yield refused(f"architecture/{name}", of(**changes), "ARC-1", about, attack=(34,))


def _configs() -> Iterator[Vector]:
    configs = {
        "empty": ("", "no JSON"),
        "text": ('"a"', "a JSON text"),
        "array": ("[{}]", "a JSON array"),
        "null": ("null", "JSON null"),
        "cut": ('{"a": 1', "JSON that ends too soon"),
        "trailing": ('{"a": 1} x', "text behind the object"),
        "two": ("{}{}", "two objects"),
        "comment": ('{"a": 1} // b', "a comment"),
        "trailing-comma": ('{"a": 1,}', "a comma too many"),
        "single-quotes": ("{'a': 1}", "Python instead of JSON"),
        "duplicate": ('{"a": 1, "a": 2}', "a key twice"),
        "duplicate-inside": ('{"b": [{"a": 1, "a": 1}]}', "a key twice, further in"),
        "duplicate-escaped": ('{"a": 1, "\\u0061": 2}', "a key twice, once escaped"),
        "nan": ('{"a": NaN}', "NaN"),
        "infinity": ('{"a": -Infinity}', "an infinity"),
        "nested-33": ('{"a": ' + "[" * 32 + "]" * 32 + "}", "33 containers inside one another"),
        "deep": ('{"a": ' + "[" * 20_000 + "]" * 20_000 + "}", "20,000 arrays inside one another"),
    }
    for name, (config, about) in configs.items():
        attack = (25,) if "duplicate" in name else (35,) if name == "deep" else ()
        data = of(config=config)
        yield refused(f"architecture/config-{name}", data, "ARC-2", about, attack=attack)
    size = 1 << 20
    config = '{"a": "' + "b" * (size - 8) + '"}'
    data = of(config=config)
    yield refused(
        "architecture/config-1-mib-plus-1", data, "ARC-2", "1 MiB and one byte", attack=(13,)
    )
    for text, name in {"\t": "tab", "\r": "cr", "\u200b": "zero-width", "\u2028": "line"}.items():
        data = of(config=f'{{"a":{text} 1}}')
        about = f"a config with U+{ord(text):04X}"
        yield refused(f"architecture/config-{name}", data, "MAN-6", about, attack=(34,))
    keys = {
        "auto-map": '{"auto_map": {"AutoModel": "modeling.Evil"}}',
        "auto-map-inside": '{"a": {"b": [{"auto_map": {}}]}}',
        "auto-map-escaped": '{"\\u0061uto_map": {}}',
        "custom-pipelines": '{"custom_pipelines": {}}',
        "trust-remote-code": '{"trust_remote_code": false}',
        "trust-remote-code-inside": '{"text_config": {"trust_remote_code": true}}',
    }
    for name, config in keys.items():
        data = of(config=config)
        about = f"a config that points to code: {name.replace('-', ' ')}"
        yield refused(f"architecture/config-{name}", data, "ARC-3", about, attack=(40,))
