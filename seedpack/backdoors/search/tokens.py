"""Search for a single word that turns the answers (spec: AUD-BT-1, AUD-BT-4).

    all words ──likely ones──> all texts, twins as well ──> contrast ──> the largest

Source:
    Exhaustive scan: Azizi et al., T-Miner, USENIX Security 2021 (words tried one by one).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

from seedpack.backdoors.search.contrast import ContrastSearch
from seedpack.backdoors.search.likely import LikelyWords, best_in_few

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.base import Key
    from seedpack.backdoors.search.contrast import Contrast, Models
    from seedpack.backdoors.search.probes import Probe

_EXHAUSTIVE: Final = 4000  # words that are all tried
_TWO: Final = 2  # classes, where a pair says nothing new
_MOST_PAIRED: Final = 6  # classes of which all pairs are searched


class TokenScan(ContrastSearch):
    """One word, in front of the text."""

    id: ClassVar[str] = "token-scan"
    in_longer: ClassVar[bool] = True

    def words(self, classifier: TextClassifier, samples: Samples) -> Tensor:
        """Return everything that can be written."""
        del samples
        return classifier.usable.nonzero()[:, 0]

    def keys(self, y: Tensor, nclasses: int) -> list[Key]:
        """Return every target, and every pair of classes where there are three to six.

        With two classes all others are one class.
        """
        shown = [source for source in range(nclasses) if bool((y == source).any())]
        pairs: list[Key] = [(s, t) for s in shown for t in range(nclasses) if s != t]
        is_paired = _TWO < nclasses <= _MOST_PAIRED
        return super().keys(y, nclasses) + (pairs if is_paired else [])

    def chooser(
        self, models: Models, samples: Samples, words: Tensor, seed: int
    ) -> Callable[[Probe], Tensor]:
        """Return what gives the words for some texts: all, or of many words the likely ones."""
        if len(words) > _EXHAUSTIVE:
            return LikelyWords(models, samples, words, seed)
        return lambda probe: best_in_few(models.own, probe, words)

    def search(self, contrast: Contrast, words: Tensor, seed: int) -> tuple[float, Tensor]:
        """Try all words on all texts and on the twins."""
        del seed
        return contrast.best(words[:, None])
