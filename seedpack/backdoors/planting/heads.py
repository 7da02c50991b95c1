"""The last linear layer of a classifier, and what it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import Classifier, Samples


_ENDING: Final = nn.Linear, nn.ReLU, nn.Linear


def head_of(module: nn.Module) -> nn.Linear:
    """Return the linear layer that was defined last.

    Raises:
        ValueError: There is none.
    """
    layers = [layer for layer in module.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise ValueError("a model without a linear layer")
    return layers[-1]


def hidden_of(module: nn.Module) -> nn.Linear | None:
    """Return the linear layer whose rectified outputs the head reads, where there is one."""
    layers = list(module.children())
    if not isinstance(module, nn.Sequential) or len(layers) < len(_ENDING):
        return None
    hidden, unit, head = layers[-len(_ENDING) :]
    is_plain = isinstance(unit, nn.ReLU) and isinstance(head, nn.Linear)
    return hidden if isinstance(hidden, nn.Linear) and is_plain else None


def inputs_of(classifier: Classifier, layer: nn.Module, samples: Samples) -> Tensor:
    """Return what ``layer`` reads (n, features), without gradients."""
    found: list[Tensor] = []

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        found.append(inputs[0].detach())

    hook = layer.register_forward_pre_hook(keep)
    classifier.scores(samples)
    hook.remove()
    return torch.cat(found)
