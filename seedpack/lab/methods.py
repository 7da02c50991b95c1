"""Searches and defences by name, as the benchmark calls them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.search.base import ANY
from seedpack.backdoors.search.registry import SEARCHES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search

    # A suspect (left alone), clean samples, clean twins -> a defended copy.
    Defend = Callable[[Classifier, Samples, Sequence[Classifier]], Classifier]

_T = TypeVar("_T")
_TUNING: Final = Course(epochs=20, rate=1e-3)


class Method(NamedTuple):
    """A defence and the forms of inputs that it is for."""

    defend: Defend
    forms: frozenset[str]


def _fine_tune(classifier: Classifier, samples: Samples, twins: Sequence[Classifier]) -> Classifier:
    """Tune on the clean samples: the control arm, which removes next to nothing."""
    del twins
    tuned = classifier.clone()
    fit(tuned, samples, _TUNING, 0)
    return tuned


_SEARCHES: Final[dict[str, Search]] = {kind.id: kind() for kind in SEARCHES}
_DEFENCES: Final = {"fine-tune": Method(_fine_tune, frozenset({"images", "texts"}))}


def searches_for(form: str) -> list[str]:
    """Return the names of the searches of images or texts."""
    return [name for name, search in _SEARCHES.items() if search.form in {form, ANY}]


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
