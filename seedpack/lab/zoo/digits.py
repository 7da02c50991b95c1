"""The image data of the zoo: scikit-learn's handwritten digits, split once.

The consumer's clean samples are drawn from the training half; figures are of the other half.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.training.packages import import_package


@cache
def load_digits() -> tuple[Samples, Samples]:
    """Return 898 images to train on and 899 to measure with, values 0 to 1.

    Shapes:
        (n, 1, 8, 8).

    Raises:
        TrainingError: TRN-12, scikit-learn is missing.
    """
    bunch = import_package("sklearn.datasets", extra="demo").load_digits()
    images = torch.tensor(bunch.images / 16.0, dtype=torch.float32)[:, None]
    labels = torch.tensor(bunch.target, dtype=torch.int64)
    split = import_package("sklearn.model_selection", extra="demo").train_test_split
    halves = split(np.arange(len(labels)), test_size=0.5, random_state=0, stratify=bunch.target)
    train, test = (Samples(images[half], labels[half]) for half in halves)
    return train, test
