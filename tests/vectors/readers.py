"""One question to three readers: what is this file, by this trust store, at this time?"""

from __future__ import annotations

import functools
import io
import json
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import typer.main

from seedpack.errors import SeedError
from seedpack.frameworks.bases import ModelBase
from seedpack.seed.opening import open_seed
from seedpack.seed.verify import verify_seed
from seedpack.trust.storefile import load_trust_store
from seedpack_cli import app
from spec.reference.read_seed import load_base, read_seed

FOLDER = Path(__file__).resolve().parents[2] / "spec" / "vectors"


class Verdict(NamedTuple):
    """What a reader says; code and rule are None where it accepts."""

    result: str
    code: str | None = None
    rule: str | None = None


ACCEPT = Verdict("accept")


class Vector(NamedTuple):
    """One line of the index."""

    file: str
    expect: str
    code: str | None
    rule: str | None
    mode: str
    trust: str
    now: int
    about: str
    attack: tuple[int, ...] = ()
    shows: tuple[str, ...] = ()
    partial: bool = False
    missing: tuple[str, ...] = ()
    base: str | None = None

    @property
    def path(self) -> Path:
        return FOLDER / self.file

    @property
    def store(self) -> Path:
        return FOLDER / self.trust

    @property
    def base_path(self) -> Path | None:
        return FOLDER / self.base if self.base else None

    def verdict(self, *, decode: bool) -> Verdict:
        """What is right to say; some failures show only when the content is decoded."""
        if self.expect == "accept" or (self.mode == "decode" and not decode):
            return ACCEPT
        return Verdict("refuse", self.code, self.rule)


def load_vectors() -> list[Vector]:
    index = json.loads((FOLDER / "index.json").read_text("utf-8"))
    return [Vector(**line) for line in index["vectors"]]


def ask_reference(
    data: bytes,
    store: dict[str, Any],
    now: int,
    *,
    decode: bool,
    partial: bool = False,
    base: Path | None = None,
) -> Verdict:
    tensors = load_base(base.read_bytes()) if base else None
    answer = read_seed(data, store, now, decode=decode, partial=partial, base=tensors)
    return Verdict(answer["result"], answer.get("code"), answer.get("rule"))


def ask_library(
    path: Path,
    store: Path,
    now: int,
    *,
    decode: bool,
    partial: bool = False,
    base: Path | None = None,
) -> Verdict:
    tensors = ModelBase(base) if base else None
    try:
        with open_seed(path, store=load_trust_store(store), now=now) as seed:
            verify_seed(seed, decode=decode, partial=partial, base=tensors)
    except SeedError as error:
        return Verdict("refuse", error.code, error.rule)
    return ACCEPT


class Call(NamedTuple):
    """What a call of the program gave."""

    status: int | str | None
    stdout: str
    stderr: str

    @property
    def verdict(self) -> Verdict:
        (line,) = self.stdout.splitlines()
        row = json.loads(line)
        if row["result"] == "verified":
            return ACCEPT
        return Verdict("refuse", row["code"], row["rule"])


def arguments(vector: Vector, *, decode: bool) -> list[str]:
    words = ["verify", str(vector.path), "--trust", str(vector.store), "--now", str(vector.now)]
    words += ["--no-record", "--format", "json"]
    words += ["--decode"] * decode + ["--partial"] * vector.partial
    return words + ["--base", str(vector.base_path)] * (vector.base is not None)


@functools.cache
def _parser() -> Any:
    """Return what parses a call of ``verify``: making it takes longer than reading a vector."""
    return typer.main.get_command(app.make_app(["verify"]))


def call_program(*words: str) -> Call:
    """Run the program inside this process, which is faster than starting one per file."""
    out, err, status = io.StringIO(), io.StringIO(), None
    parser = _parser()
    with (
        patch.object(sys, "argv", ["seedpack", *words]),
        patch.object(app, "make_app", lambda _names: parser),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            app.main()
        except SystemExit as end:
            status = end.code
    return Call(status, out.getvalue(), err.getvalue())
