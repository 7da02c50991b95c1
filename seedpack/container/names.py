"""Names that a file may carry and nothing can misread (spec: MAN-6, MAN-11, LAY-1, ATT).

A name is never a path, markup or format string; attachment names become paths
inside the assembled folder and are refused where any system would read them otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEED: Final = re.compile(r"\A[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*){0,3}\Z")
_LAYER: Final = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.:-]*\Z")
_COMPONENT: Final = re.compile(r"\A[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")
_DEVICE: Final = re.compile(r"\A(con|prn|aux|nul|com[0-9]|lpt[0-9])\Z", re.IGNORECASE)
_MAX_COMPONENTS: Final = 4
# Not Cn: what is unassigned depends on the Unicode version, and readers must agree.
_HIDDEN: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
ATTACHMENT_ENDINGS: Final = frozenset(
    {".json", ".txt", ".md", ".model", ".jinja", ".tiktoken", ".yaml"}
)


def check_seed_name(name: str) -> None:
    """Refuse a seed name outside MAN-11."""
    if not _SEED.match(name) or len(name) > limits.MAX_NAME_NBYTES:
        hint = "lower-case letters, digits, . _ - and up to 3 slashes: acme/minilm-l6"
        raise FormatError(f"seed name {name[:80]!a}", rule="MAN-11", where="name", hint=hint)


def check_layer_name(name: str, *, where: str) -> None:
    """Refuse a layer name outside LAY-1."""
    fits = _LAYER.match(name) and len(name) <= limits.MAX_NAME_NBYTES
    if not fits or name == "__metadata__":
        hint = "letters, digits, _ . : - and at most 255 of them"
        raise FormatError(f"layer name {name[:80]!a}", rule="LAY-1", where=where, hint=hint)


def check_attachment_name(name: str, *, where: str) -> None:
    """Refuse an attachment name that is not a plain relative path of a harmless kind."""
    components = name.split("/")
    plain = len(components) <= _MAX_COMPONENTS and len(name) <= limits.MAX_NAME_NBYTES
    if not plain or not all(_is_component(component) for component in components):
        raise FormatError(f"attachment name {name[:80]!a}", rule="ATT-1", where=where)
    _, dot, ending = components[-1].rpartition(".")
    if dot and f".{ending}" not in ATTACHMENT_ENDINGS:
        allowed = ", ".join(sorted(ATTACHMENT_ENDINGS))
        raise FormatError(
            f"attachment {name[:80]!a} of a kind that is not carried",
            rule="ATT-4",
            where=where,
            hint=f"allowed are {allowed} and names without a dot",
        )


def _is_component(component: str) -> bool:
    device = _DEVICE.match(component.split(".", maxsplit=1)[0])
    return bool(_COMPONENT.match(component)) and not component.endswith(".") and not device


def check_attachment_names(names: list[str]) -> None:
    """Refuse names that would meet in one folder on some system (ATT-2)."""
    folded = [name.lower() for name in names]
    folders = {
        "/".join(name.split("/")[:end]) for name in folded for end in range(1, name.count("/") + 1)
    }
    if len(set(folded)) < len(folded) or folders & set(folded):
        raise FormatError("attachment names collide", rule="ATT-2", where="attachments")


def check_text(
    text: str, *, where: str, allow: str = "", limit: int = limits.MAX_TEXT_NBYTES
) -> None:
    """Refuse text that can hide or fake something when it is shown (MAN-6).

    Args:
        text: Any text of the manifest.
        where: Its place.
        allow: Characters that are let through all the same.
        limit: Size allowed, in UTF-8 bytes.
    """
    if text.isascii() and text.isprintable() and len(text) <= limit:
        return
    if len(text.encode()) > limit:
        raise FormatError(f"text of more than {limit} bytes", rule="MAN-6", where=where)
    if not unicodedata.is_normalized("NFC", text):
        raise FormatError("text is not in NFC", rule="MAN-6", where=where)
    for character in set(text) - set(allow):
        if unicodedata.category(character) in _HIDDEN:
            raise FormatError(f"text holds U+{ord(character):04X}", rule="MAN-6", where=where)


def check_texts(texts: Iterable[tuple[str, str]]) -> None:
    """Apply ``check_text`` to pairs of place and text."""
    for where, text in texts:
        check_text(text, where=where)
