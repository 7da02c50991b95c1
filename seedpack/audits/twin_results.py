"""What searches found in clean twins, kept beside the arms for the next audit (spec: AUD-3, AUD-9).

    twins (one searched, the others left alone), clean samples, searches, seed, edition of the code
      ──digest of all contents──> arms/searches-KEY.json ──there, and complete?──> the same results
                                                         ──else──> searched, written whole

Twins follow from data and recipe, not from the audited model: the next release is compared with
the same ones.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.stamps import stamp
from seedpack.backdoors.edition import code_digest
from seedpack.backdoors.search.statistics import Statistics
from seedpack.errors import SeedError
from seedpack.files import atomic_output, read_small_file
from seedpack.limits import MIB

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from torch import Tensor

    from seedpack.audits.arms import Arms
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Search, SearchResult

_MAX_NBYTES: Final = 64 * MIB  # ten searches of a thousand classes by pairs would fill it


class TwinResults:
    """Results of some searches on some samples, by twin."""

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
        self._folder, self._ids = arms.folder, [search.id for search in searches]
        told = msgspec.json.encode([code_digest(), stamp(start), self._ids, seed])
        tensors = [samples.x, samples.y, *([] if samples.mask is None else [samples.mask])]
        self._digest = sha256(arms.digest(told).encode() + _digest_of(tensors))

    def __call__(
        self, twins: Sequence[Classifier], anew: Callable[[], list[SearchResult]]
    ) -> list[SearchResult]:
        """Return the results of the first twin, without triggers.

        Args:
            twins: The one that is searched, then those that it is compared with.
            anew: Searches it.
        """
        digest = self._digest.copy()
        for twin in twins:
            digest.update(_digest_of(twin.module.state_dict().values()))
        path = self._folder / f"searches-{digest.hexdigest()[:32]}.json"
        kept = self._load(path)
        if kept is None:
            kept = [Statistics.of(result) for result in anew()]
            self._folder.mkdir(parents=True, exist_ok=True)
            with atomic_output(path, overwrite=True) as file:
                file.write(msgspec.json.encode(kept))
        return [one.result() for one in kept]

    def _load(self, path: Path) -> list[Statistics] | None:
        """Return what is kept; None where that is nothing, or not of these searches (AUD-9)."""
        try:
            data = read_small_file(path, limit=_MAX_NBYTES, rule="AUD-9")
            kept = msgspec.json.decode(data, type=list[Statistics])
        except (SeedError, OSError, msgspec.DecodeError):
            return None
        return kept if [one.search for one in kept] == self._ids else None


def _digest_of(tensors: Iterable[Tensor]) -> bytes:
    import torch  # noqa: PLC0415 -- loaded by whoever made the tensors

    digest = sha256()
    for tensor in tensors:
        values = tensor.detach().cpu().contiguous()
        digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
        digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.digest()
