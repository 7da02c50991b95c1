"""What a tuning was asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_DEFAULT_SEEDS = 1


@dataclass(frozen=True)
class TunePlan:
    """How to tune, apart from model and data.

    Attributes:
        samples: How many training examples are used, drawn class by class; None: all.
        epochs: None: by the number of samples.
        seed: The first; it decides samples, initialisation and order.
        nseeds: How often the whole is repeated, with seeds one after another.
        control: Tune a randomly initialised model of the same architecture as well.
        original: The model that the seed was made from, to compare with; or None.
        robust: Expect wrong labels.
        checkpoints: A folder that takes a file per arm and seed while they are tuned; what is there
            is gone on from, and all of them are removed at the end.
        factory: ``module:function`` that builds the module, for weights without an architecture.
    """

    samples: int | None = None
    epochs: int | None = None
    seed: int = 0
    nseeds: int = _DEFAULT_SEEDS
    control: bool = True
    original: Path | None = None
    robust: bool = False
    checkpoints: Path | None = None
    factory: str | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """All seeds."""
        return tuple(range(self.seed, self.seed + self.nseeds))
