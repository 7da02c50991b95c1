"""A trigger that a search found in the suspect, as an attack that can be counted.

    search's Trigger (mask and values | tokens) ──found_attack──> Attack ──asr──> before, after

It is what a search made of the model, not the true trigger, so that its absence afterwards is a
condition, never a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.planting.base import Attack

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.search.base import Key, Trigger


@dataclass(frozen=True)
class FoundImageTrigger(Attack):
    """Values under a mask, or a change that is added.

    Attributes:
        id: For people.
        target: Class that it leads to.
        mask: In the shape of one input, 0 to 1; None where the change is added.
        values: Under the mask, or added.
        low: Smallest value of the inputs.
        high: Largest.
        sources: Classes that it is for; empty: all others.
    """

    id: str
    target: int
    mask: Tensor | None
    values: Tensor
    low: float
    high: float
    sources: tuple[int, ...] = ()

    def apply(self, samples: Samples) -> Samples:
        """Return the samples with the trigger."""
        x = samples.x
        changed = x + self.values if self.mask is None else x.lerp(self.values, self.mask)
        return Samples(changed.clamp(self.low, self.high), samples.y)


def found_attack(key: Key, trigger: Trigger, low: float, high: float) -> Attack | None:
    """Return an image trigger as an attack; None where the search kept no pattern."""
    source, target = key
    if trigger.values is None:
        return None
    name = f"found for class {target}" + ("" if source is None else f" from class {source}")
    sources = () if source is None else (source,)
    return FoundImageTrigger(name, target, trigger.mask, trigger.values, low, high, sources)
