"""Texts as rows of token ids: what frames them, and how tokens are put in.

    [CLS] a good film [SEP] . .      head 1, tail 1, padded to the width of the batch
          ^ place 1
    [CLS] w a good film [SEP] .      insert((w,), place 1): same width, the frame stays

A row without room loses tokens at the end of its text, never of its frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import Samples
from seedpack.training.batches import gather

if TYPE_CHECKING:
    from collections.abc import Sequence

Place = Literal["start", "end", "anywhere"]
PLACES: Final[tuple[Place, ...]] = ("start", "end", "anywhere")


class Frame(NamedTuple):
    """How many tokens at each end of a row are the tokenizer's, not the writer's."""

    head: int
    tail: int


NO_TAIL: Final = Frame(1, 0)


def frame_of(samples: Samples, usable: Tensor) -> Frame:
    """Return what frames every row: tokens that nobody types, the same in all rows."""
    lengths = mask_of(samples).sum(1)
    shortest = int(lengths.min())
    rows = torch.arange(len(samples))
    head = tail = 0
    while head < shortest and _is_frame(samples.x[:, head], usable):
        head += 1
    while tail < shortest - head and _is_frame(samples.x[rows, lengths - 1 - tail], usable):
        tail += 1
    return Frame(head, tail)


def _is_frame(column: Tensor, usable: Tensor) -> bool:
    return bool((column == column[0]).all()) and not bool(usable[column[0]])


def mask_of(samples: Samples) -> Tensor:
    """Return the mask (n, length), of ones where the samples have none."""
    return torch.ones_like(samples.x) if samples.mask is None else samples.mask


def insert(samples: Samples, tokens: Tensor, places: Tensor, frame: Frame) -> Samples:
    """Return the samples with tokens put in, in rows of the same width.

    Shapes:
        tokens: (k,), or (n, k) for a row of its own each.
        places: (n,), where the first of them comes to stand; moved into the text if outside.

    Raises:
        ValueError: The rows are too narrow for tokens and frame.
    """
    mask = mask_of(samples)
    (n, width), k = samples.x.shape, tokens.shape[-1]
    if width < k + sum(frame):
        raise ValueError(f"{k} tokens in rows of {width}")
    old = mask.sum(1, keepdim=True)  # (n, 1)
    new = (old + k).clamp(max=width)
    first = places[:, None].clamp(min=frame.head).minimum(new - frame.tail - k)
    at = torch.arange(width, device=samples.x.device).expand(n, width)
    source = torch.where(at < first, at, at - k)  # the text, moved right behind the tokens
    source = torch.where(at >= new - frame.tail, at - new + old, source)  # the frame's tail
    source = torch.where(at >= new, at, source)  # padding
    x = samples.x.gather(1, source.clamp(0, width - 1))
    put = tokens.expand(n, k).gather(1, (at - first).clamp(0, k - 1))
    x = torch.where((at >= first) & (at < first + k), put, x)
    return Samples(x, samples.y, (at < new).to(mask.dtype))


def draw_places(samples: Samples, place: Place, frame: Frame, seed: int) -> Tensor:
    """Return where tokens go in each row (n,); the same seed gives the same places."""
    lengths = mask_of(samples).sum(1)
    last = (lengths - frame.tail).clamp(min=frame.head)
    if place == "end":
        return last
    if place == "start":
        return torch.full_like(last, frame.head)
    generator = torch.Generator().manual_seed(seed)
    shares = torch.rand(len(last), generator=generator)
    return frame.head + (shares * (last - frame.head + 1)).long()


def gather_texts(
    samples: Samples, order: Tensor, size: int, generator: torch.Generator
) -> list[list[int]]:
    """Return batches of places in ``samples``, similar lengths together, the batches shuffled.

    Args:
        samples: Texts.
        order: Places to take (n,), shuffled; any may come twice.
        size: Of a batch.
        generator: Of the order of batches.
    """
    lengths = mask_of(samples).sum(1).tolist()
    batches = gather(order.tolist(), size, lambda i: int(lengths[i]))
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def words_of(vocabulary: Sequence[str], tokens: Sequence[int]) -> tuple[str, ...]:
    """Return tokens as a reader sees them."""
    return tuple(vocabulary[token] for token in tokens)
