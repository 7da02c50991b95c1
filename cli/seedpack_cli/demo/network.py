"""A small convolutional network on scikit-learn's handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from seedpack.training.pooling import quicken_pools

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CHANCE = 0.1  # ten classes of about equal size
_EPOCHS = 12
_BATCH = 64


class Digits(NamedTuple):
    """Real images, split once; no image is in both halves.

    Shapes:
        n: images; each 1 x 8 x 8, values 0 to 1.
    """

    train_images: torch.Tensor  # (n, 1, 8, 8)
    train_labels: torch.Tensor  # (n,)
    test_images: torch.Tensor
    test_labels: torch.Tensor


def load_images() -> Digits:
    """Return 1,797 real digits, half of them for testing, the classes in equal shares."""
    bunch = load_digits()
    images = torch.tensor(bunch.images / 16.0, dtype=torch.float32)[:, None]  # (n, 1, 8, 8)
    labels = torch.tensor(bunch.target)
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.5, random_state=0, stratify=bunch.target
    )
    return Digits(images[train], labels[train], images[test], labels[test])


def make_network(seed: int) -> nn.Sequential:
    """Return an untrained network of 84,298 parameters."""
    torch.manual_seed(seed)
    return make_module()


def make_module(width: float = 1.0) -> nn.Sequential:
    """Return an untrained network of this share of the usual width."""
    first, second, hidden = (max(round(n * width), 1) for n in (32, 64, 64))
    return nn.Sequential(
        nn.Conv2d(1, first, 3, padding=1),  # (n, 32, 8, 8)
        nn.ReLU(),
        nn.Conv2d(first, second, 3, padding=1),  # (n, 64, 8, 8)
        nn.ReLU(),
        nn.MaxPool2d(2),  # (n, 64, 4, 4)
        nn.Flatten(),  # (n, 1024)
        nn.Linear(second * 16, hidden),
        nn.ReLU(),
        nn.Linear(hidden, 10),
    )


def train_network(
    digits: Digits, seed: int, make: Callable[[], nn.Module] = make_module
) -> nn.Module:
    """Train a network from that random start; ``make`` gives one of another architecture."""
    torch.manual_seed(seed)
    network = make()
    quicken_pools(network)
    optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
    order = torch.Generator().manual_seed(seed)
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(digits.train_labels), generator=order).split(_BATCH):
            optimizer.zero_grad()
            scores = network(digits.train_images[batch])  # (batch, 10)
            nn.functional.cross_entropy(scores, digits.train_labels[batch]).backward()
            optimizer.step()
    return network


def count_parameters(network: nn.Module) -> int:
    """Return how many numbers the network has."""
    return sum(parameter.numel() for parameter in network.parameters())


def is_right(network: nn.Module, digits: Digits) -> np.ndarray:
    """Return for each test image whether the network names its digit.

    Shapes:
        (n,) of bool, n test images.
    """
    network.eval()
    with torch.no_grad():
        guesses = network(digits.test_images).argmax(1)
    return np.asarray((guesses == digits.test_labels).numpy())


def network_of(weights: Mapping[str, torch.Tensor]) -> nn.Sequential:
    """Return a network with these weights, all of them given."""
    network = make_network(0)
    network.load_state_dict(dict(weights), strict=True)
    return network
