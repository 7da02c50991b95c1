"""JSON from elsewhere, read into a type without any leniency (spec: RPT-1, RPT-3, RPT-6).

bytes --msgspec, typed--> value --encoded again--> plain values == plain values of the bytes

msgspec lets a key stand twice, and fills in what is absent; the comparison finds both. It runs
second, because only bytes of the right types are bounded in what they allocate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import msgspec

from seedpack.errors import FormatError
from seedpack.trust.texts import quotable

if TYPE_CHECKING:
    from collections.abc import Callable

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


def decode_strictly(
    text: bytes, kind: type[_Struct], *, rule: str, where: str, whole: bool = True
) -> _Struct:
    """Return the value of type ``kind`` that ``text`` holds, and nothing else.

    Args:
        text: UTF-8, of a size that the caller has bounded.
        kind: Of the value.
        rule: What a refusal names.
        where: What a refusal names as its place.
        whole: Whether fields that have a default must be there, too.

    Raises:
        FormatError: ``rule``.
    """

    def refuse(message: str) -> NoReturn:
        raise FormatError(message, rule=rule, where=where)

    try:
        value = msgspec.json.decode(text, type=kind)
        plain = json.loads(text, object_pairs_hook=_table_of(refuse), parse_constant=refuse)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        refuse(f"not what it should be: {quotable(error)}")
    if whole and json.loads(msgspec.json.encode(value)) != plain:
        refuse("a field is absent, or written in a form of which there is only one")
    return value


def _table_of(refuse: Callable[[str], NoReturn]) -> Callable[[list[tuple[str, Any]]], object]:
    def table_of(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            refuse("a key stands twice in one object")
        return table

    return table_of
