"""What a defence says, as data; the same after a round trip through JSON (spec: AUD-DEF-3).

Rate       hits among n, with its interval
MethodReport    one method on the planted controls
FoundReport     what a search had found in the suspect, before and after
ComebackReport  how soon planted controls come back, beside a clean model
UntaughtReport  what the same samples teach without the suspect
DefenceReport   all of it, with the claim and why it is or is not made
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from seedpack.training.statistics import wilson_interval

if TYPE_CHECKING:
    from seedpack.backdoors.planting.base import Hits

Bounds = tuple[float, float]


class _Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Immutable, strict on reading."""


class Rate(_Record, frozen=True, kw_only=True):
    """A share.

    Attributes:
        hits: How many.
        n: Of how many; 0: nothing was counted.
        interval: 95 %, by Wilson; None where nothing was counted.
    """

    hits: int
    n: int
    interval: Bounds | None = None


class MethodReport(_Record, frozen=True, kw_only=True):
    """One method on the planted controls.

    Attributes:
        method: Its id.
        removed: Controls that it removed.
        tried: Controls that it was tried on; fewer than there are where it was dropped.
        after: Successes left, over all of these.
        natural: Successes of the same triggers in the unplanted bases.
        accuracy_lost: Mean over the controls, on held-out samples; None if it was not tried.
    """

    method: str
    removed: int
    tried: int
    after: Rate
    natural: Rate
    accuracy_lost: float | None = None


class FoundReport(_Record, frozen=True, kw_only=True):
    """A trigger that was found in the suspect.

    Attributes:
        name: For people.
        before: How often it turned the suspect's answers to its target.
        after: The same after the defence.
        removed: Whether it is gone.
    """

    name: str
    before: Rate
    after: Rate
    removed: bool


class ComebackReport(_Record, frozen=True, kw_only=True):
    """Reactivation of one planted control, after the chosen method.

    Attributes:
        attack: Kind of the control.
        steps: Of tuning on a handful of triggered samples.
        defended: Mean success rate after each, over the draws.
        twin: The same of the model that never had the backdoor.
        excess: Mean rise of ``defended`` above that of ``twin``.
        no_sooner: Whether that is within the tolerance.
    """

    attack: str
    steps: tuple[int, ...]
    defended: tuple[float, ...]
    twin: tuple[float, ...]
    excess: float
    no_sooner: bool


class UntaughtReport(_Record, frozen=True, kw_only=True):
    """The control arm: what the same samples teach, without the suspect (AUD-DEF-8).

    Attributes:
        start: ``reference``, or ``random-init``: random weights in the suspect's shape.
        accuracy: On the samples that no method saw.
        gained: Accuracy of the defended model minus that.
        gained_interval: 95 %, paired.
    """

    start: str
    accuracy: Rate
    gained: float
    gained_interval: Bounds


class DefenceReport(_Record, frozen=True, kw_only=True):
    """Everything about one defended model.

    Attributes:
        removed_on_controls: Whether the chosen method removed every planted control.
        controls_removed: k ...
        controls_tried: ... of n whose backdoor took.
        controls_planted: Including those that did not take.
        claim: What may be said, in one sentence.
        chosen: Id of the method applied.
        samples: Clean samples that it learnt from.
        chance: Accuracy of uniformly random answers.
        accuracy_before: Of the suspect, on samples that no method saw.
        accuracy_after: Of the defended model, on the same.
        accuracy_lost: Before minus after.
        accuracy_lost_interval: 95 %, paired.
        untaught: The control arm of ``accuracy_after``.
        guard: Accuracy that the defence may cost.
        guard_kept: Whether the loss on held-out samples stayed within it, and two standard errors.
        methods: All that were tried, best first; plain fine-tuning, the control, is among them.
        found: Triggers that a search had found in the suspect.
        comebacks: The reactivation test.
        seed: Of everything random.
        seconds: It took.
    """

    removed_on_controls: bool
    controls_removed: int
    controls_tried: int
    controls_planted: int
    claim: str
    chosen: str
    samples: int
    chance: float
    accuracy_before: Rate
    accuracy_after: Rate
    accuracy_lost: float
    accuracy_lost_interval: Bounds
    untaught: UntaughtReport
    guard: float
    guard_kept: bool
    methods: tuple[MethodReport, ...]
    found: tuple[FoundReport, ...] = ()
    comebacks: tuple[ComebackReport, ...] = ()
    seed: int = 0
    seconds: float = 0.0


def rate_of(hits: int, n: int) -> Rate:
    """Return the share with its interval."""
    if not n:
        return Rate(hits=0, n=0)
    low, high = wilson_interval(hits, n)
    return Rate(hits=hits, n=n, interval=(low, high))


def pooled(hits: list[Hits]) -> Rate:
    """Return the share over several counts."""
    return rate_of(sum(h.hits for h in hits), sum(h.n for h in hits))
