"""A model's scores on the scale of its twins', before it is searched (spec: AUD-BD-9).

    clean samples ──model, twins──> margin of each: the best score less the next
                                    three quarters of the margins are at most ──> spread
    model ──scores times the twins' mean spread / its own──> what is searched

Scores that are a third as large change no answer. Every search weighs them against the twins',
though: whatever a trigger does would look a third as large, and be passed over.

An upper quartile, as neither answers that are nearly drawn nor a few that are made very sure move
it; of the best two scores, as classes that never come near the answer may have any.
"""

from __future__ import annotations

import math
from statistics import fmean
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples

_SHARE: Final = 0.75  # of the samples, whose margins are at most the spread


def level(classifier: Classifier, contrast: Sequence[Classifier], samples: Samples) -> Classifier:
    """Return the same model with scores on the scale of the others'.

    Args:
        classifier: Is not changed.
        contrast: Clean twins; with none, or where a scale is nothing or no number, the model is
            returned as it is.
        samples: Clean.
    """
    if not contrast:
        return classifier
    factor = fmean(spread(twin, samples) for twin in contrast) / max(
        spread(classifier, samples), math.ulp(0.0)
    )
    return classifier.scaled(factor) if 0 < factor < math.inf else classifier


def spread(classifier: Classifier, samples: Samples) -> float:
    """Return the upper quartile of the margins of answers.

    Args:
        classifier: Of two classes or more.
        samples: At least one.
    """
    best = classifier.scores(samples).topk(2, dim=1).values
    return float((best[:, 0] - best[:, 1]).quantile(_SHARE))
