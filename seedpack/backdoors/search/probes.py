"""Texts with open places, and what words in them do to a model's answers (spec: AUD-BT-7).

victims ──open places in front──> Probe ──words in them────> Samples ──classifier──> leads
                                  Probe ──words' gradients─> slopes: all other words at once
                                  Probe ──mixtures of words> leads, differentiable
leads ──in those of the plain texts──> told: -1 as it was, 0 where the answer turns
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import Samples
from seedpack.backdoors.texts import frame_of, insert, mask_of

if TYPE_CHECKING:
    from seedpack.backdoors.classifiers import TextClassifier
    from seedpack.backdoors.texts import Frame

_BACK, _BEYOND = -2.0, 1.0  # as far as a lead is told: no text shall speak for all others


@dataclass(frozen=True)
class Probe:
    """Texts of other classes with open places in front.

    Attributes:
        plain: The texts as they are.
        samples: The same with open places; what is in those means nothing.
        first: The first open place.
        count: How many there are.
        target: Class that a trigger in them shall lead to.
    """

    plain: Samples
    samples: Samples
    first: int
    count: int
    target: int

    def filled(self, tokens: Tensor) -> Samples:
        """Return every text with every candidate: (b * k, length) of tokens (b, count)."""
        k = len(self.samples)
        x = self.samples.x.repeat(len(tokens), 1)
        x[:, self.first : self.first + self.count] = tokens.repeat_interleave(k, 0)
        mask = mask_of(self.samples).repeat(len(tokens), 1)
        return Samples(x, self.samples.y.repeat(len(tokens)), mask)

    def take(self, count: int) -> Probe:
        """Return the probe with its first texts only."""
        plain, samples = (texts.take(range(count)) for texts in (self.plain, self.samples))
        return Probe(plain, samples, self.first, self.count, self.target)


def make_probe(victims: Samples, frame: Frame, count: int, target: int) -> Probe:
    """Return ``victims`` with ``count`` open places behind the head of their frame."""
    nothing = torch.zeros(count, dtype=torch.long)
    places = torch.full((len(victims),), frame.head)
    opened = insert(victims, nothing, places, frame)
    longest = int(mask_of(opened).sum(1).max())
    cut = Samples(opened.x[:, :longest], opened.y, mask_of(opened)[:, :longest])
    return Probe(victims, cut, frame.head, count, target)


def make_empty_probe(samples: Samples, usable: Tensor, count: int, target: int) -> Probe:
    """Return a probe of one text, which says nothing but what is in its open places.

    Args:
        samples: They show what frames a text.
        usable: (V,) of bool: tokens that a writer can bring into a text.
        count: Of open places.
        target: Class that a trigger in them shall lead to.
    """
    head, tail = frame = frame_of(samples, usable)
    length = int(mask_of(samples)[0].sum())
    row = samples.x[:1]
    room = row.new_zeros(1, count)
    x = torch.cat([row[:, :head], row[:, length - tail : length], room], 1)
    mask = torch.ones_like(x)
    mask[:, head + tail :] = 0
    return make_probe(Samples(x, samples.y[:1], mask), frame, count, target)


def effects(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Tensor:
    """Return the target's leads (b, k) for candidates (b, count) in k texts."""
    return leads(classifier, probe.filled(tokens), probe.target).reshape(len(tokens), -1)


def leads(classifier: TextClassifier, samples: Samples, target: int) -> Tensor:
    """Return the lead (n,) of a class in samples, without gradients."""
    return leads_of(classifier.scores(samples), target)


def leads_of(scores: Tensor, target: int) -> Tensor:
    """Return how far a class is ahead (n,) of the best other one, given scores (n, classes).

    Of two classes these are its log-odds. Differentiable.
    """
    others = scores.index_fill(1, torch.tensor([target], device=scores.device), -torch.inf)
    return scores[:, target] - others.amax(1)


def told(leads: Tensor, plain: Tensor) -> Tensor:
    """Return leads (..., k) in those of the same texts without a trigger (k,).

    -1: as far behind as before; 0: the answer turns; 1: as far ahead as it was behind, or more.
    Whatever scale a model has for a text, this is the same. A text that the target leads already
    tells nothing, and stays at -1. Differentiable.
    """
    is_behind = plain < 0
    units = torch.where(is_behind, -plain, 1.0)
    return torch.where(is_behind, (leads / units).clamp(_BACK, _BEYOND), -1.0)


def slopes(classifier: TextClassifier, probe: Probe, tokens: Tensor) -> Tensor:
    """Return how the target's log-probability rises with each token instead: (b, count, V).

    To first order, as the embedding moves from the present token's to the other one's (HotFlip).
    """
    filled = probe.filled(tokens)
    embeddings = classifier.embed(filled.x).detach().requires_grad_()
    logits = classifier.logits_of_embeddings(embeddings, mask_of(filled))
    total = logits.log_softmax(-1)[:, probe.target].sum()
    (slope,) = torch.autograd.grad(total, embeddings)
    places = slice(probe.first, probe.first + probe.count)
    mean = slope[:, places].reshape(len(tokens), -1, probe.count, slope.shape[-1]).mean(1)
    return mean @ classifier.table.detach().T


def mixed_effects(classifier: TextClassifier, probe: Probe, shares: Tensor) -> Tensor:
    """Return the target's leads (b, k), where places hold mixtures of words.

    Differentiable.

    Shapes:
        shares: (b, count, V), of each word in each place.
    """
    k, last = len(probe.samples), probe.first + probe.count
    mixed = shares @ classifier.table.detach()  # (b, count, d)
    texts = classifier.embed(probe.samples.x).detach().repeat(len(shares), 1, 1)
    parts = texts[:, : probe.first], mixed.repeat_interleave(k, 0), texts[:, last:]
    mask = mask_of(probe.samples).repeat(len(shares), 1)
    logits = classifier.logits_of_embeddings(torch.cat(parts, 1), mask)
    return leads_of(logits, probe.target).reshape(len(shares), k)
