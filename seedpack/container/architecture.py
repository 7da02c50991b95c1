"""An architecture as data that points to no code (spec: ARC)."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Final, NoReturn

from seedpack import limits
from seedpack.container.names import check_text
from seedpack.errors import FormatError

if TYPE_CHECKING:
    from seedpack.container.manifest import Architecture

FRAMEWORK: Final = "transformers"  # ARC-1
CODE_KEYS: Final = frozenset({"auto_map", "custom_pipelines", "trust_remote_code"})  # ARC-3
MAX_CONFIG_NESTING: Final = 32  # ARC-2: objects and arrays inside one another
_IDENTIFIER: Final = re.compile(r"\A[A-Za-z0-9_.-]+\Z")


def check_architecture(architecture: Architecture) -> None:
    """Refuse an architecture that is not plain data.

    Raises:
        FormatError: ARC-1 to ARC-3.
    """
    if architecture.framework != FRAMEWORK:
        raise _refusal("ARC-1", "architecture.framework", "unknown framework")
    for field, value in (
        ("class", architecture.class_name),
        ("model_type", architecture.model_type),
    ):
        if not _IDENTIFIER.match(value) or len(value) > limits.MAX_NAME_NBYTES:
            raise _refusal("ARC-1", f"architecture.{field}", f"not an identifier: {value[:80]!a}")
    where = "architecture.config"
    if len(architecture.config.encode()) > limits.MAX_CONFIG_NBYTES:
        raise _refusal("ARC-2", where, "config is larger than 1 MiB")
    check_text(architecture.config, where=where, allow="\n", limit=limits.MAX_CONFIG_NBYTES)
    check_plain_json(architecture.config, where=where)


def check_plain_json(text: str, *, where: str) -> None:
    """Refuse ``text`` unless it is one JSON object without duplicate or code keys.

    Python would read NaN and Infinity, too, which no other reader of JSON does.

    Raises:
        FormatError: ARC-2 or ARC-3.
    """

    def plain_object(pairs: list[tuple[str, object]]) -> dict[str, object]:
        keys = {key for key, _ in pairs}
        if len(keys) < len(pairs):
            raise _refusal("ARC-2", where, "a key stands twice in the config")
        if keys & CODE_KEYS:
            found = ", ".join(sorted(keys & CODE_KEYS))
            raise _refusal("ARC-3", where, f"config points to code: {found}")
        return dict(pairs)

    def no_constant(name: str) -> NoReturn:
        raise _refusal("ARC-2", where, f"{name} is not JSON")

    try:
        value = json.loads(text, object_pairs_hook=plain_object, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        raise _refusal("ARC-2", where, "config is not JSON") from error
    if _is_deeper(value, MAX_CONFIG_NESTING):
        raise _refusal("ARC-2", where, f"config is nested deeper than {MAX_CONFIG_NESTING}")
    if not isinstance(value, dict):
        raise _refusal("ARC-2", where, "config is not a JSON object")


def _is_deeper(value: object, levels: int) -> bool:
    """Tell whether more than ``levels`` objects and arrays stand inside one another."""
    if not isinstance(value, dict | list):
        return False
    children = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_is_deeper(child, levels - 1) for child in children)


def _refusal(rule: str, where: str, message: str) -> FormatError:
    return FormatError(message, rule=rule, where=where)
