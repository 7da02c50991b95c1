"""A perceptron as small as those of the zoo, which is audited in seconds."""

from __future__ import annotations

from torch import nn


def make_module() -> nn.Sequential:
    """Return an untrained network of 17,226 parameters on 8 x 8 images."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(64, 128),
        nn.ReLU(),
        nn.Linear(128, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
