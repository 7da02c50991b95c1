"""How good answers are: one table of numbers per metric, from which everything follows.

    answers, targets ──> stats (n, k): per example, what sums up ──reduce──> value
                                        resampled by statistics ──────────> interval

Every score carries two levels to stand beside it: *chance* (answers drawn uniformly) and
*majority* (always the answer that is most frequent in the training data).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOWER_IS_BETTER: Final = frozenset({"perplexity"})


@dataclass(frozen=True)
class Score:
    """One metric of one model on one evaluation set.

    Attributes:
        metric: Its name.
        stats: (n, k), one row per example; ``value`` depends on their sum alone.
        chance: The value of uniformly random answers.
        majority: The value of always giving the most frequent answer of the training data.
    """

    metric: str
    stats: Floats
    chance: float
    majority: float

    @property
    def n(self) -> int:
        """The number of examples."""
        return len(self.stats)

    @property
    def value(self) -> float:
        """The metric over all examples."""
        return float(reduce_stats(self.metric, self.stats.sum(axis=0)))


def reduce_stats(metric: str, sums: Floats) -> Floats:
    """Return the metric of summed statistics (..., k)."""
    value: Floats = _REDUCERS[metric](sums)
    return value


def _share(sums: Floats) -> Floats:
    """Return correct / asked of (correct, asked)."""
    return sums[..., 0] / np.maximum(sums[..., 1], 1e-12)


def _f1(sums: Floats) -> Floats:
    """Return F1 of (hits, wrong, missed); 0 where there is nothing."""
    hits = 2 * sums[..., 0]
    return hits / np.maximum(hits + sums[..., 1] + sums[..., 2], 1e-12)


def _macro_f1(sums: Floats) -> Floats:
    """Return the mean F1 over the classes that occur or are answered."""
    each = sums.reshape(*sums.shape[:-1], -1, 3)  # (..., classes, 3)
    occurs = each.sum(axis=-1) > 0
    total: Floats = (_f1(each) * occurs).sum(axis=-1) / np.maximum(occurs.sum(axis=-1), 1)
    return total


def _r2(sums: Floats) -> Floats:
    """Return 1 - squared error / variance of (squared error, y, y squared, 1)."""
    variance = sums[..., 2] - sums[..., 1] ** 2 / sums[..., 3]
    return 1 - sums[..., 0] / np.maximum(variance, 1e-12)


_REDUCERS: Final[dict[str, Callable[[Any], Any]]] = {
    "accuracy": _share,
    "macro-f1": _macro_f1,
    "entity-f1": _f1,
    "token-accuracy": _share,
    "exact-match": _share,
    "f1": _share,
    "next-token-accuracy": _share,
    "perplexity": lambda sums: np.exp(np.minimum(_share(sums), 700.0)),  # below overflow
    "r2": _r2,
}


def score_classes(
    predicted: Sequence[int], targets: Sequence[int], *, nclasses: int, majority: int
) -> list[Score]:
    """Score classes.

    Args:
        predicted: Class numbers.
        targets: Class numbers, as many.
        nclasses: How many classes there are.
        majority: The most frequent class of the training data.

    Returns:
        Accuracy and macro-F1.
    """
    asked, given = np.asarray(targets), np.asarray(predicted)
    constant = np.full_like(asked, majority)
    prior = np.bincount(asked, minlength=nclasses) / len(asked)
    # Guessing uniformly, a class has precision = its share and recall = 1 / classes.
    guessed = 2 * prior / (nclasses * prior + 1)
    f1_chance = float(guessed[prior > 0].sum() / nclasses)
    return [
        Score(
            "accuracy",
            _correct(given == asked),
            1 / nclasses,
            float((constant == asked).mean()),
        ),
        Score(
            "macro-f1",
            _by_class(given, asked, nclasses),
            f1_chance,
            float(_macro_f1(_by_class(constant, asked, nclasses).sum(axis=0))),
        ),
    ]


def _correct(hits: NDArray[Any]) -> Floats:
    return np.stack([hits.astype(np.float64), np.ones(len(hits))], axis=1)


def _by_class(given: NDArray[Any], asked: NDArray[Any], nclasses: int) -> Floats:
    """Return (n, 3 * classes): hit, wrong, missed, class by class."""
    table = np.zeros((len(asked), nclasses, 3))
    rows = np.arange(len(asked))
    hit = given == asked
    table[rows[hit], asked[hit], 0] = 1
    table[rows[~hit], given[~hit], 1] = 1
    table[rows[~hit], asked[~hit], 2] = 1
    return table.reshape(len(asked), -1)


def score_numbers(predicted: Floats, targets: Floats, *, mean: float) -> list[Score]:
    """Score numbers by R squared; the constant answer is the training data's mean."""
    wanted = targets.astype(np.float64)

    def stats(given: Floats) -> Floats:
        error = np.square(given.astype(np.float64) - wanted)
        return np.stack([error, wanted, np.square(wanted), np.ones(len(wanted))], axis=1)

    majority = float(_r2(stats(np.full(len(wanted), mean)).sum(axis=0)))
    # A guess that knows nothing of x does no better than the mean: R squared 0.
    return [Score("r2", stats(predicted), 0.0, majority)]


def score_language(
    nll: Floats, hits: Floats, counts: Floats, *, vocabulary: int, unigram: tuple[float, float]
) -> list[Score]:
    """Score a language model.

    Args:
        nll: (n,) natural-log losses, summed over the tokens of each text.
        hits: (n,) tokens that were the likeliest.
        counts: (n,) tokens.
        vocabulary: How many tokens there are.
        unigram: Accuracy and loss per token of the training data's token frequencies.
    """
    return [
        Score("next-token-accuracy", np.stack([hits, counts], axis=1), 1 / vocabulary, unigram[0]),
        Score(
            "perplexity",
            np.stack([nll, counts], axis=1),
            float(vocabulary),
            math.exp(min(unigram[1], 700.0)),
        ),
    ]
