"""Language modelling: each token after the first, or, for encoders, masked ones.

A causal model predicts every next token. A masked one gets every seventh token masked, at places
that depend on the text's place in the data alone, so that arms and seeds are asked the same.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from torch.nn import functional

from seedpack.errors import TrainingError
from seedpack.training.objectives import IGNORED, class_loss
from seedpack.training.scores import score_language
from seedpack.training.tasks.base import Adapter, pad
from seedpack.training.tasks.transformer import load_model, load_tokenizer, max_length, save_model

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import torch

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Batch, Item

_MASKED_EVERY: Final = 7  # 14 %, near BERT's 15 %


class LanguageModeling(Adapter):
    """Texts to their own tokens."""

    def __init__(self, split: Split, folder: Path, *, random_init: bool, seed: int) -> None:
        """Load the model of ``folder`` with its language head.

        Raises:
            TrainingError: TRN-7, it has none.
        """
        self.split = split
        self.tokenizer = load_tokenizer(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        self._is_masked = not _is_causal(config)
        kind = "AutoModelForMaskedLM" if self._is_masked else "AutoModelForCausalLM"
        self.model, self.new = load_model(folder, kind, random_init=random_init, seed=seed)
        if self._is_masked and self.tokenizer.mask_token_id is None:
            raise TrainingError("no token for a mask", rule="TRN-7", where=f"model {folder}")

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Tokenize; longer texts are cut."""
        limit = max_length(self.model.config, recipe.max_tokens)
        tokens = self.tokenizer(list(examples.inputs), truncation=True, max_length=limit)
        rows: list[list[int]] = tokens["input_ids"]
        return [self._item(row, place) for place, row in enumerate(rows)]

    def _item(self, row: list[int], place: int) -> Item:
        if not self._is_masked:
            return {"input_ids": row, "label": [IGNORED, *row[1:]]}
        random = np.random.Generator(np.random.PCG64(place))
        special = set(self.tokenizer.all_special_ids)
        places = [i for i, token in enumerate(row) if token not in special]
        count = min(max(len(places) // _MASKED_EVERY, 1), len(places))
        masked = set(random.choice(places, count, replace=False).tolist()) if places else set()
        shown = [self.tokenizer.mask_token_id if i in masked else t for i, t in enumerate(row)]
        return {
            "input_ids": shown,
            "label": [t if i in masked else IGNORED for i, t in enumerate(row)],
        }

    def collate(self, items: Sequence[Item]) -> Batch:
        """Pad to the longest."""
        rows = [item["input_ids"] for item in items]
        return {
            "input_ids": pad(rows, padding_of_ids(self.tokenizer), self.device),
            "attention_mask": pad([[1] * len(row) for row in rows], 0, self.device),
            "label": pad([item["label"] for item in items], IGNORED, self.device),
        }

    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the mean loss of the tokens asked for."""
        logits, wanted = self._aligned(batch)
        return class_loss(logits, wanted, recipe)

    def answers(self, batch: Batch) -> list[tuple[float, int, int]]:
        """Return of each text its summed loss, its hits and how many tokens were asked for."""
        logits, wanted = self._aligned(batch)
        losses = functional.cross_entropy(
            logits.transpose(1, 2), wanted, ignore_index=IGNORED, reduction="none"
        ).sum(1)
        hits = (logits.argmax(-1) == wanted).sum(1)
        asked = (wanted != IGNORED).sum(1)
        return list(zip(losses.tolist(), hits.tolist(), asked.tolist(), strict=True))

    def _aligned(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return logits and what they should be, at the same places."""
        inputs = {name: batch[name] for name in ("input_ids", "attention_mask")}
        logits, wanted = self.model(**inputs).logits, batch["label"]
        return (logits, wanted) if self._is_masked else (logits[:, :-1], wanted[:, 1:])

    def score(self, answers: Sequence[Any], examples: Examples) -> list[Score]:
        """Return next-token accuracy (masked tokens, for encoders) and perplexity."""
        nll, hits, counts = np.asarray(answers, np.float64).T
        vocabulary = int(self.model.config.vocab_size)
        unigram = self._unigram(examples, vocabulary)
        return score_language(nll, hits, counts, vocabulary=vocabulary, unigram=unigram)

    def _unigram(self, examples: Examples, vocabulary: int) -> tuple[float, float]:
        """Return accuracy and loss per token of the training data's frequencies, plus one each."""
        train, wanted = (
            list(chain.from_iterable(self.tokenizer(list(part.inputs))["input_ids"]))
            for part in (self.split.train, examples)
        )
        counts = Counter(train)
        total = len(train) + vocabulary
        usual = counts.most_common(1)[0][0]
        losses = [np.log(total / (counts[token] + 1)) for token in wanted]
        return float(np.mean([token == usual for token in wanted])), float(np.mean(losses))

    def save(self, folder: Path) -> None:
        """Write the model with its head."""
        save_model(self.model, folder)


def padding_of_ids(tokenizer: Any) -> int:  # noqa: ANN401 -- transformers' own
    """Return what rows of tokens are filled up with."""
    return int(tokenizer.pad_token_id or 0)


def _is_causal(config: dict[str, Any]) -> bool:
    from transformers.models.auto import modeling_auto  # noqa: PLC0415 -- slow to import

    causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
    masked = modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES
    kind = config.get("model_type")
    stored = (config.get("architectures") or [""])[0]
    if kind in causal and kind in masked:  # BERT is both, as a class; as a model it is what it was
        return bool(config.get("is_decoder")) or stored.endswith(("ForCausalLM", "LMHeadModel"))
    return kind in causal
