"""Batches of similar lengths: for training, and for evaluation, without gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from seedpack.training.tasks.base import Adapter, Item

_SIZE: Final = 64
_POOLED: Final = 8  # batches among which examples are sorted by length


def gather(order: Sequence[int], size: int, length: Callable[[int], int]) -> list[list[int]]:
    """Return batches of ``size``, each of similar lengths, from what stands close in ``order``.

    Args:
        order: Examples, shuffled.
        size: Of a batch.
        length: Of an example.
    """
    batches = []
    for start in range(0, len(order), size * _POOLED):
        pool = sorted(order[start : start + size * _POOLED], key=length)
        batches += [pool[i : i + size] for i in range(0, len(pool), size)]
    return batches


def evaluation_batches(
    adapter: Adapter, items: Sequence[Item]
) -> Iterator[tuple[dict[str, torch.Tensor], list[int]]]:
    """Yield batches with the indices of their items; the model is in evaluation."""
    adapter.model.eval()
    order = sorted(range(len(items)), key=lambda i: adapter.length(items[i]))
    with torch.no_grad():
        for start in range(0, len(order), _SIZE):
            chosen = order[start : start + _SIZE]
            yield adapter.collate([items[i] for i in chosen]), chosen


def answer(adapter: Adapter, items: Sequence[Item]) -> list[Any]:
    """Return the model's answer to each item, in their order."""
    answers: dict[int, Any] = {}
    for batch, chosen in evaluation_batches(adapter, items):
        answers.update(zip(chosen, adapter.answers(batch), strict=True))
    return [answers[i] for i in range(len(items))]
