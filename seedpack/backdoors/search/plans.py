"""Which samples each key's trigger is tried on, all keys as one batch.

labels ──plan_universal──> keys (None, target): samples of every other class
       ──plan_targets────> the same, fewer samples of each, targets as often as they are given
       ──plan_pairs──────> keys (source, target): samples of the source
Plan.rows, Plan.key: one entry per sample tried; all searches are one loop over that batch
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.search.base import Key

_MOST_UNIVERSAL: Final = 60  # samples per target
_MOST_PAIRED: Final = 20  # samples per source
_MOST_ROWS: Final = 2000  # samples at once, which bounds time and memory
_FEWEST: Final = 2  # samples of a source; of one, every trigger turns all


@dataclass(frozen=True)
class Plan:
    """The batch of a search.

    Attributes:
        keys: k of them.
        rows: (m,) places in the samples.
        key: (m,) places in ``keys``.
        target: (m,) class that the sample is to be turned to.
        counts: (k,) float: samples of each key.
    """

    keys: tuple[Key, ...]
    rows: Tensor
    key: Tensor
    target: Tensor
    counts: Tensor

    def mean(self, values: Tensor) -> Tensor:
        """Return the mean of each key, (k,) of (m,)."""
        return values.new_zeros(len(self.keys)).index_add(0, self.key, values) / self.counts


def plan_universal(y: Tensor, nclasses: int) -> Plan:
    """Return a plan with a key for each class as the target.

    Raises:
        TrainingError: TRN-8, fewer than two classes are shown.
    """
    _check(y)
    most = max(min(_MOST_UNIVERSAL, _MOST_ROWS // nclasses), _FEWEST)
    victims: dict[Key, Tensor] = {
        (None, t): _spread(torch.nonzero(y != t)[:, 0], most) for t in range(nclasses)
    }
    return _join(list(victims), list(victims.values()))


def plan_pairs(y: Tensor, nclasses: int) -> Plan:
    """Return a plan with a key for each source that has samples, and each target.

    Raises:
        TrainingError: TRN-8, fewer than two classes are shown, or none of them twice.
    """
    _check(y)
    sources = [s for s in range(nclasses) if int((y == s).sum()) >= _FEWEST]
    if not sources:
        raise TrainingError("no class has two samples", rule="TRN-8", where="samples")
    npairs = len(sources) * (nclasses - 1)
    most = max(min(_MOST_PAIRED, _MOST_ROWS // npairs), _FEWEST)
    chosen = {s: torch.nonzero(y == s)[:most, 0] for s in sources}
    pairs = [(s, t) for s in sources for t in range(nclasses) if t != s]
    return _join(pairs, [chosen[s] for s, _ in pairs])


def plan_targets(y: Tensor, targets: Sequence[int], each: int) -> Plan:
    """Return a plan with a key for each of the targets, which may be given more than once.

    Args:
        y: (n,) classes of the samples.
        targets: At least one.
        each: Samples per key, at most.

    Raises:
        TrainingError: TRN-8, fewer than two classes are shown.
    """
    _check(y)
    victims = {t: _spread(torch.nonzero(y != t)[:, 0], each) for t in set(targets)}
    return _join([(None, t) for t in targets], [victims[t] for t in targets])


def _check(y: Tensor) -> None:
    if len(y.unique()) < 2:  # noqa: PLR2004 -- from one class to another
        raise TrainingError(
            "fewer than two classes",
            rule="TRN-8",
            where="samples",
            hint="a trigger turns samples of one class to another: give samples of both",
        )


def _spread(places: Tensor, most: int) -> Tensor:
    """Return at most ``most`` of the places, evenly from first to last."""
    if len(places) <= most:
        return places
    return places[torch.linspace(0, len(places) - 1, most, device=places.device).round().long()]


def _join(keys: Sequence[Key], victims: Sequence[Tensor]) -> Plan:
    rows = torch.cat(list(victims))
    counts = torch.tensor([len(v) for v in victims], device=rows.device)
    key = torch.arange(len(victims), device=rows.device).repeat_interleave(counts)
    targets = torch.tensor([target for _, target in keys], device=rows.device)
    return Plan(tuple(keys), rows, key, targets[key], counts.float())
