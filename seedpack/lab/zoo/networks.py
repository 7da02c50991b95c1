"""Small image classifiers of three families, for 8 x 8 images.

mlp   64 -> 128 -> 64 -> classes
cnn   two convolutions with pooling, one hidden layer
vit   patches of 2 x 2 as tokens, two transformer blocks, head over all of them
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from seedpack.training.pooling import quicken_pools

if TYPE_CHECKING:
    from collections.abc import Callable

SIDE: Final = 8  # pixels
_PATCH: Final = 2  # pixels
_WIDTH: Final = 32
_HEADS: Final = 4
_BLOCKS: Final = 2


def make_mlp(nclasses: int) -> nn.Sequential:
    """Return a perceptron with two hidden layers."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(SIDE * SIDE, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, nclasses),
    )


def make_cnn(nclasses: int) -> nn.Sequential:
    """Return a convolutional network."""
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),  # (n, 16, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 16, 4, 4)
        nn.Conv2d(16, 32, 3, padding=1),  # (n, 32, 4, 4)
        nn.ReLU(),
        nn.Flatten(),  # (n, 512)
        nn.Linear(512, 64),
        nn.ReLU(),
        nn.Linear(64, nclasses),
    )


class _Block(nn.Module):
    """Attention and a perceptron, each behind its own normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(_WIDTH)
        self.mix = nn.Linear(_WIDTH, 3 * _WIDTH)
        self.join = nn.Linear(_WIDTH, _WIDTH)
        self.norm2 = nn.LayerNorm(_WIDTH)
        self.grow = nn.Linear(_WIDTH, 2 * _WIDTH)
        self.shrink = nn.Linear(2 * _WIDTH, _WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        n, tokens, _ = x.shape
        heads = self.mix(self.norm1(x)).reshape(n, tokens, 3, _HEADS, _WIDTH // _HEADS)
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # (n, heads, tokens, width / heads) each
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        x = x + self.join(mixed.transpose(1, 2).reshape(n, tokens, _WIDTH))
        out: Tensor = x + self.shrink(nn.functional.gelu(self.grow(self.norm2(x))))
        return out


class VisionTransformer(nn.Module):
    """Patches as tokens."""

    def __init__(self, nclasses: int) -> None:
        """Start at random."""
        super().__init__()
        self.patches = nn.Linear(_PATCH * _PATCH, _WIDTH)
        self.places = nn.Parameter(0.02 * torch.randn((SIDE // _PATCH) ** 2, _WIDTH))
        self.blocks = nn.Sequential(*(_Block() for _ in range(_BLOCKS)))
        self.norm = nn.LayerNorm(_WIDTH)
        self.head = nn.Linear((SIDE // _PATCH) ** 2 * _WIDTH, nclasses)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, classes) of (n, 1, 8, 8)."""
        patches = nn.functional.unfold(x, _PATCH, stride=_PATCH).transpose(1, 2)  # (n, 16, 4)
        tokens = self.blocks(self.patches(patches) + self.places)
        logits: Tensor = self.head(self.norm(tokens).flatten(1))
        return logits


NETWORKS: Final[dict[str, Callable[[int], nn.Module]]] = {
    "mlp": make_mlp,
    "cnn": make_cnn,
    "vit": VisionTransformer,
}


def make_network(family: str, seed: int, nclasses: int = 10) -> nn.Module:
    """Return an untrained network; the caller's random numbers are left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = NETWORKS[family](nclasses)
    quicken_pools(network)
    return network
