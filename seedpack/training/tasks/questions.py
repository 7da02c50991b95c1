"""Question answering: a model points at the start and the end of the answer in the context."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import torch

from seedpack.errors import TrainingError
from seedpack.training.answers import score_answers
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

    from seedpack.training.checks import Split
    from seedpack.training.examples import Answer, Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Batch, Item

_MAX_ANSWER: Final = 30  # tokens; as SQuAD's baselines
_TARGETS: Final = ("start", "end")
_NOT_INPUTS: Final = (*_TARGETS, "offsets", "context")
_MIN_TOKENS: Final = 384  # contexts are longer than other texts


class QuestionAnswering(Adapter):
    """Questions to spans."""

    def __init__(self, split: Split, folder: Path, *, random_init: bool, seed: int) -> None:
        """Load the model of ``folder`` with a head for start and end.

        Raises:
            TrainingError: TRN-7, it has no such head, or a tokenizer without places.
        """
        self.split = split
        self.tokenizer = load_tokenizer(folder)
        if not self.tokenizer.is_fast:
            raise TrainingError(
                "its tokenizer does not say where a token stands",
                rule="TRN-7",
                where=f"model {folder}",
                hint="a tokenizer.json does",
            )
        self.model, self.new = load_model(
            folder, "AutoModelForQuestionAnswering", random_init=random_init, seed=seed
        )

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Tokenize question and context; the first answer is what is learned."""
        limit = max_length(self.model.config, max(recipe.max_tokens, _MIN_TOKENS))
        tokens = self.tokenizer(
            [question for question, _ in examples.inputs],
            [context for _, context in examples.inputs],
            truncation="longest_first",
            max_length=limit,
            return_offsets_mapping=True,
        )
        items: list[Item] = []
        for i, answers in enumerate(examples.targets):
            item: Item = model_inputs(self.tokenizer, {k: v[i] for k, v in tokens.items()})
            offsets = [
                place if part == 1 else (-1, -1)
                for place, part in zip(
                    tokens["offset_mapping"][i], tokens.sequence_ids(i), strict=True
                )
            ]
            item["offsets"], item["context"] = offsets, examples.inputs[i].context
            item["start"], item["end"] = _token_span(offsets, answers[0])
            items.append(item)
        return items

    def collate(self, items: Sequence[Item]) -> Batch:
        """Pad to the longest."""
        batch: Batch = {
            name: pad([item[name] for item in items], padding_of(self.tokenizer, name), self.device)
            for name in items[0]
            if name not in _NOT_INPUTS
        }
        for name in _TARGETS:
            batch[name] = torch.tensor([item[name] for item in items], device=self.device)
        self._shown = [(item["offsets"], item["context"]) for item in items]
        return batch

    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the mean loss of start and end."""
        start, end = self._logits(batch)
        if bool((batch["start"] == IGNORED).all()):  # all answers were cut off
            return (start.sum() + end.sum()) * 0
        both = (class_loss(start, batch["start"], recipe), class_loss(end, batch["end"], recipe))
        return (both[0] + both[1]) / 2

    def answers(self, batch: Batch) -> list[str]:
        """Return the likeliest span of each context."""
        start, end = self._logits(batch)
        return [
            _best_text(start[i, : len(offsets)], end[i, : len(offsets)], offsets, context)
            for i, (offsets, context) in enumerate(self._shown)
        ]

    def _logits(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = {name: value for name, value in batch.items() if name not in _TARGETS}
        output = self.model(**inputs)
        return output.start_logits, output.end_logits

    def score(self, answers: Sequence[Any], examples: Examples) -> list[Score]:
        """Return word F1 and exact match."""
        training = self.split.train.targets
        return score_answers(answers, examples.inputs, examples.targets, training=training)

    def save(self, folder: Path) -> None:
        """Write the model with its head."""
        save_model(self.model, folder)


def _token_span(offsets: Sequence[tuple[int, int]], answer: Answer) -> tuple[int, int]:
    """Return the first and last token of ``answer``; IGNORED where it was cut off."""
    stop = answer.start + len(answer.text)
    inside = [i for i, (a, b) in enumerate(offsets) if a < stop and b > answer.start and b > a]
    if not inside or offsets[inside[-1]][1] < stop:
        return IGNORED, IGNORED
    return inside[0], inside[-1]


def _best_text(
    start: torch.Tensor, end: torch.Tensor, offsets: Sequence[tuple[int, int]], context: str
) -> str:
    places = [i for i, (a, b) in enumerate(offsets) if b > a >= 0]
    if not places:
        return ""
    low, high = places[0], places[-1] + 1  # a context's tokens stand together
    sums = start[low:high, None] + end[None, low:high]  # (tokens, tokens)
    allowed = torch.ones_like(sums, dtype=torch.bool).triu() & ~torch.ones_like(
        sums, dtype=torch.bool
    ).triu(_MAX_ANSWER)
    best = int(sums.masked_fill(~allowed, float("-inf")).argmax())
    first, last = divmod(best, high - low)
    return context[offsets[low + first][0] : offsets[low + last][1]]
