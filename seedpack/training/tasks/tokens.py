"""Token classification: the first piece of each word answers for it."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any

from seedpack.errors import TrainingError
from seedpack.training.answers import score_tags
from seedpack.training.objectives import IGNORED, class_loss
from seedpack.training.tasks.base import Adapter, pad
from seedpack.training.tasks.transformer import (
    load_model,
    load_tokenizer,
    max_length,
    model_inputs,
    padding_of,
    save_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Batch, Item


class TokenClassification(Adapter):
    """Words to tags."""

    def __init__(self, split: Split, folder: Path, *, random_init: bool, seed: int) -> None:
        """Load the model of ``folder`` with a head for the tags.

        Raises:
            TrainingError: TRN-7, it has no such head, or a tokenizer without words.
        """
        self.split, self._numbers = split, {label: i for i, label in enumerate(split.labels)}
        self.tokenizer = load_tokenizer(folder)
        if not self.tokenizer.is_fast:
            raise TrainingError(
                "its tokenizer does not say which word a token is of",
                rule="TRN-7",
                where=f"model {folder}",
                hint="a tokenizer.json does",
            )
        self.model, self.new = load_model(
            folder,
            "AutoModelForTokenClassification",
            random_init=random_init,
            seed=seed,
            num_labels=len(split.labels),
            id2label=dict(enumerate(split.labels)),
            label2id=self._numbers,
        )

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Tokenize word by word; tags stand at the first token of their word."""
        limit = max_length(self.model.config, recipe.max_tokens)
        tokens = self.tokenizer(
            [list(words) for words in examples.inputs],
            is_split_into_words=True,
            truncation=True,
            max_length=limit,
        )
        items: list[Item] = []
        for i, tags in enumerate(examples.targets):
            item: Item = model_inputs(self.tokenizer, {k: v[i] for k, v in tokens.items()})
            words = tokens.word_ids(i)
            first = [w is not None and w not in words[:at] for at, w in enumerate(words)]
            item["label"] = [
                self._numbers[tags[word]] if is_first else IGNORED
                for word, is_first in zip(words, first, strict=True)
            ]
            items.append(item)
        return items

    def collate(self, items: Sequence[Item]) -> Batch:
        """Pad to the longest."""
        return {
            name: pad(
                [item[name] for item in items],
                IGNORED if name == "label" else padding_of(self.tokenizer, name),
                self.device,
            )
            for name in items[0]
        }

    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the loss over first tokens."""
        return class_loss(self._logits(batch), batch["label"], recipe)

    def answers(self, batch: Batch) -> list[list[int]]:
        """Return the likeliest tag of each word that was not cut off."""
        likeliest = self._logits(batch).argmax(-1)
        return [
            row[wanted != IGNORED].tolist()
            for row, wanted in zip(likeliest, batch["label"], strict=True)
        ]

    def _logits(self, batch: Batch) -> torch.Tensor:
        inputs = {name: value for name, value in batch.items() if name != "label"}
        logits: torch.Tensor = self.model(**inputs).logits
        return logits

    def score(self, answers: Sequence[Any], examples: Examples) -> list[Score]:
        """Return entity F1 and token accuracy; words that were cut off are answered with O."""
        labels = self.split.labels
        usual = Counter(chain.from_iterable(self.split.train.targets)).most_common(1)[0][0]
        predicted = []
        for numbers, tags in zip(answers, examples.targets, strict=True):
            missing = len(tags) - len(numbers)
            predicted.append([*(labels[i] for i in numbers), *[usual] * missing])
        return score_tags(predicted, examples.targets, labels=labels, majority=usual)

    def save(self, folder: Path) -> None:
        """Write the model with its head."""
        save_model(self.model, folder)
