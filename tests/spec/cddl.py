"""A matcher for the part of CDDL (RFC 8610) that ``spec/manifest.cddl`` uses.

pycddl 0.6 reads all of CDDL but lets arrays and binaries pass where a range is asked for, and
checks the values of open maps only in part. So the grammar is judged twice: pycddl says that
it is CDDL and that good manifests match; this matcher, which knows nothing of msgspec or of
the product, also says what does not match.

    rule      = name "=" type                        control  = ".size" | ".regexp" | ".and"
    type      = operand *("/" operand)               operand  = primary [control primary]
    primary   = n | n..m | "text" | name | ( type ) | [ items ] | { members }
    items     = n*m type | name ":" type, ...
    members   = n*m type "=>" type | "key" ":" type, ...
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from tests.spec.cbor import Pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    Matcher = Callable[[object], bool]

_TOKEN = re.compile(
    r"""\s*(?:;[^\n]*\s*)*(
        "(?:[^"\\]|\\.)*" | [0-9]+\.\.[0-9]+ | [0-9]+\*[0-9]+ | [0-9]+
        | \.[a-z]+ | [A-Za-z][A-Za-z0-9_]* | => | [][{}()/,:=]
    )""",
    re.VERBOSE,
)
_PRELUDE: dict[str, Matcher] = {
    "bool": lambda v: isinstance(v, bool),
    "bytes": lambda v: isinstance(v, bytes),
    "false": lambda v: v is False,
    "nil": lambda v: v is None,
    "text": lambda v: isinstance(v, str),
    "true": lambda v: v is True,
}


class Grammar:
    """Rules by name; the first one is the root."""

    def __init__(self, source: str) -> None:
        """Read the rules.

        Raises:
            ValueError: ``source`` uses what this matcher does not know.
        """
        self._tokens = _tokens(source)
        self._rules: dict[str, Matcher] = {}
        self._used: set[str] = set()
        root = self._tokens[-1]
        while self._tokens:
            name = self._next()
            self._expect("=")
            self._rules[name] = self._type()
        self.matches = self._rules[root]
        if unknown := self._used - self._rules.keys() - _PRELUDE.keys():
            msg = f"rules used but not defined: {sorted(unknown)}"
            raise ValueError(msg)
        self.unused = self._rules.keys() - self._used - {root}

    # ---- reading: the token list is reversed, so that the next token is popped

    def _peek(self) -> str:
        return self._tokens[-1] if self._tokens else ""

    def _next(self) -> str:
        return self._tokens.pop()

    def _expect(self, token: str) -> None:
        if (found := self._next()) != token:
            msg = f"expected {token!r}, found {found!r}"
            raise ValueError(msg)

    def _take(self, token: str) -> bool:
        if self._peek() != token:
            return False
        self._next()
        return True

    def _type(self) -> Matcher:
        choices = [self._operand()]
        while self._take("/"):
            choices.append(self._operand())
        return choices[0] if len(choices) == 1 else lambda v: any(c(v) for c in choices)

    def _operand(self) -> Matcher:
        target = self._primary()
        if not re.fullmatch(r"\.[a-z]+", self._peek()):
            return target
        control = self._next()
        if control == ".regexp":
            pattern = re.compile(json.loads(self._next()).removesuffix("$") + r"\Z")
            return lambda v: target(v) and pattern.match(v) is not None
        argument = self._primary()
        if control == ".size":
            return lambda v: target(v) and argument(_nbytes(v))
        if control == ".and":
            return lambda v: target(v) and argument(v)
        msg = f"unknown control {control}"
        raise ValueError(msg)

    def _primary(self) -> Matcher:
        token = self._next()
        if token == "(":
            inner = self._type()
            self._expect(")")
            return inner
        if token in "[{":
            return self._array() if token == "[" else self._map()
        if token[0] == '"':
            literal = json.loads(token)
            return lambda v: isinstance(v, str) and v == literal
        if token[0].isdigit():
            low, _, high = token.partition("..")
            return lambda v: type(v) is int and int(low) <= v <= int(high or low)
        self._used.add(token)
        if token in _PRELUDE:
            return _PRELUDE[token]
        return lambda v: self._rules[token](v)  # noqa: PLW0108 -- a rule may stand after its use

    def _array(self) -> Matcher:
        if bounds := self._occurrence():
            item = self._type()
            self._expect("]")
            return lambda v: _is_list(v) and len(v) in bounds and all(map(item, v))
        items = []
        while not self._take("]"):
            self._next()  # the name of the place
            self._expect(":")
            items.append(self._type())
            self._take(",")
        return lambda v: (
            _is_list(v)
            and len(v) == len(items)
            and all(m(x) for m, x in zip(items, v, strict=True))
        )

    def _map(self) -> Matcher:
        if bounds := self._occurrence():
            key = self._type()
            self._expect("=>")
            value = self._type()
            self._expect("}")
            return lambda v: (
                isinstance(v, Pairs) and len(v) in bounds and all(key(k) and value(x) for k, x in v)
            )
        members = {}
        while not self._take("}"):
            name = json.loads(self._next())
            self._expect(":")
            members[name] = self._type()
            self._take(",")
        return lambda v: (
            isinstance(v, Pairs)
            and sorted(members) == sorted(repr(k) if not isinstance(k, str) else k for k, _ in v)
            and all(members[k](x) for k, x in v)
        )

    def _occurrence(self) -> range | None:
        if not re.fullmatch(r"[0-9]+\*[0-9]+", self._peek()):
            return None
        low, high = map(int, self._next().split("*"))
        return range(low, high + 1)


def _tokens(source: str) -> list[str]:
    found, place = [], 0
    source = re.sub(r"(?:\s*;[^\n]*)*\s*\Z", "", source)
    while place < len(source):
        if not (match := _TOKEN.match(source, place)):
            msg = f"not understood: {source[place : place + 40]!r}"
            raise ValueError(msg)
        found.append(match[1])
        place = match.end()
    return found[::-1]


def _is_list(value: object) -> bool:
    return isinstance(value, list) and not isinstance(value, Pairs)


def _nbytes(value: str | bytes) -> int:
    return len(value.encode() if isinstance(value, str) else value)
