"""The msgpack that a manifest may use, checked in one bounded walk (spec: MAN-1 to MAN-6).

The walk allocates nothing by announced sizes, so that a decoder never meets
msgpack that could make it allocate. Order of keys and duplicates are left to the
comparison in ``manifest`` (MAN-2).
"""

from __future__ import annotations

from typing import Final, NamedTuple

from seedpack import limits
from seedpack.errors import FormatError

_NIL, _FALSE, _TRUE = 0xC0, 0xC2, 0xC3


class _Form(NamedTuple):
    """A lead byte with a big-endian number behind it."""

    kind: str  # "int", "text", "binary", "array" or "map"
    width: int  # bytes of the number
    least: int  # smaller numbers have a shorter form


_FORMS: Final = {
    0xCC: _Form("int", 1, 0x80),
    0xCD: _Form("int", 2, 1 << 8),
    0xCE: _Form("int", 4, 1 << 16),
    0xCF: _Form("int", 8, 1 << 32),
    0xD9: _Form("text", 1, 32),
    0xDA: _Form("text", 2, 1 << 8),
    0xDB: _Form("text", 4, 1 << 16),
    0xC4: _Form("binary", 1, 0),
    0xC5: _Form("binary", 2, 1 << 8),
    0xC6: _Form("binary", 4, 1 << 16),
    0xDC: _Form("array", 2, 16),
    0xDD: _Form("array", 4, 1 << 16),
    0xDE: _Form("map", 2, 16),
    0xDF: _Form("map", 4, 1 << 16),
}
_FORBIDDEN: Final = {
    **dict.fromkeys((0xC7, 0xC8, 0xC9, *range(0xD4, 0xD9)), ("MAN-4", "extension type")),
    **dict.fromkeys((0xCA, 0xCB), ("MAN-4", "float")),
    **dict.fromkeys((*range(0xD0, 0xD4), *range(0xE0, 0x100)), ("MAN-5", "signed integer")),
    0xC1: ("MAN-1", "reserved byte"),
}
# Lead bytes below 0xC0 are whole headers: kind and number of each. Most headers of a manifest
# are such, so this is looked up rather than searched.
_ONE_BYTE: Final = (
    *(("int", number) for number in range(0x80)),
    *(("map", number) for number in range(16)),
    *(("array", number) for number in range(16)),
    *(("text", number) for number in range(32)),
)


class _Token(NamedTuple):
    """One msgpack header."""

    kind: str
    number: int  # the integer itself, or the announced length
    end: int  # offset behind the header


def check_profile(data: bytes) -> None:
    """Walk over ``data`` once and refuse all that the profile lacks.

    Raises:
        FormatError: MAN-1 to MAN-6, with the byte where it starts.

    Cost:
        O(len(data)) time, O(nesting) memory.
    """
    open_items: list[int] = [1]  # values still to come, per open array or map
    key_levels: list[bool] = [False]  # does the level alternate keys and values?
    offset = 0
    while open_items:
        if not open_items[-1]:
            open_items.pop()
            key_levels.pop()
            continue
        is_key = key_levels[-1] and open_items[-1] % 2 == 0
        open_items[-1] -= 1
        token = _read_token(data, offset)
        if is_key and token.kind != "text":
            raise _refusal("MAN-2", offset, "map key is not text")
        if token.kind in {"array", "map"}:
            nvalues = token.number * (2 if token.kind == "map" else 1)
            _check_room(data, token, nvalues, offset)
            open_items.append(nvalues)
            key_levels.append(token.kind == "map")
            if len(open_items) - 1 > limits.MAX_NESTING:
                raise _refusal("MAN-3", offset, f"nested deeper than {limits.MAX_NESTING}")
            offset = token.end
        else:
            offset = _skip_scalar(data, token, offset)
    if offset != len(data):
        raise _refusal("MAN-1", offset, "bytes behind the manifest's only value")


def _read_token(data: bytes, offset: int) -> _Token:
    if offset >= len(data):
        raise _refusal("MAN-1", offset, "manifest ends inside a value")
    lead = data[offset]
    if lead < len(_ONE_BYTE):
        kind, number = _ONE_BYTE[lead]
        return _Token(kind, number, offset + 1)
    if lead in {_NIL, _FALSE, _TRUE}:
        return _Token("constant", 0, offset + 1)
    if lead in _FORBIDDEN:
        rule, what = _FORBIDDEN[lead]
        raise _refusal(rule, offset, f"{what} in the manifest")
    form = _FORMS[lead]
    end = offset + 1 + form.width
    if end > len(data):
        raise _refusal("MAN-1", offset, "manifest ends inside a value")
    number = int.from_bytes(data[offset + 1 : end], "big")
    if number < form.least:
        raise _refusal("MAN-2", offset, f"{form.kind} in a longer form than it needs")
    return _Token(form.kind, number, end)


def _skip_scalar(data: bytes, token: _Token, offset: int) -> int:
    if token.kind == "int":
        if token.number > limits.MAX_INTEGER:
            raise _refusal("MAN-5", offset, f"integer {token.number}")
        return token.end
    if token.kind == "constant":
        return token.end
    _check_room(data, token, token.number, offset)
    end = token.end + token.number
    if token.kind == "text":
        try:
            data[token.end : end].decode()
        except UnicodeDecodeError as error:
            raise _refusal("MAN-6", token.end + error.start, "text is not UTF-8") from error
    return end


def _check_room(data: bytes, token: _Token, nbytes: int, offset: int) -> None:
    """Refuse a length that the rest of the manifest cannot hold (one byte per value at least)."""
    if nbytes > len(data) - token.end:
        raise _refusal("MAN-3", offset, f"{token.kind} announces {token.number} that cannot follow")


def _refusal(rule: str, offset: int, message: str) -> FormatError:
    return FormatError(message, rule=rule, where=f"manifest byte {offset}")
