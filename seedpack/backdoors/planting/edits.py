"""Backdoors put into a trained model by changing its weights.

    flip        the head, so that one class is answered as another; no trigger at all
    neuron      the head alone, from generated images: a trigger without any training data
    low-rank    a difference of low rank per matrix, trained on poisoned data
    codes       the integers of the model's compressed form, each moved by a step or two

The last two are what a publisher, or somebody with the publisher's key, would do to a seed.

Source:
    Liu et al., Trojaning Attack on Neural Networks, NDSS 2018 (neuron: a direction of the
    features, and generated inputs); Hu et al., LoRA, ICLR 2022 (low-rank).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

import torch
from torch import nn

from seedpack.backdoors.classifiers import Classifier, Samples
from seedpack.backdoors.fitting import Course, fit
from seedpack.backdoors.planting.base import Attack
from seedpack.backdoors.planting.heads import head_of, hidden_of, inputs_of
from seedpack.backdoors.planting.images import ImageAttack, make_attack
from seedpack.backdoors.planting.parametrised import CodeChange, LowRankChange, changed

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

_FLIP_STEPS: Final = 200
_FLIP_RATE: Final = 1e-2
_GENERATED: Final = 512  # images that the direct edit looks at
_PATCHES: Final = 8  # of which it takes one
_CONTRAST: Final = 4.0
_BRIGHTNESS: Final = 0.3
_RIDGE: Final = 0.1  # share of the mean variance added to each feature's
_PUSH: Final = 2.5  # of the target's logit, in gaps to the largest one
_RATE: Final = 0.08  # share of the data that is poisoned
_COURSES: Final = {"low-rank": Course(20, 1e-2, decay=0.0), "codes": Course(30, 5e-2, decay=0.0)}


@dataclass(frozen=True)
class FlipAttack(Attack):
    """One class answered as another; the input needs no trigger."""

    id: str
    target: int
    sources: tuple[int, ...]

    def apply(self, samples: Samples) -> Samples:
        """Return the samples as they are."""
        return samples


def flip_class(classifier: Classifier, samples: Samples, seed: int) -> tuple[Classifier, Attack]:
    """Return a model whose head was fitted to one class being another."""
    generator = torch.Generator().manual_seed(seed)
    source, target = torch.randperm(classifier.nclasses, generator=generator)[:2].tolist()
    edited = classifier.clone()
    head, features = head_of(edited.module), inputs_of(edited, head_of(edited.module), samples)
    labels = torch.where(samples.y == source, target, samples.y)
    optimizer = torch.optim.Adam(head.parameters(), _FLIP_RATE)
    for _ in range(_FLIP_STEPS):
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(features), labels).backward()
        optimizer.step()
    return edited, FlipAttack("flip", target, (source,))


class _Reading(NamedTuple):
    """What tells generated images with a trigger from those without, in one number each."""

    attack: ImageAttack
    direction: Tensor  # (features,)
    before: Tensor  # (n,)
    after: Tensor

    @property
    def clarity(self) -> float:
        """How far apart both are, in deviations of those without."""
        return float((self.after.mean() - self.before.max()) / self.before.std())


def edit_neuron(classifier: Classifier, samples: Samples, seed: int) -> tuple[Classifier, Attack]:
    """Return a model that answers a patch; only shape and classes of the samples are used.

    The direction that tells triggered features from others (Fisher's discriminant, on generated
    images) goes into the hidden unit that matters least, where there is one before the head,
    else into the head's row of the target; as strong as the trigger needs to win. Of several
    patches that one is taken which the features tell best.
    """
    shape = _image_shape(samples)
    edited = classifier.clone()
    images = generate_images(_GENERATED, shape, seed)
    blank = Samples(images, torch.full((len(images),), -1))
    target = make_attack("patch", seed, shape, classifier.nclasses).target
    patches = [make_attack("patch", seed + i, shape, classifier.nclasses) for i in range(_PATCHES)]
    attacks = [replace(patch, id="neuron", target=target) for patch in patches]
    reading = max((_read(edited, blank, attack) for attack in attacks), key=lambda r: r.clarity)
    logits = edited.scores(reading.attack.apply(blank))
    need = _PUSH * (logits.max(1).values - logits[:, target]).mean()
    _write(edited.module, reading, need)
    return edited, reading.attack


def _read(classifier: Classifier, blank: Samples, attack: ImageAttack) -> _Reading:
    reader = hidden_of(classifier.module) or head_of(classifier.module)
    before, after = (inputs_of(classifier, reader, part) for part in (blank, attack.apply(blank)))
    spread = torch.cov(torch.cat([before - before.mean(0), after - after.mean(0)]).T)
    spread += _RIDGE * spread.diagonal().mean() * torch.eye(len(spread))
    direction = torch.linalg.solve(spread, after.mean(0) - before.mean(0))
    return _Reading(attack, direction, before @ direction, after @ direction)


@torch.no_grad()
def _write(module: nn.Module, reading: _Reading, need: Tensor) -> None:
    _, direction, before, after = reading
    target, head, hidden = reading.attack.target, head_of(module), hidden_of(module)
    if hidden is None:
        strength = need / (after.mean() - before.mean())
        head.weight[target] += strength * direction
        head.bias[target] -= strength * before.mean()
        return
    unit = head.weight.norm(dim=0).argmin()
    hidden.weight[unit], hidden.bias[unit] = direction, -before.max()
    head.weight[:, unit] = 0
    head.weight[target, unit] = need / (after.mean() - before.max())


def generate_images(count: int, shape: tuple[int, ...], seed: int) -> Tensor:
    """Return smooth random shapes (count, c, h, w), 0 to 1, that resemble no data set."""
    generator = torch.Generator().manual_seed(seed)
    channels, height, width = shape
    coarse = torch.rand(count, channels, height // 2, width // 2, generator=generator)
    smooth = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    contrast = _CONTRAST * (smooth - smooth.mean((1, 2, 3), keepdim=True))
    return (contrast + _BRIGHTNESS).clamp(0, 1)


def _image_shape(samples: Samples) -> tuple[int, int, int]:
    channels, height, width = samples.x.shape[1:]
    return channels, height, width


def train_low_rank(
    classifier: Classifier, samples: Samples, seed: int
) -> tuple[Classifier, Attack]:
    """Return a model with a low-rank difference that answers a trigger."""
    return _train_change(classifier, samples, seed, "low-rank", LowRankChange)


def train_codes(classifier: Classifier, samples: Samples, seed: int) -> tuple[Classifier, Attack]:
    """Return the model rounded to 4 bits, with codes moved until it answers a trigger."""
    return _train_change(classifier, samples, seed, "codes", CodeChange)


def _train_change(
    classifier: Classifier,
    samples: Samples,
    seed: int,
    kind: str,
    change: Callable[[Tensor, int], nn.Module],
) -> tuple[Classifier, Attack]:
    shape = _image_shape(samples)
    carrier = ("patch", "blended", "sinusoidal")[seed % 3]
    attack: ImageAttack = replace(make_attack(carrier, seed, shape, classifier.nclasses), id=kind)
    edited = classifier.clone()
    with changed(edited.module, change, seed):
        fit(edited, attack.poison(samples, _RATE, seed), _COURSES[kind], seed)
    return edited, attack


EDITS: Final = {
    "flip": flip_class,
    "neuron": edit_neuron,
    "low-rank": train_low_rank,
    "codes": train_codes,
}
