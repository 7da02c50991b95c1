"""Weights drawn back towards a start that knows no backdoor.

    suspect ──keep──┐
                    ├──> keep * suspect + (1 - keep) * start
    fresh weights or clean reference ──1 - keep──┘

Source:
    Ash and Adams, On Warm-Starting Neural Network Training, NeurIPS 2020 (shrink and perturb);
    here against backdoors, and with a clean reference in the place of noise where there is one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier


def renewed(
    classifier: Classifier, keep: float, *, seed: int = 0, reference: Classifier | None = None
) -> Classifier:
    """Return a copy whose weights are a share ``keep`` of the suspect's, the rest of a start.

    Args:
        classifier: Is not changed.
        keep: From 0 (nothing of it) to 1 (all of it).
        seed: Of fresh weights.
        reference: Clean start; None: fresh weights.
    """
    start = _fresh(classifier, seed) if reference is None else reference
    copy = classifier.clone()
    states = copy.module.state_dict(), start.module.state_dict()
    with torch.no_grad():
        for name, value in states[0].items():
            if value.is_floating_point():
                clean = states[1][name].to(value)
                # Nothing is not zero times something: a suspect may hold infinities.
                value.copy_(keep * value + (1 - keep) * clean if keep else clean)
    return copy


def renew_head(classifier: Classifier, seed: int) -> nn.Linear:
    """Give the last linear layer fresh weights, in place, and return it.

    Raises:
        ValueError: The module has no linear layer.
    """
    head = find_head(classifier)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head.reset_parameters()
    return head


def find_head(classifier: Classifier) -> nn.Linear:
    """Return the last linear layer that gives one score per class.

    Raises:
        ValueError: There is none.
    """
    layers = [m for m in classifier.module.modules() if isinstance(m, nn.Linear)]
    heads = [layer for layer in layers if layer.out_features == classifier.nclasses]
    if not heads:
        raise ValueError("no linear layer gives scores of classes")
    return heads[-1]


def _fresh(classifier: Classifier, seed: int) -> Classifier:
    """Return a copy with weights as they are before training."""
    copy = classifier.clone()
    before = {name: value.clone() for name, value in copy.module.named_parameters()}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in copy.module.modules():
            _reset(module)
        _redraw(copy.module.named_parameters(), before)
    return copy


def _reset(module: nn.Module) -> None:
    for name in ("reset_parameters", "_reset_parameters"):  # the latter: MultiheadAttention
        reset = getattr(module, name, None)
        if callable(reset):
            reset()
            return


def _redraw(parameters: Iterable[tuple[str, Tensor]], before: dict[str, Tensor]) -> None:
    """Draw small numbers for parameters that no module resets: places, class tokens."""
    for name, value in parameters:
        if torch.equal(value, before[name]) and value.numel() > 1:
            spread = min(0.02, float(value.detach().std()))  # as transformers start theirs
            nn.init.normal_(value, std=spread)
