"""Models as search, defence and planting see them: differentiable, with class numbers.

    Adapter (of a task) ──from_adapter──> ImageClassifier │ TextClassifier
    Examples ──samples_of──> Samples ──predict, accuracy──> classes, a share
                                     └─logits──> gradients with respect to inputs and weights

Class numbers are places in ``Split.labels``; what a user reads is the label.
"""

from __future__ import annotations

import copy
import unicodedata
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from seedpack.errors import TrainingError
from seedpack.training.recipes import Recipe
from seedpack.training.tasks.arrays import ImageClassification, ModuleTask
from seedpack.training.tasks.text import TextClassification

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.tasks.base import Adapter

UNLABELLED: Final = -1  # in the place of a class
_AS_USUAL: Final = Recipe()
_BATCH: Final = 256  # samples at once, where no gradient is asked for
_LARGE: Final = 2_000_000  # parameters, without a table of words
_NO_GLYPH: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_WORD_MARKS: Final = "##", "\u2581", "\u0120"  # WordPiece, SentencePiece and byte-level BPE


@dataclass(frozen=True)
class Samples:
    """Inputs with the numbers of their classes.

    Attributes:
        x: Images (n, c, h, w) or vectors (n, d) of float32; texts (n, length) of int64 ids.
        y: (n,) of int64; ``UNLABELLED`` where only a model's answer tells.
        mask: Of texts, (n, length): 1 where a token is.
        candidates: Of what has no label, (n, nclasses) of bool: the classes that may be right;
            None: any may be.
    """

    x: Tensor
    y: Tensor
    mask: Tensor | None = None
    candidates: Tensor | None = None

    def __len__(self) -> int:
        """Return n."""
        return len(self.y)

    def take(self, indices: Tensor | Sequence[int]) -> Samples:
        """Return the samples at ``indices``, in that order, or where a mask (n,) is true."""
        at = torch.as_tensor(indices, device=self.y.device)
        at = at if at.dtype == torch.bool else at.to(torch.long)
        others = (None if part is None else part[at] for part in (self.mask, self.candidates))
        return Samples(self.x[at], self.y[at], *others)

    def by_length(self) -> Tensor:
        """Return the order (n,) from the shortest text to the longest; of others, as they stand."""
        if self.mask is None:
            return torch.arange(len(self))
        return self.mask.sum(1).argsort(stable=True)


def by_turns(y: Tensor) -> Tensor:
    """Return the order (n,) in which classes (n,) take turns, each in the order given."""
    one_hot = nn.functional.one_hot(y, int(y.max()) + 1 if len(y) else 1)  # (n, classes)
    # (n,): how many of its own class stand before each.
    rank = ((one_hot.cumsum(0) - 1) * one_hot).sum(1)
    return rank.argsort(stable=True)


