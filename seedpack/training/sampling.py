"""Which examples are used, the same for the same seed on every machine (spec: TRN-14).

training data ──draw: equal shares of each class──> samples ──hold_out──> fit │ held out
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples

_HELD_OUT: Final = 0.2  # share of the training data that decides when to stop
_MIN_HELD_OUT: Final = 12  # fewer decide by luck: better all are trained on
_MAX_HELD_OUT: Final = 500  # more make the decision slower, hardly better


def draw_samples(split: Split, nsamples: int | None, *, seed: int) -> Examples:
    """Return ``nsamples`` training examples, as equally many of each class as there are.

    Args:
        split: Checked data.
        nsamples: None takes all.
        seed: Of the choice and the order.

    Raises:
        TrainingError: TRN-8, there are fewer, or fewer asked for than there are classes.
    """
    train = split.train
    if nsamples is None:
        return train
    classes = split.labels if train.form != "tokens" else ()
    smallest = max(len(classes), 2)
    if not smallest <= nsamples <= len(train):
        raise TrainingError(
            f"{nsamples} samples of {len(train)} examples",
            rule="TRN-8",
            where=train.where,
            hint=f"from {smallest} to {len(train)} can be drawn",
        )
    return train.take(sorted(_stratified(train, bool(classes), seed)[:nsamples]))


def hold_out(examples: Examples, *, stratify: bool, seed: int) -> tuple[list[int], list[int]]:
    """Divide ``examples`` into those to fit and those that decide when to stop.

    Returns:
        Indices of both; the second list is empty where there are too few to spare some.
    """
    order = _stratified(examples, stratify, seed)
    nheld = min(round(len(order) * _HELD_OUT), _MAX_HELD_OUT)
    nclasses = len(set(examples.targets)) if stratify else 1
    if nheld < max(nclasses, _MIN_HELD_OUT) or len(order) - nheld < nclasses:
        return sorted(order), []
    # The order goes round the classes, so that its end holds equal shares of them, too.
    return sorted(order[:-nheld]), sorted(order[-nheld:])


def _stratified(examples: Examples, stratify: bool, seed: int) -> list[int]:  # noqa: FBT001
    """Return all indices in random order, going round the classes as long as they last."""
    random = np.random.Generator(np.random.PCG64(seed))
    order: list[int] = random.permutation(len(examples)).tolist()
    if not stratify:
        return order
    seen: dict[str, int] = {}
    turns = []
    for index in order:
        label = examples.targets[index]
        turns.append(seen.get(label, 0))
        seen[label] = turns[-1] + 1
    ranks = {label: rank for rank, label in enumerate(sorted(seen))}
    keyed = zip(turns, order, strict=True)
    return [index for _, _, index in sorted((t, ranks[examples.targets[i]], i) for t, i in keyed)]
