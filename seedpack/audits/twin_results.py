"""What searches found in clean twins, kept beside the arms for the next audit (spec: AUD-3, AUD-9).

    twins (one searched, the others left alone), clean samples, searches, seed, edition of the code
      ──digest of all contents──> arms/searches-KEY.json ──there, and complete?──> the same results
                                                         ──else──> searched, written whole

Twins follow from data and recipe, not from the audited model: the next release is compared with
the same ones.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

import msgspec

from seedpack.audits.measured import digest_tensors, keep_measured
from seedpack.audits.stamps import stamp
from seedpack.backdoors.edition import code_digest
from seedpack.backdoors.search.statistics import Statistics

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.audits.arms import Arms
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search, SearchResult

_T = TypeVar("_T")


class TwinResults:
    """Results of some searches on some samples, by twin.

    Attributes:
        ids: Of the searches.
    """

    def __init__(
        self, arms: Arms, start: str, searches: Sequence[Search], samples: Samples, seed: int
    ) -> None:
        """Keep them beside ``arms``; what they depend on beside the twins is told here.

        Args:
            arms: Of the data that twins learn from.
            start: Model that twins are tuned from; empty: random weights.
            searches: All that are run.
            samples: That they see.
            seed: Of the searches.
        """
        self._folder, self.ids = arms.folder, [search.id for search in searches]
        told = msgspec.json.encode([code_digest(), stamp(start), self.ids, seed])
        tensors = [samples.x, samples.y, *([] if samples.mask is None else [samples.mask])]
        self._digest = sha256(arms.digest(told).encode() + digest_tensors(tensors))

    def __call__(
        self, twins: Sequence[Classifier], anew: Callable[[], list[SearchResult]]
    ) -> list[SearchResult]:
        """Return the results of the first twin, without triggers.

        Args:
            twins: The one that is searched, then those that it is compared with.
            anew: Searches it.
        """
        kept = self.keep(
            "searches",
            twins,
            list[Statistics],
            lambda found: [one.search for one in found] == self.ids,
            lambda: [Statistics.of(result) for result in anew()],
        )
        return [one.result() for one in kept]

    def keep(
        self,
        name: str,
        models: Sequence[Classifier],
        kind: type[_T],
        fits: Callable[[_T], bool],
        measure: Callable[[], _T],
    ) -> _T:
        """Return what is kept of some models under ``name``; the rest as ``keep_measured``."""
        digest = self._digest.copy()
        for model in models:
            digest.update(digest_tensors(model.module.state_dict().values()))
        path = self._folder / f"{name}-{digest.hexdigest()[:32]}.json"
        return keep_measured(path, kind, fits, measure)
