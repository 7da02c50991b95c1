"""Which files of a model's folder travel along, and as what (spec: EXT-11, ATT).

    folder --walk, sorted--> name --known and harmless?--> AttachedFile
                                       otherwise        --> LeftOut, with the reason

The list is closed: a name that nobody listed is left out and said so. Weights that are
not the model's own, and anything that a program would run or unpickle, are not on it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container.names import check_attachment_name, check_attachment_names
from seedpack.errors import ExtractError, FormatError
from seedpack.frameworks.configs import find_pointer_in_file
from seedpack.frameworks.sources import AttachedFile, LeftOut

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.frameworks.sources import FileKind

_KINDS: Final[tuple[tuple[re.Pattern[str], FileKind], ...]] = (
    (re.compile(r"\A(LICEN[SC]E|COPYING|NOTICE)([.-].*)?\Z", re.IGNORECASE), "licence"),
    (re.compile(r"\A(README|MODEL_?CARD)(\..*)?\Z", re.IGNORECASE), "card"),
    (re.compile(r"\A(tokenizer|vocab|merges|special_tokens_map|added_tokens).*\Z"), "tokenizer"),
    (re.compile(r"\A.*\.(model|tiktoken|jinja)\Z"), "tokenizer"),
    (re.compile(r"\A(.*config.*|modules|preprocessor.*|id2label)\.json\Z"), "config"),
)
# At the top config.json is the architecture, and an index belongs to weights in parts.
_ELSEWHERE: Final = re.compile(r"\A(config\.json|[^/]*\.index\.json)\Z")
# ASM-4: names by which a loader would take something else than what was verified: other
# weights, weights in parts, or an adapter with the model that it names.
_RESERVED: Final = re.compile(
    r"\A(config\.json|model\.safetensors|(.*/)?(adapter_config\.json|[^/]*\.index\.json))\Z",
    re.IGNORECASE,
)


def collect_files(
    folder: Path, *, weights: frozenset[str]
) -> tuple[tuple[AttachedFile, ...], tuple[LeftOut, ...]]:
    """Sort the files of ``folder`` into those that travel along and those that do not.

    Args:
        folder: The model's.
        weights: Names of files that are read as tensors.

    Raises:
        ExtractError: EXT-11, names that collide, too many files, or one that points to code.
    """
    files: list[AttachedFile] = []
    left_out: list[LeftOut] = []
    for name in sorted(_walk(folder)):
        if name in weights or _ELSEWHERE.match(name):
            continue
        kind = _kind(name)
        reason = "not on the list of files that travel along" if kind is None else None
        reason = reason or _obstacle(name, folder / name)
        if kind is None or reason is not None:
            left_out.append(LeftOut(name, reason or ""))
            continue
        files.append(AttachedFile(name, kind, (folder / name).resolve()))
    _check_together(files, where=str(folder))
    return tuple(files), tuple(left_out)


def is_reserved(name: str) -> bool:
    """Return whether an attachment of that name would change what a loader loads (ASM-4)."""
    return bool(_RESERVED.match(name))


def _walk(folder: Path) -> Iterator[str]:
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]  # .git, .cache
        for name in names:
            yield Path(root, name).relative_to(folder).as_posix()


def _kind(name: str) -> FileKind | None:
    last = name.rpartition("/")[2]
    return next((kind for pattern, kind in _KINDS if pattern.match(last)), None)


def _obstacle(name: str, path: Path) -> str | None:
    if is_reserved(name):
        return "would make a loader load something else"
    try:
        check_attachment_name(name, where=name)
    except FormatError as error:
        return error.message
    if not path.is_file():
        return "not a regular file"
    if path.stat().st_size > limits.MAX_ATTACHMENT_NBYTES:
        return f"larger than {limits.MAX_ATTACHMENT_NBYTES} bytes"
    return None


def _check_together(files: list[AttachedFile], *, where: str) -> None:
    if len(files) > limits.MAX_ATTACHMENTS:
        raise ExtractError(
            f"{len(files)} files, at most {limits.MAX_ATTACHMENTS} can travel along",
            rule="EXT-11",
            where=where,
        )
    try:
        check_attachment_names([file.name for file in files])
    except FormatError as error:
        raise ExtractError(error.message, rule="EXT-11", where=where) from error
    for file in files:
        key = find_pointer_in_file(
            file.name, file.path.read_text(encoding="utf-8", errors="replace")
        )
        if key is not None:
            raise ExtractError(
                f"key {key!a} points to code",
                rule="EXT-11",
                where=file.name,
                hint="a seed carries no code and points to none; remove the key or the file",
            )
