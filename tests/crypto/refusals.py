"""One way to say exactly which refusal is meant."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest

from seedpack.errors import SeedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def refuses(
    kind: type[SeedError], rule: str, **attributes: str
) -> Iterator[pytest.ExceptionInfo[SeedError]]:
    """Expect an error of exactly this class, with this rule and these attributes."""
    with pytest.raises(SeedError) as caught:
        yield caught
    error = caught.value
    told = {name: getattr(error, name) for name in attributes}
    assert (type(error), error.rule, told) == (kind, rule, attributes)
