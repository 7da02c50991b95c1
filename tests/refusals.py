"""Refusals compared whole: class, rule, place, sentence and way on."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from seedpack.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refused(
    kind: type[SeedError], rule: str, where: str, message: str, hint: str = ""
) -> Iterator[pytest.ExceptionInfo[SeedError]]:
    """Expect exactly this refusal, not one of a subclass, rule or place nearby."""
    with pytest.raises(SeedError) as caught:
        yield caught
    error = caught.value
    seen = (type(error), error.rule, error.where, error.message, error.hint)
    assert seen == (kind, rule, where, message, hint)


@contextlib.contextmanager
def refused_by(kind: type[SeedError], rule: str) -> Iterator[pytest.ExceptionInfo[SeedError]]:
    """Expect a refusal of this class and rule, wherever it is."""
    with pytest.raises(SeedError) as caught:
        yield caught
    assert (type(caught.value), caught.value.rule) == (kind, rule)
