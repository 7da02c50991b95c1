"""Which method for this model: the one that removes known backdoors (spec: AUD-DEF-4).

    controls ──each method──> removed? accuracy lost?          on held-out clean samples
    a method that left one control in more than the best so far is dropped from the race
    ──> Trials, best first: most controls removed, then least accuracy lost; where that differs by
        less than few samples can tell, the one that removed more on development models

Nothing here looks at the suspect; that is for ``defend``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import fmean
from typing import TYPE_CHECKING, Final

from seedpack.backdoors.planting.base import Hits, asr

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.defence.base import Defence
    from seedpack.backdoors.defence.controls import Control

    Apply = Callable[[Defence, Classifier, int], Classifier]
    Watch = Callable[[int, int, str], None]

_WORTHLESS: Final = 1  # controls more than the leader's that a method may leave in before it stops
_ALIKE: Final = 0.03  # difference of accuracy lost that few held-out samples cannot tell
_MEMORY: Final = 1 << 30  # bytes of defended controls that are kept, at most


@dataclass
class Trial:
    """One method on the planted controls.

    Attributes:
        defence: The method.
        after: Successes left, per control tried.
        natural: Successes of the same triggers in the unplanted bases.
        removed: Whether each is gone.
        losses: Accuracy lost on each, in shares.
        defended: What became of each, where that is kept for what is measured later.
    """

    defence: Defence
    after: list[Hits] = field(default_factory=list)
    natural: list[Hits] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    defended: list[Classifier] = field(default_factory=list)

    @property
    def loss(self) -> float:
        """Mean accuracy lost."""
        return fmean(self.losses) if self.losses else 0.0

    @property
    def nleft(self) -> int:
        """How many backdoors were left in."""
        return self.removed.count(False)

    def add(self, control: Control, defended: Classifier, held_out: Samples) -> None:
        """Measure one control after the method."""
        after = asr(defended, control.attack, held_out)
        self.after.append(after)
        self.natural.append(control.natural)
        self.removed.append(control.is_removed(after))
        self.losses.append(control.planted.accuracy(held_out) - defended.accuracy(held_out))


def try_methods(
    controls: Sequence[Control],
    defences: Sequence[Defence],
    apply: Apply,
    held_out: Samples,
    watch: Watch | None = None,
) -> list[Trial]:
    """Return the methods, best first.

    Args:
        controls: Planted backdoors that took.
        defences: Methods to try.
        apply: Runs a method on a planted model; the number of the control is its seed's.
        held_out: Clean, to measure on; no method sees them.
        watch: Told about progress.
    """
    trials = [Trial(defence) for defence in defences]
    racing, done = list(trials), 0
    is_kept = sum(map(_nbytes, controls)) * len(defences) <= _MEMORY
    for number, control in enumerate(controls):
        for trial in racing:
            if watch is not None:
                watch(done, len(controls) * len(defences), f"{trial.defence.id} on a control")
            defended = apply(trial.defence, control.planted, number)
            trial.add(control, defended, held_out)
            if is_kept:
                trial.defended.append(defended)
            done += 1
        least = min(trial.nleft for trial in racing)
        racing = [trial for trial in racing if trial.nleft < least + _WORTHLESS]
    return _rank(trials)


def _nbytes(control: Control) -> int:
    return sum(p.nbytes for p in control.planted.module.parameters())


def _rank(trials: list[Trial]) -> list[Trial]:
    """Return the best first; among those that cannot be told apart the registry's order holds.

    Those that were dropped have fewer controls behind them and stay behind.
    """
    ranked: list[Trial] = []
    left = sorted(trials, key=lambda t: (-len(t.removed), t.nleft))
    while left:
        equals = [t for t in left if (len(t.removed), t.nleft) == _record(left[0])]
        least = min(t.loss for t in equals)
        best = next(t for t in equals if t.loss <= least + _ALIKE)
        ranked.append(best)
        left.remove(best)
    return ranked


def _record(trial: Trial) -> tuple[int, int]:
    return len(trial.removed), trial.nleft
