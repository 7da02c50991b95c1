"""What a trigger itself does to a model, apart from the errors that the model makes anyway.

    victims ──apply──> triggered ──classifier──> hits: how many got the target
       └────────────────────────── classifier──> plain: how many do so without the trigger
    (hits - plain) / victims = effect

A success rate counts both. Of a text classifier that errs on a quarter of the victims, a quarter
"succeeds" with no trigger at all. Words mean something to clean models, too: an effect says what
is left of a backdoor beside the effects of the same trigger in clean models only.

Source:
    The risk difference of one group with and without the exposure (Rothman, Greenland and Lash,
    Modern Epidemiology, 3rd edition, 2008, chapter 4).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from seedpack.backdoors.planting.base import Hits, asr

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.planting.base import Attack


class Effect(msgspec.Struct, frozen=True):
    """How many victims get the target, of how many.

    Attributes:
        hits: With the trigger.
        plain: Without it.
        n: Victims.
    """

    hits: int
    plain: int
    n: int

    @property
    def rate(self) -> float:
        """The success rate; 0 where there is no victim."""
        return Hits(self.hits, self.n).rate

    @property
    def value(self) -> float:
        """The trigger's effect, from -1 to 1; 0 where there is no victim."""
        return (self.hits - self.plain) / self.n if self.n else 0.0


def effect_of(classifier: Classifier, attack: Attack, samples: Samples) -> Effect:
    """Count the victims among ``samples`` that get the target with the trigger, and without."""
    triggered = asr(classifier, attack, samples)
    if not triggered.n:
        return Effect(0, 0, 0)
    victims = samples.take(attack.victims(samples))
    plain = int((classifier.predict(victims) == attack.relabelled(victims).y).sum())
    return Effect(triggered.hits, plain, triggered.n)
