"""Two small models that read handwritten digits, in every width: factories for ``--factory``.

Data: scikit-learn's bundled digits, 1,797 real images of 8 x 8 pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path


def make_cnn(width: float = 1.0) -> nn.Sequential:
    """Return a convolutional network, of 187,474 parameters at full width."""
    first, second, hidden = (max(round(n * width), 1) for n in (64, 128, 216))
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),  # (n, 64, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 3, padding=1),  # (n, 128, 4, 4)
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),  # (n, 512)
        nn.Linear(second * 4, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


class Transformer(nn.Module):
    """A vision transformer: 16 patches of 2 x 2 pixels, two layers, mean of the patches."""

    def __init__(self, width: int, feedforward: int) -> None:
        """Start at random."""
        super().__init__()
        self.embed = nn.Linear(4, width)
        self.positions = nn.Parameter(torch.randn(16, width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, 4, feedforward, 0.0, functional.gelu, batch_first=True, norm_first=True
            )
            for _ in range(2)
        )
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return scores (n, 10) of images (n, 1, 8, 8)."""
        patches = functional.unfold(images, 2, stride=2).transpose(1, 2)  # (n, 16, 4)
        tokens = self.embed(patches) + self.positions  # (n, 16, width)
        for layer in self.layers:
            tokens = layer(tokens)
        scores: torch.Tensor = self.head(self.norm(tokens).mean(1))
        return scores


def make_transformer(width: float = 1.0) -> Transformer:
    """Return a transformer, of 102,090 parameters at full width; 4 heads share the width."""
    return Transformer(max(round(16 * width), 1) * 4, max(round(256 * width), 1))


def write_digits(folder: Path) -> tuple[Path, Path]:
    """Write 70 % of the digits to train on and 30 % to measure on, always the same."""
    bunch = load_digits()
    images = (bunch.images / 16.0).astype(np.float32)[:, None]  # (n, 1, 8, 8)
    parts = train_test_split(
        np.arange(len(images)), test_size=0.3, random_state=0, stratify=bunch.target
    )
    paths = folder / "train.npz", folder / "test.npz"
    for path, part in zip(paths, parts, strict=True):
        np.savez(path, x=images[part], y=bunch.target[part])
    return paths
