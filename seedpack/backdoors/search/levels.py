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

from seedpack.backdoors.search.calibration import not_a_number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.backdoors.classifiers import Classifier, Samples

_SHARE: Final = 0.75  # of the samples, whose margins are at most the spread


def level(classifier: Classifier, contrast: Sequence[Classifier], samples: Samples) -> Classifier:
    """Return the same model with scores on the scale of the others'.

    Args:
        classifier: Is not changed.
        contrast: Clean twins; with none, or where answers are all alike, the model is returned
            as it is.
        samples: Clean.

    Raises:
        TrainingError: TRN-13, the answer to a sample is no number: without a scale, what the model
            hides could look as small as somebody likes.
    """
    if not contrast:
        return classifier
    scale = scale_beside(classifier, contrast, samples)
    return classifier.scaled(1 / scale) if 0 < scale < math.inf else classifier


def scale_beside(classifier: Classifier, contrast: Sequence[Classifier], samples: Samples) -> float:
    """Return how far a model's scores lie apart, in those of its twins, of which there are some.

    Raises:
        TrainingError: TRN-13, an answer is no number.
    """
    own = spread(classifier, samples)
    others = fmean(spread(twin, samples) for twin in contrast)
    return own / others if others else math.inf


def spread(classifier: Classifier, samples: Samples) -> float:
    """Return the upper quartile of the margins of answers.

    Args:
        classifier: Of two classes or more.
        samples: At least one.

    Raises:
        TrainingError: TRN-13, an answer is no number.
    """
    scores = classifier.scores(samples)
    if not scores.isfinite().all():
        raise not_a_number("clean samples")
    best = scores.topk(2, dim=1).values
    return float((best[:, 0] - best[:, 1]).quantile(_SHARE))
