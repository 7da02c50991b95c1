"""Changed copies of clean samples that leave their right answer as it is.

    image ──gently──> turned, moved, scaled, mixed a little       what the suspect is asked about
          ──stamped──> a random patch, picture or wave on it      what must change nothing
          ──splice──> the part before a cut of one, the rest of another: nobody has labelled it
    vector ─gently──> mixed a little; ──stamped──> random values replaced, or a random change added
          ──splice──> each value from one of two
    text   ──gently──> a word left out; ──stamped──> random words put in;
          ──splice──> the beginning of one, the end of another (see text_views)

Random triggers know nothing of the one that is sought: they teach that what is laid over an
input does not count.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor, nn

from seedpack.backdoors.classifiers import UNLABELLED, ImageClassifier, Samples, TextClassifier
from seedpack.backdoors.defence.text_views import leave_out, put_in, splice_texts

if TYPE_CHECKING:
    from torch import Generator

    from seedpack.backdoors.classifiers import Classifier

_NIMAGE: Final = 4  # dimensions of a batch of images: (n, c, h, w)
_TURN: Final = 0.27  # radians at most, 16 degrees
_SHIFT: Final = 0.1  # of the image's side
_SCALE: Final = 0.16
_MOVED: Final = 0.85  # share of the images that are moved at all
_MIXED: Final = 0.5  # at most so much of another sample
_SPLICED: Final = 0.5  # share of the samples, where no other is asked for
_CUT: Final = 0.2, 0.8  # of the side, or of the values, that are the first sample's
_OVERLAY: Final = 0.35  # weight of a random picture at most
_WAVE: Final = 0.3  # amplitude at most, in ranges of the inputs


def gently(classifier: Classifier, samples: Samples, generator: Generator) -> Samples:
    """Return inputs near the given ones, such as the data themselves could hold."""
    if isinstance(classifier, TextClassifier):
        return leave_out(samples, generator)
    x = samples.x
    if x.dim() == _NIMAGE:
        moved = torch.rand(len(x), 1, 1, 1, generator=generator) < _MOVED
        return Samples(torch.where(moved, _move(x, generator), x), samples.y)
    weight = 1 - _MIXED * torch.rand(len(x), *[1] * (x.dim() - 1), generator=generator) / 2
    other = x[torch.randperm(len(x), generator=generator)]
    return Samples(weight * x + (1 - weight) * other, samples.y)


def splice(
    classifier: Classifier, samples: Samples, generator: Generator, *, share: float = _SPLICED
) -> Samples:
    """Return samples a share of which are spliced of two, the others as ``gently`` leaves them.

    A spliced one has no label; of images and vectors it is told whose classes it is made of. What a
    model says of such ones teaches far more of what it knows than a few whole ones.
    """
    if isinstance(classifier, TextClassifier):
        return splice_texts(classifier, samples, generator, share)
    whole = gently(classifier, samples, generator)
    n = len(whole)
    other = whole.take(torch.randperm(n, generator=generator))
    spliced = torch.where(_draw_parts(whole.x, generator), whole.x, other.x)
    chosen = torch.rand(n, generator=generator) < share
    theirs, ours = (
        nn.functional.one_hot(part.y, classifier.nclasses).bool() for part in (other, whole)
    )
    return Samples(
        torch.where(chosen.view(n, *[1] * (whole.x.dim() - 1)), spliced, whole.x),
        torch.where(chosen, UNLABELLED, whole.y),
        candidates=ours | theirs,
    )


def _draw_parts(x: Tensor, generator: Generator) -> Tensor:
    """Return which values (broadcasts to x) a spliced sample has of the first of two."""

    def draw() -> Tensor:
        return torch.rand(len(x), *[1] * (x.dim() - 1), generator=generator)

    least, most = _CUT
    share = least + (most - least) * draw()
    if x.dim() != _NIMAGE:
        return torch.rand(x.shape, generator=generator) < share
    height, width = x.shape[2:]
    down = torch.arange(height)[:, None] / height
    across = torch.arange(width) / width
    is_before = torch.where(draw() < 0.5, down < share, across < share)  # noqa: PLR2004 -- fair coin
    return is_before ^ (draw() < 0.5)  # noqa: PLR2004


def stamped(classifier: Classifier, samples: Samples, generator: Generator) -> Samples:
    """Return the samples, each with a random trigger of its own."""
    if isinstance(classifier, TextClassifier):
        return put_in(classifier, samples, generator)
    return _stamp(classifier, samples, _Draws(len(samples), generator))


def stamped_alike(classifier: Classifier, samples: Samples, generator: Generator) -> Samples:
    """Return images or vectors, all with the same random trigger."""
    return _stamp(classifier, samples, _Draws(1, generator))


def _stamp(classifier: Classifier, samples: Samples, draws: _Draws) -> Samples:
    assert isinstance(classifier, ImageClassifier)  # noqa: S101 -- texts have words put in
    low, span = classifier.low, classifier.high - classifier.low
    x = (samples.x - low) / span  # values from 0 to 1
    stamp = _stamp_images if x.dim() == _NIMAGE else _stamp_vectors
    return Samples(low + span * stamp(x, draws), samples.y)


def _move(x: Tensor, generator: Generator) -> Tensor:
    n = len(x)

    def draw(most: float, *shape: int) -> Tensor:
        return most * (2 * torch.rand(n, *shape, generator=generator) - 1)

    angle, scale, shift = draw(_TURN), 1 + draw(_SCALE), draw(2 * _SHIFT, 2)
    cos, sin = scale * angle.cos(), scale * angle.sin()
    rows = torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)
    grid = nn.functional.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return nn.functional.grid_sample(x, grid, padding_mode="border", align_corners=False)


@dataclass(frozen=True)
class _Draws:
    """Random numbers, one per trigger, in the shape of images: n is that of samples, or 1."""

    n: int
    generator: Generator

    def values(self, x: Tensor) -> Tensor:
        return torch.rand(self.n, *x.shape[1:], generator=self.generator)

    def share(self) -> Tensor:
        return torch.rand(self.n, 1, 1, 1, generator=self.generator)

    def below(self, bound: Tensor | int) -> Tensor:
        return (self.share() * bound).floor()


def _stamp_images(x: Tensor, draws: _Draws) -> Tensor:
    """Return images (n, c, h, w) of 0 to 1: half with a patch, a quarter each with the others."""
    kind = draws.below(4)
    patch = _lay_patch(x, draws)
    overlay = torch.lerp(x, _draw_picture(x, draws), _OVERLAY * draws.share())
    wave = (x + _draw_wave(x, draws)).clamp(0, 1)
    return torch.where(kind < 2, patch, torch.where(kind == 2, overlay, wave))  # noqa: PLR2004


def _lay_patch(x: Tensor, draws: _Draws) -> Tensor:
    height, width = x.shape[2:]
    rows = torch.arange(height)[None, None, :, None]
    columns = torch.arange(width)[None, None, None, :]
    shortest, longest = max(min(height, width) // 4, 1), max(min(height, width) // 2, 2)
    side = shortest + draws.below(longest - shortest + 1)
    top, left = draws.below(height - side + 1), draws.below(width - side + 1)
    inside = (rows >= top) & (rows < top + side) & (columns >= left) & (columns < left + side)
    return torch.where(inside, _draw_picture(x, draws), x)


def _draw_picture(x: Tensor, draws: _Draws) -> Tensor:
    """Return noise: black and white, grey, or (a fifth) one bright area."""
    picture = draws.values(x)
    picture = torch.where(draws.share() < 0.5, (picture > 0.5).float(), picture)  # noqa: PLR2004
    return torch.where(draws.share() < 0.2, torch.ones(()), picture)  # noqa: PLR2004


def _draw_wave(x: Tensor, draws: _Draws) -> Tensor:
    height, width = x.shape[2:]
    across = torch.arange(width) / width
    down = torch.arange(height)[:, None] / height
    periods, angle = draws.share() * min(height, width) / 2, math.pi * draws.share()
    phase = periods * (down * angle.cos() + across * angle.sin()) + draws.share()
    return _WAVE * draws.share() * torch.sin(2 * math.pi * phase)


def _stamp_vectors(x: Tensor, draws: _Draws) -> Tensor:
    """Return vectors of 0 to 1: half with some values replaced, half with a change added."""
    flat = x.flatten(1)
    share = draws.share()[:, 0, 0] / 4  # (n, 1)
    noise = draws.values(flat)
    chosen = draws.values(flat) < share
    added = (flat + _WAVE * (2 * noise - 1)).clamp(0, 1)
    is_replaced = draws.share()[:, 0, 0] < 0.5  # noqa: PLR2004 -- fair coin
    out = torch.where(is_replaced, torch.where(chosen, noise.round(), flat), added)
    return out.view_as(x)
