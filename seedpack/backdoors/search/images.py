"""The searches for triggers of images and arrays.

    mask            one trigger for all classes, patch-like:   |mask|_1, clean twins left alone
    added           one for all, faint and everywhere:         L2 norm, clean twins left alone
    pair-mask       one per (source, target), patch-like:      |mask|_1
    pair-apart      one per (source, target), patch-like:      |mask|_1, clean twins left alone
    pair-added      one per (source, target), faint:           norm off the data's own directions

A statistic is minus the logarithm of the smallest norm found: a trigger half as large is as much
more suspicious whatever the unit.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar, Final

import torch

from seedpack.backdoors.search.base import Search, SearchResult, Trigger
from seedpack.backdoors.search.inversion import Goal, find_added, find_masked
from seedpack.backdoors.search.plans import plan_pairs, plan_universal
from seedpack.backdoors.search.trials import Trial, at_rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.inversion import Found
    from seedpack.backdoors.search.plans import Plan

_FLOOR: Final = 0.03  # of a logarithm of a norm: 3 % are the optimiser's own noise
_USUAL_PAIRS: Final = 90  # beyond, steps are cut in proportion
_LEAST_STEPS: Final = 15
_RIDGE: Final = 0.1  # of the mean variance, added to the covariance
_MOST_NUMBERS: Final = 1024  # in an input: a basis of more would cost more than the search


class ImageSearch(Search):
    """A search by inversion.

    Attributes:
        share: Of the samples that the trigger has to turn.
        steps: Of optimisation.
        uses_contrast: Whether twins are to be left alone.
        weight: Of the twins in the loss.
        limit: Of results.
        latitude: Of results: factor by which other training makes all triggers smaller, about, as
            its logarithm; measured on perceptrons trained on fewer images, with noise or patches
            added to them, for longer, and so on.
    """

    form = "images"
    limit: ClassVar[float]
    latitude: ClassVar[float] = 0.0
    share: ClassVar[float]
    steps: ClassVar[int]
    uses_contrast: ClassVar[bool] = False
    weight: ClassVar[float] = 1.0

    def look(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Search one model."""
        twins = list(contrast) if self.uses_contrast else []
        draw = plan_pairs if self.is_paired else plan_universal
        plan = draw(samples.y, classifier.nclasses)
        goal = Goal(
            share=self.share,
            steps=max(self.steps * _USUAL_PAIRS // max(len(plan.keys), _USUAL_PAIRS), _LEAST_STEPS),
            low=float(getattr(classifier, "low", 0.0)),
            high=float(getattr(classifier, "high", 1.0)),
            seed=seed,
        )
        with at_rest([classifier, *twins]):
            found = self.find(Trial(classifier, twins, plan, self.weight), samples.x, goal)
        return self._result(plan, found)

    def find(self, trial: Trial, x: Tensor, goal: Goal) -> Found:
        """Return one trigger per key.

        Shapes:
            x: (n, ...), all samples.
        """
        raise NotImplementedError

    def _result(self, plan: Plan, found: Found) -> SearchResult:
        triggers = {
            key: Trigger(
                share=float(found.share[i]),
                n=int(plan.counts[i]),
                norm=float(found.norm[i]),
                mask=None if found.mask is None else found.mask[i],
                values=found.values[i],
            )
            for i, key in enumerate(plan.keys)
        }
        statistics = {key: -math.log(trigger.norm) for key, trigger in triggers.items()}
        return SearchResult(
            self.id, statistics, triggers, floor=_FLOOR, latitude=self.latitude, limit=self.limit
        )


class MaskSearch(ImageSearch):
    """One patch for all other classes."""

    id = "mask"
    unit = "pixels covered"
    limit = 3.2
    latitude = 0.3
    share = 0.8
    steps = 100
    uses_contrast = True

    def find(self, trial: Trial, x: Tensor, goal: Goal) -> Found:
        """Return mask and pattern of each key."""
        return find_masked(trial, x[trial.plan.rows], goal)


class AddedSearch(ImageSearch):
    """One faint change for all other classes."""

    id = "added"
    unit = "L2 norm"
    limit = 3.2
    latitude = 0.2
    share = 0.8
    steps = 60
    uses_contrast = True
    weight = 3.0

    def find(self, trial: Trial, x: Tensor, goal: Goal) -> Found:
        """Return the change of each key."""
        return find_added(trial, x[trial.plan.rows], goal)


class PairMaskSearch(MaskSearch):
    """One patch for each pair of source and target."""

    id = "pair-mask"
    limit = 4.8
    latitude = 0.12
    share = 0.9
    steps = 50
    uses_contrast = False
    is_paired = True


class PairApartSearch(MaskSearch):
    """One patch for each pair that leaves clean twins alone.

    With few victims clean models have such patches, too, by chance; so its own limit is high, and
    it counts mostly together with the other searches by pairs.
    """

    id = "pair-apart"
    limit = 8.0
    latitude = 0.0
    share = 0.9
    # No more: a planted patch is found at once, a way past the twins only later, and with more
    # steps the two come closer.
    steps = 50
    weight = 3.0
    is_paired = True


class PairAddedSearch(ImageSearch):
    """One change for each pair, dear along the directions in which clean samples differ."""

    id = "pair-added"
    unit = "L2 norm off the data's directions"
    limit = 4.3
    latitude = 0.12
    share = 0.9
    steps = 60
    is_paired = True

    def find(self, trial: Trial, x: Tensor, goal: Goal) -> Found:
        """Return the change of each key."""
        return find_added(trial, x[trial.plan.rows], goal, off_data(x))


def off_data(x: Tensor) -> Tensor | None:
    """Return a basis in which what clean samples do by themselves has a large norm.

    It is (S + r I)^(-1/2), S the covariance of the samples, r a tenth of its mean variance,
    scaled to the Frobenius norm of the identity. The natural way from one class to another runs
    along the data; what somebody planted mostly does not, and is found although it is larger.

    Shapes:
        x: (n, ...) with d numbers each; the result (d, d), or None where d is too large.

    Cost:
        O(d^3), once per search.
    """
    flat = x.flatten(1)
    size = flat.shape[1]
    if size > _MOST_NUMBERS:
        return None
    flat = flat - flat.mean(0)
    covariance = flat.T @ flat / len(flat)  # (d, d)
    ridge = _RIDGE * covariance.diagonal().mean().clamp_min(1e-12)
    values, vectors = torch.linalg.eigh(covariance + ridge * torch.eye(size, device=x.device))
    root = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    basis: Tensor = root * (math.sqrt(size) / root.norm())
    return basis
