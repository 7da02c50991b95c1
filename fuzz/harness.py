"""What every target shares: one input, one property, one budget of memory.

    bytes --check_input--> the target's property --SeedError?--> check_refusal
                                                 --anything else--> a finding

Nothing here needs atheris, so that pytest replays what the fuzzer once found.
"""

from __future__ import annotations

import atexit
import contextlib
import re
import shutil
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from seedpack.codecs import CODEC_IDS
from seedpack.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random
    from types import ModuleType

FOLDER: Final = Path(__file__).resolve().parent
CORPUS: Final = FOLDER / "corpus"
_RULE: Final = re.compile(r"\A[A-Z]{3}(-[A-Z0-9]{1,4})?-[0-9]{1,2}\Z")  # MAN-2, COD-RAW-1
_TMPFS: Final = Path("/dev/shm")  # noqa: S108 -- where a file costs no disk; only the parent


class Target(NamedTuple):
    """One entrance of the product that bytes from elsewhere come through."""

    check: Callable[[bytes], None]  # returns, raises SeedError, or has found a defect
    starts: Callable[[], dict[str, bytes]]  # inputs worth to begin with, by name
    mutate: Callable[[bytes, Random], bytes] | None = None  # knows the input's structure
    memory_mib: int = 64  # address space above what the imports take
    max_input_nbytes: int = 4096


def target_names() -> list[str]:
    """Return the names of all targets: one module each."""
    return sorted(path.stem for path in (FOLDER / "targets").glob("[a-z]*.py"))


def load_target(name: str) -> Target:
    """Import one target."""
    return cast("Target", import_module(f"fuzz.targets.{name}").TARGET)


def check_input(target: Target, data: bytes) -> None:
    """Give one input to a target.

    Raises:
        Exception: Whatever is neither acceptance nor a refusal that keeps its form.
    """
    try:
        target.check(data)
    except SeedError as refusal:
        check_refusal(refusal)


def check_refusal(refusal: SeedError) -> None:
    """Demand of a refusal what users and scripts rely on, with text from the file or without."""
    assert _RULE.match(refusal.rule), refusal.rule
    for text in (refusal.message, refusal.where, refusal.hint):
        assert text.isprintable(), f"text from the input reaches the terminal: {text!a}"
    assert refusal.message, refusal.rule
    assert len(str(refusal)) < 1024, "a refusal is one sentence"  # noqa: PLR2004


@cache
def shared_codecs() -> frozenset[str]:
    """Return the codecs that both readers know."""
    return CODEC_IDS & set(reference().CODECS)


def demand(holds: object, message: str) -> None:
    """Report a finding unless ``holds``."""
    if not holds:
        raise AssertionError(message)


@contextlib.contextmanager
def same_verdict(independent: Callable[[], object], *, beyond: str = "") -> Iterator[None]:
    """Demand that the independent reader accepts what the block does not refuse, and only that.

    Args:
        independent: Gives the same input to the independent reader.
        beyond: A rule that it applies here already, and the product later.
    """
    refusal: SeedError | None = None
    try:
        yield
    except SeedError as error:
        refusal = error
    try:
        independent()
    except reference().RefusedError as error:
        ahead = error.args[0] == beyond
        demand(refusal or ahead, f"only the independent reader refuses, by {error}")
    else:
        demand(refusal is None, f"only the product refuses: {refusal}")
    if refusal is not None:
        raise refusal


@cache
def scratch_folder() -> Path:
    """Return a folder for the files of this process, in memory where that is possible."""
    folder = tempfile.mkdtemp(prefix="seedpack-fuzz-", dir=_TMPFS if _TMPFS.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def reference() -> ModuleType:
    """Return the independent reader, which shares no code with the product."""
    return import_module("spec.reference.read_seed")
