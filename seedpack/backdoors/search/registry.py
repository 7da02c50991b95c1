"""All searches: one line each here, by the form of the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.backdoors.search.base import ANY
from seedpack.backdoors.search.images import (
    AddedSearch,
    MaskSearch,
    PairAddedSearch,
    PairApartSearch,
    PairMaskSearch,
)
from seedpack.backdoors.search.phrases import PhraseSearch
from seedpack.backdoors.search.recall import RecallSearch
from seedpack.backdoors.search.soft_tokens import SoftPhrase, SoftTokens
from seedpack.backdoors.search.tokens import TokenScan
from seedpack.backdoors.search.windows import WindowSearch

if TYPE_CHECKING:
    from seedpack.backdoors.search.base import Search

SEARCHES: Final[tuple[type[Search], ...]] = (
    MaskSearch,
    AddedSearch,
    WindowSearch,
    PairMaskSearch,
    PairAddedSearch,
    PairApartSearch,
    RecallSearch,
    TokenScan,
    PhraseSearch,
    SoftTokens,
    SoftPhrase,
)


def searches_of(form: str, *, quick: bool = False, thorough: bool = False) -> tuple[Search, ...]:
    """Return the searches of ``images`` or ``texts``.

    Args:
        form: Of the inputs.
        quick: Without those that take as long as all others together.
        thorough: Also those that take long and find little more.
    """
    fitting = [search for search in SEARCHES if search.form in {form, ANY}]
    fitting = [search for search in fitting if search.is_quick or not quick]
    return tuple(search() for search in fitting if thorough or not search.is_thorough)
