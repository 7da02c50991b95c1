"""What every search for a hidden trigger takes and yields.

    Classifier, clean Samples ──level──> on its twins' scale ──Search.look──> SearchResult: one
        statistic per key, with its trigger
    SearchResults of clean twins ──Calibration.fit──> judge(SearchResult) ──> Verdict

A key says which answers a trigger would turn: from one source class, or from all, to a target.
The statistic is larger where a trigger is more suspicious; alone it means nothing, as clean models
have natural triggers, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from seedpack.backdoors.search.levels import level

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch

    from seedpack.backdoors.classifiers import Classifier, Samples

ANY: Final = "any"  # form of searches that look at answers only

Key = tuple[int | None, int]  # source class (None: every other class), target class


@dataclass(frozen=True)
class Trigger:
    """What a search found for one key: the smallest change that turns the answers.

    Attributes:
        share: Of the samples tried, how many the trigger turns to the target.
        n: How many samples that share was counted on.
        norm: Size of the change, in the unit of the search.
        mask: (c, h, w) or the shape of one input, 0 to 1; None where the change is added.
        values: The pattern under the mask, or the change that is added; None for texts.
        tokens: The words of a text trigger, in their order.
    """

    share: float
    n: int
    norm: float
    mask: torch.Tensor | None = None
    values: torch.Tensor | None = None
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True)
class SearchResult:
    """What one search found in one model.

    Attributes:
        search: Id of the search.
        statistics: By key; higher is more suspicious.
        triggers: By key; may lack those that are not worth keeping.
        centred: Whether the model's own median over keys is to be taken off before twins are
            compared: right where a backdoor changes few of many keys.
        floor: Smallest difference of the statistic that means anything.
        latitude: By how much other training alone moves all of them, about; 0: is not judged.
        limit: z from which on it is suspicious; chosen on development models.
    """

    search: str
    statistics: Mapping[Key, float]
    triggers: Mapping[Key, Trigger] = field(default_factory=dict)
    centred: bool = True
    floor: float = 0.0
    latitude: float = 0.0
    limit: float = field(kw_only=True)


class Search(ABC):
    """One way of looking for triggers.

    Attributes:
        id: Names it in reports and calibrations.
        form: Of the inputs it can search: "images" or "texts", or ``ANY``.
        unit: In which norms of its triggers are given.
        is_paired: Whether each source is searched by itself.
        is_quick: Whether audits that have to be over soon run it, too.
        is_thorough: Whether it is left to audits that may take long.
        nwords: Of the triggers it looks for; 0: those have no words.
    """

    id: ClassVar[str]
    form: ClassVar[str]
    unit: ClassVar[str]
    is_paired: ClassVar[bool] = False
    is_quick: ClassVar[bool] = True
    is_thorough: ClassVar[bool] = False
    nwords: ClassVar[int] = 0

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Search one model, its scores taken to the scale of its twins'; arguments as ``look``.

        Raises:
            TrainingError: TRN-8, the samples show fewer than two classes.
        """
        own = level(classifier, contrast, samples)
        return self.look(own, samples, contrast=contrast, seed=seed)

    @abstractmethod
    def look(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Search one model as it is; the same arguments give the same result.

        Args:
            classifier: Is not changed.
            samples: Clean, of at least two classes.
            contrast: Clean twins that a trigger should leave alone; a search may do without.
            seed: Of everything random.

        Raises:
            TrainingError: TRN-8, the samples show fewer than two classes.
        """
