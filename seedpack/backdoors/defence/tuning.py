"""Defences that tune on labels alone: the control, FT-SAM and feature shift tuning.

    fine-tuning   the control: keeps every backdoor that was measured
    FT-SAM        the same, with weights that have to be good in a whole neighbourhood
    FST           fresh head, and a penalty while the head leans to where the old one pointed

Source:
    Zhu et al., Enhancing Fine-Tuning Based Backdoor Defense with Sharpness-Aware Minimization,
    ICCV 2023 (arXiv 2304.11823); Min et al., Towards Stable Backdoor Purification through
    Feature Shift Tuning, NeurIPS 2023 (arXiv 2310.01875).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Final

import torch
from torch import Tensor

from seedpack.backdoors.defence.base import Defence
from seedpack.backdoors.defence.renewal import find_head, renew_head
from seedpack.backdoors.defence.teaching import Plan, plan_for, teach

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples

_PLAIN: Final = Plan(steps=300, rate=1e-3, trust=1.0)
_SHIFTED: Final = Plan(steps=300, rate=2e-3, trust=1.0)
_PRETRAINED: Final = Plan(steps=150, rate=5e-5, batch=16, trust=1.0, pretrained=True)
_RADIUS: Final = 0.3  # of FT-SAM
_LEAN: Final = 0.1  # weight of the penalty


class FineTuning(Defence):
    """Plain tuning on clean samples, the control of all other methods."""

    id: ClassVar[str] = "fine-tuning"
    sharpness: ClassVar[float] = 0.0

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a tuned copy."""
        del reference
        copy = classifier.clone()
        plan = replace(plan_for(copy, _PLAIN, _PRETRAINED), sharpness=self.sharpness)
        teach(copy, samples, plan, torch.Generator().manual_seed(seed))
        return copy


class FlatTuning(FineTuning):
    """FT-SAM: the same steps, each by the slope at the worst place nearby."""

    id: ClassVar[str] = "ft-sam"
    sharpness: ClassVar[float] = _RADIUS


class FeatureShift(Defence):
    """FST."""

    id: ClassVar[str] = "fst"

    def run(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        seed: int = 0,
        reference: Classifier | None = None,
    ) -> Classifier:
        """Return a tuned copy."""
        del reference
        copy = classifier.clone()
        old = find_head(copy).weight.detach().clone()
        head = renew_head(copy, seed)
        scale = old.norm()

        def lean() -> Tensor:
            # The head's norm is held at the old one's, or it would shrink instead of turning.
            turned = head.weight * (scale / head.weight.norm().clamp(min=1e-12))
            leaning: Tensor = _LEAN * (turned * old).sum() / scale
            return leaning

        plan = plan_for(copy, _SHIFTED, _PRETRAINED)
        teach(copy, samples, plan, torch.Generator().manual_seed(seed), penalty=lean)
        return copy
