"""config.json as data: strict JSON that names no code (spec: ARC-2, ARC-3, ASM-2).

    text --no duplicate keys, one object--> config --no key or value that makes a
    framework fetch or import code--> Architecture

The same checks run before extraction and before assembly: whoever signs a seed is
trusted to vouch for weights, never to run programs at the consumer's.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from seedpack import limits
from seedpack.container.architecture import CODE_KEYS, check_plain_json
from seedpack.container.names import check_text
from seedpack.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

# transformers asks the hub for a compiled kernel or a backbone where these hold "owner/name".
_HUB_KEYS: Final = ("attn_implementation", "experts_implementation", "backbone")
_WEIGHTS_KEY: Final = "transformers_weights"  # transformers reads weights from there instead
_CLASS_LISTS: Final = frozenset({"modules.json", "router_config.json"})
_OWN_CLASSES: Final = "sentence_transformers."


def parse_object(text: str, *, where: str) -> dict[str, Any]:
    """Parse a JSON object without duplicate keys and keys that point to code.

    Raises:
        FormatError: ARC-2 or ARC-3.
    """
    check_plain_json(text, where=where)
    value: dict[str, Any] = json.loads(text)
    return value


def find_pointer(value: object) -> str | None:
    """Return the first key that points to code or weights elsewhere, at any depth."""
    for key, item in _items(value):
        if key in CODE_KEYS or (key == _WEIGHTS_KEY and item is not None):
            return key
        if key.endswith(_HUB_KEYS) and any("/" in text for text in _texts(item)):
            return key
    return None


def find_pointer_in_file(name: str, text: str) -> str | None:
    """Return the key in an attached file that makes a library import code, if there is one.

    Args:
        name: The attachment's.
        text: Its content; what is no JSON holds no such thing.
    """
    if not name.endswith(".json"):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if name.rpartition("/")[2] in _CLASS_LISTS:
        # sentence-transformers imports whatever dotted name stands here.
        for key, item in _items(value):
            if key in {"type", "types"} and not all(
                text.startswith(_OWN_CLASSES) for text in _texts(item)
            ):
                return key
    return find_pointer(value)


def normalise_config(text: str) -> str:
    """Return ``text`` itself where a manifest can hold it, else the same data escaped.

    Raises:
        FormatError: ARC-2 or ARC-3.
    """
    try:
        check_text(text, where="config.json", allow="\n", limit=limits.MAX_CONFIG_NBYTES)
    except FormatError:
        # Tabs, carriage returns or characters outside MAN-6: all of them have an escape.
        return json.dumps(parse_object(text, where="config.json"), indent=2) + "\n"
    return text


def _items(value: object) -> Iterator[tuple[str, object]]:
    """Yield all pairs of all objects, without recursion."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            yield from item.items()
            stack += item.values()
        elif isinstance(item, list):
            stack += item


def _texts(value: object) -> Iterator[str]:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            stack += item.values()
        elif isinstance(item, list):
            stack += item
