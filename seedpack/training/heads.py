"""A linear head fitted to features that stand still: logistic regression with ridge.

features, labels ──each strength of the ridge──> head ──held-out loss──> the best strength
"""

from __future__ import annotations

from typing import Final

import torch
from torch.nn import functional

Part = tuple[torch.Tensor, torch.Tensor]  # features (n, d), labels (n,)

# Penalty on the squared weights beside the mean loss; for features of length 1 per layer.
_STRENGTHS: Final = (1e-4, 1e-3, 1e-2)
_DEFAULT: Final = 1e-3
_NITERATIONS: Final = 100


def fit_head(
    fitted: Part, held_out: Part, *, nlabels: int, ridge: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (labels, d) and bias (labels,).

    Args:
        fitted: What the head is fitted to.
        held_out: What decides how strong the ridge is; may be empty.
        nlabels: How many classes there are.
        ridge: Its strength; 0: as the held-out part decides.

    Cost:
        O(strengths * iterations * n * d).
    """
    mean = fitted[0].mean(0)
    strengths = _STRENGTHS if len(held_out[0]) else (_DEFAULT,)
    strengths = (ridge,) if ridge else strengths
    heads = [_fit(fitted[0] - mean, fitted[1], nlabels, strength) for strength in strengths]
    heads = [(weight, bias - weight @ mean) for weight, bias in heads]
    if len(heads) == 1:
        return heads[0]
    losses = [float(functional.cross_entropy(held_out[0] @ w.T + b, held_out[1])) for w, b in heads]
    return heads[losses.index(min(losses))]


def _fit(
    features: torch.Tensor, labels: torch.Tensor, nlabels: int, strength: float
) -> tuple[torch.Tensor, torch.Tensor]:
    weight = features.new_zeros(nlabels, features.shape[1]).requires_grad_()
    bias = features.new_zeros(nlabels).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [weight, bias], max_iter=_NITERATIONS, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = functional.cross_entropy(features @ weight.T + bias, labels)
        loss = loss + strength * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        optimizer.step(closure)
    return weight.detach(), bias.detach()
