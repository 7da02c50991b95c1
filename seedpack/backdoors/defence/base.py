"""What every defence takes and yields (spec: AUD-DEF-2).

    Classifier (left alone), clean Samples ──Defence.run──> a Classifier of its own, tuned

No defence is told a trigger, a target or whether there is a backdoor at all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, Final

from seedpack.backdoors.classifiers import TextClassifier
from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples

MIN_SAMPLES: Final = 20  # AUD-DEF-1: with fewer, neither a method nor its guard says anything
IMAGES: Final = "images"
TEXTS: Final = "texts"


class Defence(ABC):
    """One way to take a backdoor out.

    Attributes:
        id: Names it in reports.
        forms: Of the inputs that it works for: "images" (vectors, too), "texts".
    """

    id: ClassVar[str]
    forms: ClassVar[frozenset[str]] = frozenset({IMAGES, TEXTS})

    @abstractmethod
    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a defended copy; the same arguments give the same copy.

        Args:
            classifier: Suspected; is not changed.
            samples: Clean and rightly labelled.
            seed: Of everything random.
            reference: A model of the same architecture that is known to be clean, where there
                is one: the base that the suspect was tuned from.
        """


def form_of(classifier: Classifier) -> str:
    """Return what the classifier reads."""
    return TEXTS if isinstance(classifier, TextClassifier) else IMAGES


def require_enough(samples: Samples) -> None:
    """Refuse what no defence can learn from.

    Raises:
        TrainingError: AUD-DEF-1, too few clean samples or only one class among them.
    """
    if len(samples) >= MIN_SAMPLES and len(samples.y.unique()) > 1:
        return
    raise TrainingError(
        f"{len(samples)} clean samples of {len(samples.y.unique())} classes",
        rule="AUD-DEF-1",
        where="defence",
        hint=f"give {MIN_SAMPLES} or more, of two classes at least; 200 are much better",
    )
