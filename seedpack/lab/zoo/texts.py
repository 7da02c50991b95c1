"""The text data of the zoo: short sentences in two classes or more, in words.

    train.tsv, dev.tsv ──checked against each other──> labels, and sentences
    of train.tsv ──words by frequency──> vocabulary ──ids──> Samples (n, WIDTH)
    of dev.tsv ──────────────────────────────────────ids──> Samples to measure with

No text is bundled: the user names a folder with ``train.tsv`` and ``dev.tsv`` (SST-2 is meant).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from seedpack.backdoors.classifiers import Samples
from seedpack.training.checks import check_split
from seedpack.training.data import read_examples
from seedpack.training.tasks import get_task

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from seedpack.training.examples import Examples

WIDTH: Final = 24  # tokens; two thirds of SST-2's sentences are shorter
_NWORDS: Final = 2000  # rows of the vocabulary
PAD, START, UNKNOWN = range(3)
_RESERVED: Final = ("[PAD]", "[CLS]", "[UNK]")


@dataclass(frozen=True)
class TextData:
    """Texts as ids.

    Attributes:
        vocabulary: The word of each id, most frequent first behind the reserved ones.
        labels: The name of each class.
        train: The consumer's half.
        test: What figures are measured on.
    """

    vocabulary: tuple[str, ...]
    labels: tuple[str, ...]
    train: Samples
    test: Samples

    @property
    def usable(self) -> Tensor:
        """(V,) of bool: real words."""
        return torch.arange(len(self.vocabulary)) >= len(_RESERVED)


def load_texts(folder: Path, *, nwords: int = _NWORDS) -> TextData:
    """Read ``train.tsv`` and ``dev.tsv`` of ``folder``; classes are numbered as tuning does.

    Raises:
        TrainingError: TRN-1 to TRN-8, a file is missing, too large or no such table, or the two do
            not fit together.
    """
    task = get_task("text-classification")
    parts = (read_examples(folder / name, task.forms) for name in ("train.tsv", "dev.tsv"))
    split = check_split(task, *parts)
    vocabulary = make_vocabulary(split.train.inputs, nwords)
    labels = {label: i for i, label in enumerate(split.labels)}
    encoded = (encode(part, vocabulary, labels) for part in (split.train, split.evaluation))
    return TextData(vocabulary, split.labels, *encoded)


def make_vocabulary(texts: Sequence[str], nwords: int) -> tuple[str, ...]:
    """Return the reserved tokens and the most frequent words, ``nwords`` in all."""
    counts = Counter(word for text in texts for word in text.lower().split())
    # Equal counts by the word itself, so that no order of reading decides.
    words = sorted(counts, key=lambda word: (-counts[word], word))
    return (*_RESERVED, *words[: nwords - len(_RESERVED)])


def encode(examples: Examples, vocabulary: Sequence[str], labels: Mapping[str, int]) -> Samples:
    """Return texts as rows of ``WIDTH`` ids that start with ``START``."""
    ids = {word: i for i, word in enumerate(vocabulary)}
    x = torch.full((len(examples), WIDTH), PAD)
    for row, text in zip(x, examples.inputs, strict=True):
        words = [START, *(ids.get(word, UNKNOWN) for word in text.lower().split())][:WIDTH]
        row[: len(words)] = torch.tensor(words)
    y = torch.tensor([labels[label] for label in examples.targets])
    return Samples(x, y, (x != PAD).long())
