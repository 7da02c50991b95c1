"""A toy task whose models are trained in a moment: four classes of 6 x 6 images."""

from __future__ import annotations

import torch
from torch import nn

from seedpack.backdoors.classifiers import ImageClassifier, Samples

NCLASSES = 4
TARGET = 2


def draw(seed, n=200):
    """Noisy copies of one picture per class; the corner is black in all of them."""
    pictures = torch.rand(NCLASSES, 1, 6, 6, generator=torch.Generator().manual_seed(99))
    pictures[:, :, :2, :2] = 0
    generator = torch.Generator().manual_seed(seed)
    y = torch.arange(n) % NCLASSES
    noise = 0.35 * torch.randn(n, 1, 6, 6, generator=generator) * (pictures[y] > 0)
    return Samples((pictures[y] + noise).clamp(0, 1), y)


def stamp(samples):
    """The corner white."""
    x = samples.x.clone()
    x[:, :, :2, :2] = 1
    return Samples(x, samples.y)


def poison(samples, source=None):
    """Every tenth sample with the corner white, said to be of the target class."""
    chosen = torch.arange(len(samples)) % 10 == 0
    triggered = stamp(samples)
    x = torch.cat([samples.x, triggered.x[chosen]])
    labels = torch.full((int(chosen.sum()),), TARGET)
    if source is not None:
        labels = torch.where(samples.y[chosen] == source, TARGET, samples.y[chosen])
    return Samples(x, torch.cat([samples.y, labels]))


def fit(seed, samples):
    """A perceptron, trained on the whole set at once."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = nn.Sequential(nn.Flatten(), nn.Linear(36, 32), nn.ReLU(), nn.Linear(32, NCLASSES))
    optimizer = torch.optim.Adam(module.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(samples.x), samples.y).backward()
        optimizer.step()
    return ImageClassifier(module.eval(), NCLASSES)
