"""Searches and defences by name, as the benchmark calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from seedpack.backdoors.defence.defending import Defending, defend_classifier
from seedpack.backdoors.defence.registry import CONTROL, DEFENCES, UNTAUGHT
from seedpack.backdoors.search.base import ANY
from seedpack.backdoors.search.registry import SEARCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.defence.base import Defence
    from seedpack.backdoors.search.base import Search

    # A suspect (left alone), clean samples, clean twins, a clean start -> a defended copy.
    Defend = Callable[[Classifier, Samples, Sequence[Classifier], Classifier | None], Classifier]

_T = TypeVar("_T")


class Method(NamedTuple):
    """A defence and the forms of inputs that it is for."""

    defend: Defend
    forms: frozenset[str]


def _alone(defence: Defence) -> Method:
    """Return one method without choice."""

    def defend(
        classifier: Classifier,
        samples: Samples,
        twins: Sequence[Classifier],
        reference: Classifier | None,
    ) -> Classifier:
        del twins
        return defence.run(classifier, samples, reference=reference)

    return Method(defend, defence.forms)


def _choose(
    classifier: Classifier,
    samples: Samples,
    twins: Sequence[Classifier],
    reference: Classifier | None,
) -> Classifier:
    """Choose a method by what it removes from controls planted in the twins."""
    # What is measured with here decides nothing; the benchmark measures on other samples.
    options = Defending(twins=tuple(twins), reference=reference, draws=0)
    return defend_classifier(classifier, samples, samples, options)[0]


_SEARCHES: Final[dict[str, Search]] = {kind.id: kind() for kind in SEARCHES}
_DEFENCES: Final = {
    **{defence.id: _alone(defence) for defence in (CONTROL, UNTAUGHT, *DEFENCES.values())},
    "portfolio": Method(_choose, CONTROL.forms),
}


def searches_for(form: str) -> list[str]:
    """Return the names of the searches of images or texts."""
    return [name for name, search in _SEARCHES.items() if search.form in {form, ANY}]


def usual_searches() -> list[str]:
    """Return the names of the searches that are run where none is asked for by name."""
    return [name for name, search in _SEARCHES.items() if not search.is_thorough]


def defences_for(form: str) -> list[str]:
    """Return the names of the defences for images or texts."""
    return [name for name, method in _DEFENCES.items() if form in method.forms]


def get_search(name: str) -> Search:
    """Return a search.

    Raises:
        ValueError: There is none of that name.
    """
    return _get(_SEARCHES, name, "detector")


def get_defence(name: str) -> Defend:
    """Return a defence.

    Raises:
        ValueError: There is none of that name.
    """
    return _get(_DEFENCES, name, "defence").defend


def _get(methods: Mapping[str, _T], name: str, what: str) -> _T:
    if name not in methods:
        raise ValueError(f"no {what} {name[:40]!a}; one of {', '.join(methods)}")
    return methods[name]
