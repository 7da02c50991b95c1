"""Changed copies of texts that leave their right answer as it is.

[CLS] a good film [SEP] ──leave_out──> [CLS] a film [SEP] [PAD]      one word less, in half
                        ──put_in──> [CLS] a tok good film tok [SEP]   one to three random tokens
[CLS] a good film [SEP], [CLS] too long by half [SEP]
                        ──splice_texts──> [CLS] a good by half [SEP]  what nobody has labelled
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import UNLABELLED, Samples
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


def splice_texts(
    classifier: TextClassifier, samples: Samples, generator: Generator, share: float
) -> Samples:
    """Return texts of the same width, a share of them spliced, the others as ``leave_out`` does.

    A spliced text is the beginning of one and the end of another, and has no label. What a model
    says of such texts teaches far more of what it knows than a few whole ones.

    Args:
        classifier: Knows which tokens can be written.
        samples: Texts.
        generator: Of partners, cuts and tokens left out.
        share: Of the texts that are spliced.
    """
    whole, spliced = leave_out(samples, generator), _spliced(classifier, samples, generator)
    chosen = torch.rand(len(samples), generator=generator) < share
    return Samples(
        torch.where(chosen[:, None], spliced.x, whole.x),
        torch.where(chosen, UNLABELLED, whole.y),
        torch.where(chosen[:, None], mask_of(spliced), mask_of(whole)),
    )


def _spliced(classifier: TextClassifier, samples: Samples, generator: Generator) -> Samples:
    head, tail = frame_of(samples, classifier.usable)
    n, width = samples.x.shape
    other = samples.take(torch.randperm(n, generator=generator))
    lengths, theirs = (mask_of(part).sum(1) for part in (samples, other))  # (n,) each
    cut, skipped = torch.rand(2, n, generator=generator)
    first = head + (skipped * (theirs - head - tail)).long()  # of theirs that is taken
    room = (lengths - tail).minimum(width - (theirs - first))
    kept = head + (cut * (room - head + 1)).long()  # tokens of the beginning
    at = torch.arange(width).expand(n, width)
    source = (at - kept[:, None] + first[:, None]).clamp(0, width - 1)
    x = torch.where(at < kept[:, None], samples.x, other.x.gather(1, source))
    mask = at < (kept + theirs - first)[:, None]
    return Samples(x, samples.y, mask.to(mask_of(samples).dtype))
