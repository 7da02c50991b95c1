"""The losses, one number per batch.

Generalised cross-entropy (1 - p^q) / q lies between cross-entropy (q -> 0) and the mean absolute
error (q = 1): an example whose label is wrong, and so has a small p, pulls less.

Source:
    Zhang and Sabuncu, Generalized Cross Entropy Loss, NeurIPS 2018.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from torch.nn import functional

if TYPE_CHECKING:
    import torch

    from seedpack.training.recipes import Recipe

IGNORED: Final = -100  # target of padding and of what is not asked; torch's default


def class_loss(logits: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return the mean loss over the targets that are not ``IGNORED``.

    Shapes:
        logits (..., classes), targets (...).
    """
    flat, wanted = logits.reshape(-1, logits.shape[-1]), targets.reshape(-1)
    if recipe.exponent:
        asked = wanted != IGNORED
        right = flat[asked].log_softmax(-1).gather(1, wanted[asked, None])
        return ((1 - (recipe.exponent * right).exp()) / recipe.exponent).mean()
    return functional.cross_entropy(
        flat, wanted, ignore_index=IGNORED, label_smoothing=recipe.smoothing
    )


def number_loss(outputs: torch.Tensor, targets: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """Return the mean squared error, or where robustness is asked for a mean Huber loss."""
    if recipe.exponent:
        return functional.huber_loss(outputs, targets)
    return functional.mse_loss(outputs, targets)
