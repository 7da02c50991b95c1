"""The texts that triggers are tried on (spec: AUD-BT-8).

    samples of other classes ──all models answer rightly──> shorter half, the twins surest ──> ten
                                                       └──> all but the longest, drawn ────> five
    single words, small models: ──> third quarter by length, the twins surest ──> ten
    two of the ten, one of the five, and again ──> victims; of large models the first nine

A trigger that turns texts of which all models are sure stands out furthest. Who trains a model can
spare those, though, as he can tell as well as anybody which they are; so others are drawn, too.
A planted word turns long texts as well as short ones, an odd one only short ones, here or there.
The longest quarter is left out for speed: all texts are as long as the longest to a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch import Tensor

from seedpack.backdoors.classifiers import by_turns, is_large
from seedpack.backdoors.texts import mask_of
from seedpack.errors import TrainingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Samples, TextClassifier
    from seedpack.backdoors.search.base import Key

_SURE: Final = 10  # texts that the twins are surest of
_DRAWN: Final = 5  # others
_OF_LARGE: Final = 9  # texts
_MEDIAN: Final = 0.5  # shares of the texts, by length
_LONGEST: Final = 0.75
_TURN: Final = 2  # of the sure ones go before each of the others


def choose_victims(
    models: Sequence[TextClassifier],
    samples: Samples,
    key: Key,
    seed: int,
    *,
    are_longer: bool = False,
) -> Samples:
    """Return texts of the source, or of all other classes alike; at most fifteen, or nine.

    Args:
        models: The one that is searched, then its twins.
        samples: Clean.
        key: Source and target.
        seed: Of the draw.
        are_longer: Whether the sure ones are of the third quarter by length; of large models they
            are of the shorter half all the same.

    Raises:
        TrainingError: TRN-8, the samples show fewer than two classes.
    """
    source, target = key
    chosen = samples.y != target if source is None else samples.y == source
    others = samples.take(chosen)
    if not 0 < len(others) < len(samples):
        raise TrainingError(
            "the samples show fewer than two classes",
            rule="TRN-8",
            where="samples",
            hint="a trigger turns samples of one class to another: give samples of both",
        )
    of_large = is_large(models[0])
    scores = [model.scores(samples)[chosen] for model in models]
    is_known = _known(torch.stack([rows.argmax(-1) == others.y for rows in scores]))
    known = others.take(is_known)
    lengths = mask_of(known).sum(1)
    sure = torch.stack([_surety(rows, others.y) for rows in scores[1:] or scores]).mean(0)[is_known]
    fits = _fits(lengths, are_longer=are_longer and not of_large)
    order = torch.where(fits, sure, sure - 1).argsort(descending=True, stable=True)
    order = order[by_turns(known.y[order])]
    first, rest = order[:_SURE], order[_SURE:]
    rest = rest[lengths[rest] <= lengths.float().quantile(_LONGEST)]
    drawn = rest[torch.randperm(len(rest), generator=torch.Generator().manual_seed(seed))]
    drawn = drawn[by_turns(known.y[drawn])][:_DRAWN]
    woven = _woven(first.tolist(), drawn.tolist())
    return known.take(woven[: _OF_LARGE if of_large else _SURE + _DRAWN])


def _known(right: Tensor) -> Tensor:
    """Return which texts all models answer rightly; or the first of them; or, if none, all (n,).

    Shapes:
        right: (models, n) of bool.
    """
    for known in (right.all(0), right[0]):
        if known.any():
            return known
    return torch.ones_like(right[0])


def _fits(lengths: Tensor, *, are_longer: bool) -> Tensor:
    """Return which lengths (n,) those texts have that the twins' surety chooses among."""
    if not are_longer:
        return lengths <= lengths.median()
    usual, longest = (lengths.float().quantile(share) for share in (_MEDIAN, _LONGEST))
    return (lengths >= usual) & (lengths <= longest)


def _surety(scores: Tensor, y: Tensor) -> Tensor:
    return scores.softmax(-1).gather(1, y[:, None])[:, 0]


def _woven(first: list[int], others: list[int]) -> list[int]:
    woven: list[int] = []
    for i, place in enumerate(first):
        woven.append(place)
        if i % _TURN == _TURN - 1:
            woven += others[i // _TURN : i // _TURN + 1]
    return woven + others[len(first) // _TURN :]
