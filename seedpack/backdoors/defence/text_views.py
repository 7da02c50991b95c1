"""Changed copies of texts that leave their right answer as it is.

[CLS] a good film [SEP] ──leave_out──> [CLS] a film [SEP] [PAD]      one word less, in half
                        ──put_in──> [CLS] a tok good film tok [SEP]   one to three random tokens
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.texts import draw_places, frame_of, insert, mask_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from seedpack.backdoors.classifiers import TextClassifier

_MOST: Final = 3  # tokens that are put in
_LEAST: Final = 4  # tokens that a text keeps
_SHORTENED: Final = 0.5  # share of the texts


def leave_out(samples: Samples, generator: Generator) -> Samples:
    """Return texts of the same width, half of them with one token less."""
    mask = mask_of(samples)
    n, width = samples.x.shape
    lengths = mask.sum(1)  # (n,)
    # The first and the last token may be the tokenizer's own.
    place = 1 + (torch.rand(n, generator=generator) * (lengths - 2).clamp(min=1)).long()
    is_short = torch.rand(n, generator=generator) >= _SHORTENED
    place = torch.where(is_short | (lengths <= _LEAST), width, place)[:, None]
    at = torch.arange(width).expand(n, width)
    source = torch.where(at < place, at, (at + 1).clamp(max=width - 1))
    kept = at < (lengths[:, None] - (place < width).long())
    x = torch.where(kept, samples.x.gather(1, source), samples.x)
    return Samples(x, samples.y, kept.to(mask.dtype))


def put_in(
    classifier: TextClassifier,
    samples: Samples,
    generator: Generator,
    tokens: Tensor | None = None,
) -> Samples:
    """Return texts of the same width with tokens put in somewhere.

    Args:
        classifier: Knows which tokens can be written.
        samples: Texts.
        generator: Of tokens and places.
        tokens: (n, k) to put in; None: random ones.
    """
    frame = frame_of(samples, classifier.usable)
    if tokens is None:
        usable = classifier.usable.nonzero()[:, 0]
        count = 1 + int(torch.randint(_MOST, (1,), generator=generator))
        drawn = torch.randint(len(usable), (len(samples), count), generator=generator)
        tokens = usable[drawn]
    room = samples.x.shape[1] - sum(frame)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    return insert(samples, tokens[:, :room], draw_places(samples, "anywhere", frame, seed), frame)
