"""Finds what the specification asks for and nothing keeps, and what is kept and nobody asked for.

spec/*.md, spec/codecs|audits/*.md  **ID** *vector*|*test*  ->  Requirement
seedpack/, cli/              ids in the text         ->  code
tests/                       pytest.mark.spec("ID")  ->  tests
spec/vectors/index.json      rule, shows             ->  vectors
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ID: Final = r"[A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)*-[0-9]+"
_DEFINITION: Final = re.compile(rf"\*\*({_ID})\*\*\s+\*(vector|test)\*")
_KEY_WORD: Final = re.compile(r"\bMUST\b")


class Requirement(NamedTuple):
    """One id of the specification."""

    id: str
    kept_by: str  # "vector" or "test"
    page: str


class Repository(NamedTuple):
    """All that the comparison needs, gathered once."""

    requirements: list[Requirement]
    without_id: list[str]  # blocks of the specification that hold a MUST but no id
    mentioned: dict[str, str]  # id in code or tests -> one file that mentions it
    raised: dict[str, str]  # rule="..." in code -> file
    in_code: set[str]
    marked: dict[str, str]  # id in pytest.mark.spec -> one file
    shown: set[str]  # ids of vectors


def problems(root: Path) -> list[str]:
    """List every gap between specification, code, tests and vectors, one sentence each."""
    repository = _gather(root)
    return sorted({*_gaps(repository), *_strangers(repository)})


def _gather(root: Path) -> Repository:
    folders = ("spec", "spec/codecs", "spec/audits")
    pages = [page for folder in folders for page in sorted((root / folder).glob("*.md"))]
    requirements, without_id = [], []
    for page in pages:
        text = page.read_text("utf-8")
        name = str(page.relative_to(root))
        requirements += [Requirement(*found, name) for found in _DEFINITION.findall(text)]
        without_id += [f"{name}: {block}" for block in _blocks_without_id(text)]
    code = _texts(root, "seedpack", "cli")
    tests = _texts(root, "tests")
    prefixes = {_prefix(requirement.id) for requirement in requirements}
    mentioned = _mentions(code | tests, prefixes)
    return Repository(
        requirements=requirements,
        without_id=without_id,
        mentioned=mentioned,
        raised={i: name for name, text in code.items() for i in _raised(text)},
        in_code=set(_mentions(code, prefixes)),
        marked={i: name for name, text in tests.items() for i in _marked(text)},
        shown=_shown(root / "spec/vectors/index.json"),
    )


def _gaps(repository: Repository) -> Iterator[str]:
    for block in repository.without_id:
        yield f"a MUST without an id in {block}"
    seen: set[str] = set()
    for requirement in repository.requirements:
        if requirement.id in seen:
            yield f"{requirement.id} is defined twice"
        seen.add(requirement.id)
        if requirement.id not in repository.in_code:
            yield f"{requirement.id} has no code"
        if requirement.kept_by == "vector" and requirement.id not in repository.shown:
            yield f"{requirement.id} has no vector"
        if requirement.kept_by == "test" and requirement.id not in repository.marked:
            yield f"{requirement.id} has no test"


def _strangers(repository: Repository) -> Iterator[str]:
    known = {requirement.id for requirement in repository.requirements}
    for place in (repository.mentioned, repository.raised, repository.marked):
        for name in place.keys() - known:
            yield f"{name}, named in {place[name]}, is not in the specification"
    for name in repository.shown - known:
        yield f"{name}, shown by a vector, is not in the specification"


def _blocks_without_id(text: str) -> Iterator[str]:
    # A block is a paragraph or an item of a list. The sentence that introduces the key words
    # themselves (RFC 2119) is the one that needs no id.
    for block in re.split(r"\n\s*\n|\n(?=- )", text):
        if _KEY_WORD.search(block) and not _DEFINITION.search(block) and "RFC 2119" not in block:
            yield " ".join(block.split())[:80]


def _texts(root: Path, *folders: str) -> dict[str, str]:
    # The checker's own tests are full of invented ids, on purpose.
    return {
        str(path.relative_to(root)): path.read_text("utf-8")
        for folder in folders
        for path in sorted((root / folder).rglob("*.py"))
        if path.name != "test_traceability.py"
    }


def _mentions(texts: dict[str, str], prefixes: set[str]) -> dict[str, str]:
    # Of a known prefix only: "SHA-256" looks like an id, too.
    return {
        found: name
        for name, text in texts.items()
        for found in re.findall(rf"(?<![A-Za-z0-9-]){_ID}(?![A-Za-z0-9-])", text)
        if _prefix(found) in prefixes
    }


def _raised(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.keyword) and node.arg == "rule":
            yield from _constants([node.value])


def _marked(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.spec":
            yield from _constants(node.args)


def _constants(nodes: list[ast.expr]) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _shown(index: Path) -> set[str]:
    if not index.exists():
        return set()
    vectors = json.loads(index.read_bytes())["vectors"]
    rules = {v["rule"] for v in vectors if v.get("rule")}
    return rules | {name for v in vectors for name in v.get("shows", ())}


def _prefix(name: str) -> str:
    return name.rpartition("-")[0]
