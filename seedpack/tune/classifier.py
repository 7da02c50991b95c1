"""A tuned text classifier, loaded again: encoder, head and labels of one folder.

OUT/model.safetensors ──> encoder, head ─┐
OUT/config.json ──> architecture, labels ┴──> predict(texts) ──> labels
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class TunedClassifier:
    """What ``tune`` made of an encoder without a classifier of its own.

    Attributes:
        labels: In the order of the outputs.
        model: A torch module: tokens to logits.
        tokenizer: Of the folder.
    """

    labels: tuple[str, ...]
    model: Any
    tokenizer: Any

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Return the likeliest label of each text."""
        from seedpack.training.tasks.text import classify  # noqa: PLC0415 -- torch

        return [self.labels[i] for i in classify(self.model, self.tokenizer, texts)]


def load_classifier(folder: Path) -> TunedClassifier:
    """Load what ``tune`` wrote for text-classification.

    Raises:
        TrainingError: TRN-7, the folder holds no such model; TRN-12, a package is missing.
    """
    from seedpack.training.tasks.text import load_pooled  # noqa: PLC0415 -- torch

    return TunedClassifier(*load_pooled(folder))
