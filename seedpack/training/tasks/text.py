"""Text classification.

    text ──tokens──> encoder ──mean over the tokens, layer by layer──> linear head ──> classes

A model that was stored with a classifier keeps its own class and head. Any other encoder gets
a head over the means of all its hidden states: a first-token pooler that was never trained, as
in sentence encoders, wastes the samples, and lower layers often know more of the task. The head
lies among the encoder's own tensors, so that it travels wherever they do, in a seed, too, and
``AutoModel`` still loads the folder.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import torch
from safetensors import SafetensorError, safe_open

from seedpack.errors import TrainingError
from seedpack.training.batches import evaluation_batches
from seedpack.training.heads import fit_head
from seedpack.training.objectives import class_loss
from seedpack.training.scores import score_classes
from seedpack.training.tasks.base import Adapter, pad
from seedpack.training.tasks.transformer import (
    load_model,
    load_tokenizer,
    max_length,
    model_inputs,
    name_parameters,
    padding_of,
    save_model,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Batch, Item

_HEAD: Final = "classifier"
_STORED_HEAD: Final = "classifier_over_layer_means."  # no class of transformers has that name
_BATCH: Final = 64
_MAX_FITTED: Final = 2000  # examples that a new head is first fitted to


class PooledClassifier(torch.nn.Module):
    """An encoder with a linear head over the means of the hidden states of all its layers."""

    def __init__(self, encoder: Any, nlabels: int) -> None:  # noqa: ANN401 -- transformers' own
        """Put a new head on ``encoder``, which starts at even chances."""
        super().__init__()
        self.encoder = encoder
        width = encoder.config.hidden_size * (encoder.config.num_hidden_layers + 1)
        self.classifier = torch.nn.Linear(width, nlabels)
        torch.nn.init.zeros_(self.classifier.weight)
        torch.nn.init.zeros_(self.classifier.bias)

    def features(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return (texts, layers x width), each layer's part of length 1."""
        output = self.encoder(**batch, output_hidden_states=True)
        states = output.hidden_states or (output.last_hidden_state,)  # none: no layers (a student)
        hidden = torch.stack(states, 1)  # (texts, layers, tokens, width)
        mask = batch["attention_mask"][:, None, :, None].to(hidden.dtype)  # (texts, 1, tokens, 1)
        means = (hidden * mask).sum(2) / mask.sum(2).clamp(min=1)  # (texts, layers, width)
        return torch.nn.functional.normalize(means, dim=-1).flatten(1)

    def forward(self, **batch: torch.Tensor) -> torch.Tensor:
        """Return logits (texts, labels)."""
        logits: torch.Tensor = self.classifier(self.features(**batch))
        return logits