class Classifier(ABC):
    """A model that gives each input one score per class.

    Attributes:
        module: The model; its mode (training or not) is the caller's.
        nclasses: How many scores it gives.
        scale: What the module's scores are multiplied by.
    """

    def __init__(self, module: nn.Module, nclasses: int) -> None:
        """Take ``module`` as it is; nothing is copied."""
        self.module = module
        self.nclasses = nclasses
        self.scale = 1.0
        self._known: tuple[Samples, Tensor] | None = None

    @abstractmethod
    def logits(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (n, nclasses), differentiable."""

    def clone(self) -> Self:
        """Return the same with weights of its own."""
        twin = copy.copy(self)
        twin.module = copy.deepcopy(self.module)
        twin._known = None  # noqa: SLF001 -- another of this class
        return twin

    def scaled(self, factor: float) -> Self:
        """Return the same module with scores that are ``factor`` times as large."""
        scaled = copy.copy(self)
        scaled.scale = factor * self.scale
        if self._known is not None:
            scaled._known = self._known[0], factor * self._known[1]  # noqa: SLF001 -- as above
        return scaled

    def knowing(self, samples: Samples) -> Self:
        """Return the same module, which is not asked again about these very samples.

        Several searches ask a model and all its twins about the same samples. Whoever changes the
        module meanwhile has to do without.
        """
        if self._known is not None and self._known[0] is samples:
            return self
        view = copy.copy(self)
        view._known = samples, self.scores(samples)  # noqa: SLF001 -- as above
        return view

    def scores(self, samples: Samples) -> Tensor:
        """Return logits (n, nclasses) in batches, without gradients and without dropout."""
        if self._known is not None and self._known[0] is samples:
            return self._known[1]
        return self._ask(samples)

    def _ask(self, samples: Samples) -> Tensor:
        was_training = self.module.training
        self.module.eval()
        with torch.no_grad():
            parts = [
                self.logits(
                    samples.x[at : at + _BATCH],
                    None if samples.mask is None else samples.mask[at : at + _BATCH],
                )
                for at in range(0, len(samples), _BATCH)
            ]
        self.module.train(was_training)
        return torch.cat(parts) if parts else torch.empty(0, self.nclasses)

    def predict(self, samples: Samples) -> Tensor:
        """Return the likeliest classes (n,)."""
        return self.scores(samples).argmax(-1)

    def accuracy(self, samples: Samples) -> float:
        """Return the share of samples that are answered with their class.

        Raises:
            ValueError: There are no samples.
        """
        if not len(samples):
            raise ValueError("no samples")
        return float((self.predict(samples) == samples.y).float().mean())


class ImageClassifier(Classifier):
    """A module that takes images or vectors.

    Attributes:
        low: Smallest value that an input can have.
        high: Largest.
    """

    def __init__(
        self, module: nn.Module, nclasses: int, low: float = 0.0, high: float = 1.0
    ) -> None:
        """Take ``module``, which maps (n, ...) to (n, nclasses)."""
        super().__init__(module, nclasses)
        self.low = low
        self.high = high

    def logits(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (n, nclasses)."""
        del mask
        logits: Tensor = self.module(x)
        return self.scale * logits


class TextClassifier(Classifier):
    """A module that takes token ids, or their embeddings.

    Attributes:
        vocabulary: The token of each id, as the tokenizer writes it.
        usable: (V,) of bool: tokens that a writer can bring into a text.
    """

    vocabulary: list[str]
    usable: Tensor

    @property
    @abstractmethod
    def table(self) -> nn.Parameter:
        """The embeddings of all tokens (V, d)."""

    @abstractmethod
    def embed(self, ids: Tensor) -> Tensor:
        """Return the token embeddings (n, length, d) of (n, length), without positions."""

    @abstractmethod
    def logits_of_embeddings(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        """Return (n, nclasses) of (n, length, d) and a mask (n, length)."""

    def logits(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return (n, nclasses)."""
        mask = torch.ones_like(x) if mask is None else mask
        return self.logits_of_embeddings(self.embed(x), mask)


def is_large(classifier: Classifier) -> bool:
    """Whether a pass takes milliseconds, as that of a pretrained encoder does."""
    count = sum(parameter.numel() for parameter in classifier.module.parameters())
    if isinstance(classifier, TextClassifier):
        count -= classifier.table.numel()  # looked up, not multiplied
    return count > _LARGE


class _Pixels(nn.Module):
    """An image model of transformers that is called with a tensor."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(pixel_values=x).logits
        return logits


class _Encoder(TextClassifier):
    """A text model of transformers."""

    def __init__(self, adapter: TextClassification) -> None:
        super().__init__(adapter.model, len(adapter.split.labels))
        size = len(self.table)
        self.vocabulary = _vocabulary(adapter.tokenizer, size)
        self.usable = _usable(adapter.tokenizer, self.vocabulary)

    @property
    def _lookup(self) -> Any:  # noqa: ANN401 -- transformers' own
        model: Any = self.module
        return getattr(model, "encoder", model).get_input_embeddings()

    @property
    def table(self) -> nn.Parameter:
        weight: nn.Parameter = self._lookup.weight
        return weight

    def embed(self, ids: Tensor) -> Tensor:
        embeddings: Tensor = self._lookup(ids)
        return embeddings

    def _ask(self, samples: Samples) -> Tensor:
        """Return logits (n, nclasses), of texts of similar lengths together."""
        order = samples.by_length()
        found = super()._ask(samples.take(order))
        return found[order.argsort()]

    def logits_of_embeddings(self, embeddings: Tensor, mask: Tensor) -> Tensor:
        # Columns of padding alone cost nothing.
        longest = max(int(mask.sum(1).max()), 1) if len(mask) else mask.shape[1]
        output = self.module(
            inputs_embeds=embeddings[:, :longest], attention_mask=mask[:, :longest]
        )
        logits: Tensor = output if isinstance(output, Tensor) else output.logits
        return self.scale * logits


def from_adapter(adapter: Adapter, split: Split) -> Classifier:
    """Return the adapter's own model (no copy), in evaluation mode, as a classifier.

    Args:
        adapter: Of a task with classes, for images, arrays or texts.
        split: The data, whose values bound what an input can be.

    Raises:
        TrainingError: TRN-7, the model of this task gives no scores of classes.
    """
    adapter.model.eval()
    if split.labels and isinstance(adapter, TextClassification):
        return _Encoder(adapter)
    if split.labels and isinstance(adapter, ModuleTask | ImageClassification):
        module = _Pixels(adapter.model) if isinstance(adapter, ImageClassification) else None
        # The training data's range: what normalisation makes of 0 and 1 is not always known.
        x = samples_of(adapter, split.train).x
        return ImageClassifier(
            module or adapter.model, len(split.labels), float(x.min()), float(x.max())
        )
    raise TrainingError(
        "backdoors are sought in classifiers of images, arrays or texts only",
        rule="TRN-7",
        where=f"task {split.task.name}",
    )


def samples_of(adapter: Adapter, examples: Examples, recipe: Recipe = _AS_USUAL) -> Samples:
    """Return examples as the adapter's model takes them.

    Args:
        adapter: Of a task with classes.
        examples: Of that task.
        recipe: Says where texts are cut.

    Raises:
        ValueError: There are no examples.
        TrainingError: TRN-9, an image that cannot be read.
    """
    if not len(examples):
        raise ValueError("no examples")
    batch = adapter.collate(adapter.encode(examples, recipe))
    if "input_ids" not in batch:
        return Samples(batch["x"], batch["target"])
    ids = batch["input_ids"]
    return Samples(ids, batch["label"], batch.get("attention_mask", torch.ones_like(ids)))


def _vocabulary(tokenizer: Any, size: int) -> list[str]:  # noqa: ANN401 -- transformers' own
    """Return one token per row of the embedding table, which may have more rows than tokens."""
    known = min(size, len(tokenizer))
    tokens: list[str] = tokenizer.convert_ids_to_tokens(range(known))
    return [str(token) for token in tokens] + [""] * (size - known)


def _usable(tokenizer: Any, vocabulary: list[str]) -> Tensor:  # noqa: ANN401
    special = set(tokenizer.all_special_ids)
    return torch.tensor(
        [i not in special and _is_typed(token) for i, token in enumerate(vocabulary)]
    )


def _is_typed(token: str) -> bool:
    """Whether a token stands for characters on a keyboard or page, not for a reserved place."""
    for mark in _WORD_MARKS:
        token = token.removeprefix(mark)
    reserved = token.startswith(("[unused", "<unused", "<extra_id", "<0x"))
    return bool(token) and not reserved and not _NO_GLYPH & set(map(unicodedata.category, token))
