"""Images and other arrays, to classes or numbers.

npz ──as it is──> module of a factory, or a transformers image model
folder of images ──resized, 0 to 1, normalised──> transformers image model
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save

from seedpack.errors import TrainingError
from seedpack.frameworks import open_model
from seedpack.frameworks.factories import build_module, load_factory, make_module
from seedpack.training.images import read_image
from seedpack.training.objectives import class_loss, number_loss
from seedpack.training.pooling import quicken_pools
from seedpack.training.scores import score_numbers
from seedpack.training.tasks.base import Adapter
from seedpack.training.tasks.text import class_scores
from seedpack.training.tasks.transformer import load_model, save_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Batch, Item

_CHANNELS = 3


class _ArrayTask(Adapter):
    """What image models and plain modules share."""

    def __init__(self, split: Split) -> None:
        self.split = split
        self._numbers = {label: i for i, label in enumerate(split.labels)}

    def collate(self, items: Sequence[Item]) -> Batch:
        """Stack."""
        targets = [item["target"] for item in items]
        kind = torch.float32 if not self._numbers else torch.long
        return {
            "x": torch.from_numpy(np.stack([item["x"] for item in items])).to(self.device),
            "target": torch.tensor(targets, dtype=kind, device=self.device),
        }

    def loss(self, batch: Batch, recipe: Recipe) -> torch.Tensor:
        """Return the cross-entropy, or for numbers the squared error."""
        outputs = self.outputs(batch["x"])
        if self._numbers:
            return class_loss(outputs, batch["target"], recipe)
        return number_loss(outputs.reshape(-1), batch["target"], recipe)

    def answers(self, batch: Batch) -> list[float]:
        """Return the likeliest classes, or the numbers."""
        outputs = self.outputs(batch["x"])
        chosen = outputs.argmax(-1) if self._numbers else outputs.reshape(-1)
        answers: list[float] = chosen.tolist()
        return answers

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits (n, classes), or numbers (n,)."""
        raise NotImplementedError

    def logits(self, batch: Batch) -> torch.Tensor:
        """Return what the model returns."""
        return self.outputs(batch["x"])

    def score(self, answers: Sequence[Any], examples: Examples) -> list[Score]:
        """Return accuracy and macro-F1, or R squared."""
        if self._numbers:
            return class_scores(self.split, [int(a) for a in answers], examples)
        mean = float(np.mean(self.split.train.targets))
        return score_numbers(np.asarray(answers), np.asarray(examples.targets), mean=mean)

    def target(self, value: Any) -> Any:  # noqa: ANN401 -- a label or a number
        """Return a target as the loss takes it."""
        return self._numbers[value] if self._numbers else float(value)

    def check_outputs(self, item: Item, where: str) -> None:
        """Run the model once, so that what does not fit is refused before training.

        Raises:
            TrainingError: TRN-7.
        """
        self.model.eval()
        wanted = max(len(self._numbers), 1)
        try:
            with torch.inference_mode():
                shape = tuple(self.outputs(self.collate([item])["x"]).shape)
        except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
            raise TrainingError(
                f"the model does not take an input of shape {list(item['x'].shape)}: {error}"[:300],
                rule="TRN-7",
                where=where,
            ) from error
        if shape not in {(1, wanted), (1,) if wanted == 1 else (1, wanted)}:
            raise TrainingError(
                f"the model answers with shape {list(shape)}, the data need {[1, wanted]}",
                rule="TRN-7",
                where=where,
            )


class ModuleTask(_ArrayTask):
    """Arrays through a module of a factory."""

    def __init__(
        self, split: Split, weights: Path, *, factory: str, random_init: bool, seed: int
    ) -> None:
        """Build the module; fill it from ``weights`` unless it stays as it was initialised.

        Raises:
            AssemblyError: ASM-1, ASM-5, factory and weights do not fit.
            TrainingError: TRN-7, data and module do not fit.
        """
        super().__init__(split)
        self._random_init = random_init
        torch.manual_seed(seed)
        function = load_factory(factory)
        self.model = (
            make_module(function) if random_init else build_module(function, open_model(weights))
        )
        quicken_pools(self.model)
        self.new = ("",)  # every parameter trains at the head's rate, whatever its name
        item = {"x": _as_float(split.train.inputs[0]), "target": 0}
        self.check_outputs(item, where=f"factory {factory[:80]!a}")

    @property
    def has_trained_head(self) -> bool:
        """The whole module is stored, unless it stays as it was initialised."""
        return not self._random_init

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Return the arrays as float32."""
        del recipe
        return [
            {"x": _as_float(x), "target": self.target(y)}
            for x, y in zip(examples.inputs, examples.targets, strict=True)
        ]

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return what the module returns."""
        outputs: torch.Tensor = self.model(x)
        return outputs

    def save(self, folder: Path) -> None:
        """Write the state dict."""
        (folder / "model.safetensors").write_bytes(self.as_bytes())

    def as_bytes(self) -> bytes:
        """Return the state dict as a safetensors file; tied parameters stand there each."""
        return save({n: v.cpu().clone() for n, v in self.model.state_dict().items()})


class ImageClassification(_ArrayTask):
    """Images through an image model of transformers."""

    def __init__(self, split: Split, folder: Path, *, random_init: bool, seed: int) -> None:
        """Load the model of ``folder`` with a head for the classes.

        Raises:
            TrainingError: TRN-7, it is no image model.
        """
        super().__init__(split)
        self.model, self.new = load_model(
            folder,
            "AutoModelForImageClassification",
            random_init=random_init,
            seed=seed,
            num_labels=len(split.labels),
            id2label=dict(enumerate(split.labels)),
            label2id=self._numbers,
        )
        size = getattr(self.model.config, "image_size", 224)
        height, width = (size, size) if isinstance(size, int) else size
        self._height, self._width = int(height), int(width)
        self._mean, self._std = _normalisation(folder)
        self.check_outputs(self._item(split.train.inputs[0], 0), where=f"model {folder}")

    def encode(self, examples: Examples, recipe: Recipe) -> list[Item]:
        """Read, resize and normalise."""
        del recipe
        return [
            self._item(x, self.target(y))
            for x, y in zip(examples.inputs, examples.targets, strict=True)
        ]

    def _item(self, x: Any, target: int) -> Item:  # noqa: ANN401 -- a path or an array
        if isinstance(x, Path):
            image = read_image(x, width=self._width, height=self._height)
            return {"x": (image - self._mean) / self._std, "target": target}
        return {"x": _as_float(x), "target": target}

    def outputs(self, x: torch.Tensor) -> torch.Tensor:
        """Return logits."""
        logits: torch.Tensor = self.model(pixel_values=x).logits
        return logits

    def save(self, folder: Path) -> None:
        """Write the model with its head."""
        save_model(self.model, folder)


def _as_float(x: Any) -> np.ndarray[Any, np.dtype[np.float32]]:  # noqa: ANN401
    return np.asarray(x, np.float32)


def _normalisation(folder: Path) -> tuple[Any, Any]:
    """Return mean and deviation per channel (3, 1, 1), from the processor's file or 0.5 each."""
    path = folder / "preprocessor_config.json"
    values = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    half = [0.5] * _CHANNELS
    mean, std = (
        np.asarray(values.get(name) or half, np.float32).reshape(_CHANNELS, 1, 1)
        for name in ("image_mean", "image_std")
    )
    return mean, std