class TextClassification(Adapter):
    """Texts to classes."""

    def __init__(self, split: Split, folder: Path, *, random_init: bool, seed: int) -> None:
        """Load the model of ``folder``.

        Raises:
            TrainingError: TRN-7, it is no text model.
        """
        self.split, self._numbers = split, {label: i for i, label in enumerate(split.labels)}
        self.tokenizer = load_tokenizer(folder)
        config = json.loads((folder / "config.json").read_text("utf-8"))
        stored = config.get("architectures") or [""]
        self._has_own_head = stored[0].endswith("ForSequenceClassification")
        kind = "AutoModelForSequenceClassification" if self._has_own_head else "AutoModel"
        settings = {"num_labels": len(split.labels)} if self._has_own_head else {}
        model, self.new = load_model(folder, kind, random_init=random_init, seed=seed, **settings)
        self.config = model.config
        if self.config.is_encoder_decoder or not hasattr(self.config, "num_hidden_layers"):
            raise TrainingError(
                "no stack of layers that reads a text", rule="TRN-7", where=f"model {folder}"
            )
        if self._has_own_head:
            model.config.id2label = dict(enumerate(split.labels))
            model.config.label2id = self._numbers
            self.model = model
            own = _labels_of(config)
            if own != split.labels and set(own) == set(split.labels):
                self.new = (*self.new, _HEAD)  # it knows the labels by other numbers: no zero-shot
        else:
            self.model, self.new = PooledClassifier(model, len(split.labels)), (_HEAD,)
            if not random_init and _labels_of(config) == split.labels:
                self._take_stored_head(folder)

    def _take_stored_head(self, folder: Path) -> None:
        """Go on from the head that a tuning for the same labels stored, if there is one."""
        try:
            head = _stored_head(folder)
            self.model.classifier.load_state_dict(head)
            self.new = ()
        except (SafetensorError, OSError, RuntimeError):
            return  # none, or of another shape: the new head stays

    def warm_start(self, items: Sequence[Item], held_out: Sequence[Item], recipe: Recipe) -> None:
        """Fit a new head to the features as they are, before anything below it moves.

        Source:
            Kumar et al., Fine-Tuning can Distort Pretrained Features, ICLR 2022.
        """
        if self._has_own_head or not self.new:
            return
        fitted, held = (self._features(part[:_MAX_FITTED]) for part in (items, held_out))
        nlabels = len(self.split.labels)
        weight, bias = fit_head(fitted, held, nlabels=nlabels, ridge=recipe.ridge)
        head: Any = self.model.classifier
        with torch.no_grad():
            head.weight.copy_(weight)
            head.bias.copy_(bias)

    def _features(self, items: Sequence[Item]) -> tuple[torch.Tensor, torch.Tensor]:
        rows, labels = [], []
        model: Any = self.model
        for batch, _ in evaluation_batches(self, items):
            labels.append(batch.pop("label"))
            rows.append(model.features(**batch))
        if not rows:
            return torch.empty(0), torch.empty(0, dtype=torch.long)
        return torch.cat(rows), torch.cat(labels)

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Tokenize."""
        limit = max_length(self.config, recipe.max_tokens)
        tokens = self.tokenizer(list(examples.inputs), truncation=True, max_length=limit)
        return [
            {**model_inputs(self.tokenizer, {k: v[i] for k, v in tokens.items()}), "label": number}
            for i, number in enumerate(self._numbers[label] for label in examples.targets)
        ]

    def collate(self, items: Sequence[Item]) -> Batch:
        """Pad to the longest."""
        return {
            name: torch.tensor([item[name] for item in items], device=self.device)
            if name == "label"
            else pad([item[name] for item in items], padding_of(self.tokenizer, name), self.device)
            for name in items[0]
        }

    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the cross-entropy, plain, smoothed or generalised."""
        return class_loss(self.logits(batch), batch["label"], recipe)

    def answers(self, batch: Batch) -> list[int]:
        """Return the likeliest classes."""
        return [int(i) for i in self.logits(batch).argmax(-1)]

    def logits(self, batch: Batch) -> torch.Tensor:
        """Return the scores of all classes (n, classes)."""
        output = self.model(**{name: value for name, value in batch.items() if name != "label"})
        logits: torch.Tensor = output.logits if self._has_own_head else output
        return logits

    def score(self, answers: Sequence[int], examples: Examples) -> list[Score]:
        """Return accuracy and macro-F1."""
        return class_scores(self.split, answers, examples)

    def parameter_names(self, stored: Sequence[str]) -> dict[str, str]:
        """Return what stored tensors are in the model: the encoder's, and a head of ours."""
        if self._has_own_head:
            return super().parameter_names(stored)
        rest = [name for name in stored if not name.startswith(_STORED_HEAD)]
        inner = name_parameters(self.model.encoder, rest)
        heads = [name for name in stored if name.startswith(_STORED_HEAD)]
        return {
            **{name: f"encoder.{target}" for name, target in inner.items()},
            **{name: f"{_HEAD}.{name.removeprefix(_STORED_HEAD)}" for name in heads},
        }

    def save(self, folder: Path) -> None:
        """Write the model, and its head where it is ours."""
        if self._has_own_head:
            save_model(self.model, folder)
            return
        encoder, head = self.model.encoder, self.model.classifier
        encoder.config.id2label = dict(enumerate(self.split.labels))
        encoder.config.label2id = self._numbers
        stored_head = {_STORED_HEAD + name: value for name, value in head.state_dict().items()}
        save_model(encoder, folder, {**encoder.state_dict(), **stored_head})


def load_pooled(folder: Path) -> tuple[tuple[str, ...], PooledClassifier, Any]:
    """Return labels, model and tokenizer of a folder that ``save`` wrote.

    Raises:
        TrainingError: TRN-7, it holds no such model.
    """
    try:
        config = json.loads((folder / "config.json").read_text("utf-8"))
        state, labels = _stored_head(folder), _labels_of(config)
        encoder, _ = load_model(folder, "AutoModel", random_init=False, seed=0)
        model = PooledClassifier(encoder, len(labels))
        model.classifier.load_state_dict(state)
    except (SafetensorError, OSError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise TrainingError(
            f"no tuned classifier: {error}"[:300], rule="TRN-7", where=str(folder)
        ) from error
    return labels, model.eval(), load_tokenizer(folder)


def _stored_head(folder: Path) -> dict[str, torch.Tensor]:
    with safe_open(folder / "model.safetensors", framework="pt") as file:
        return {name: file.get_tensor(_STORED_HEAD + name) for name in ("weight", "bias")}


def _labels_of(config: dict[str, Any]) -> tuple[str, ...]:
    """Return the labels in the order of the outputs; empty where there are none."""
    names = config.get("id2label") or {}
    return tuple(names[str(i)] for i in range(len(names)) if str(i) in names)


def classify(model: PooledClassifier, tokenizer: Any, texts: Sequence[str]) -> list[int]:  # noqa: ANN401
    """Return the likeliest class of each text."""
    limit = max_length(model.encoder.config, tokenizer.model_max_length)
    numbers = []
    with torch.inference_mode():
        for start in range(0, len(texts), _BATCH):
            batch = tokenizer(
                list(texts[start : start + _BATCH]),
                padding=True,
                truncation=True,
                max_length=limit,
                return_tensors="pt",
            )
            numbers += model(**model_tensors(tokenizer, batch)).argmax(-1).tolist()
    return numbers


def model_tensors(tokenizer: Any, batch: Any) -> dict[str, torch.Tensor]:  # noqa: ANN401
    """Return of a batch what the model takes."""
    return {name: batch[name] for name in tokenizer.model_input_names if name in batch}


def class_scores(split: Split, answers: Sequence[int], examples: Examples) -> list[Score]:
    """Return accuracy and macro-F1 of class numbers."""
    numbers = {label: i for i, label in enumerate(split.labels)}
    counts = [0] * len(numbers)
    for label in split.train.targets:
        counts[numbers[label]] += 1
    return score_classes(
        answers,
        [numbers[label] for label in examples.targets],
        nclasses=len(numbers),
        majority=counts.index(max(counts)),
    )
