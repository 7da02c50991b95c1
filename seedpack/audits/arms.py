"""Tuned models that audits share: each is trained once, and kept on disk (spec: AUD-3).

Arm (model or random init, samples, seed, recipe, alteration of the data)
  ──key: digest of the arm and of everything it depends on──> folder/KEY.npz, KEY.safetensors
  ──there?──> read   ──else──> tuned, one process at a time, written whole

scores(arm)   on the evaluation, what nearly all audits compare
adapter(arm)  the tuned model itself, for those that look inside
zero_shot(model)   as it is, where it has a head of its own
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from seedpack.audits.measured import alone
from seedpack.audits.scorefiles import load_scores, save_scores
from seedpack.audits.stamps import stamp, stamp_factory
from seedpack.files import atomic_output
from seedpack.training.recipes import default_recipe
from seedpack.tune import TunePlan
from seedpack.tune.tuning import evaluate, tune_arm

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.audits.base import Spec
    from seedpack.training import Examples, Split
    from seedpack.training.recipes import Recipe
    from seedpack.training.scores import Score
    from seedpack.training.tasks.base import Adapter

    Alter = Callable[[Examples], Examples]

_SCRATCH_EPOCHS: Final = 30  # at most; the held-out part ends it
_SCRATCH_RATE: Final = 2e-3
_SCRATCH_BATCH: Final = 32


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One way to come to a tuned model.

    Attributes:
        model: A folder, or with a factory a file of weights; empty: random initialisation.
        samples: Training examples, drawn class by class; None: all.
        seed: Of samples, initialisation and order.
        robust: The robust option.
        thorough: Trained until it is as good as the data make it, for models that start at
            random and have to stand beside one that knows the task.
        altered: Name of what was done to the training data; empty: nothing. It must tell apart
            whatever ``alter`` functions a caller uses.
    """

    model: str = ""
    samples: int | None = None
    seed: int = 0
    robust: bool = False
    thorough: bool = False
    altered: str = ""


@dataclass(frozen=True)
class Arms:
    """Tuned models of one specification.

    Attributes:
        spec: What is audited; its data and its factory are part of every key.
        split: Of its data.
        folder: Where arms are kept; shared by the processes of one run.
    """

    spec: Spec
    split: Split
    folder: Path

    def scores(self, arm: Arm, alter: Alter | None = None) -> list[Score]:
        """Return the scores of ``arm`` on the evaluation, the deciding one first.

        Args:
            arm: What to tune.
            alter: Changes the drawn training examples; named by ``arm.altered``.

        Raises:
            TrainingError: It cannot be tuned, or its loss is no number.
        """
        path = self.folder / f"{self._key(arm)}.npz"
        with alone(path):
            kept = load_scores(path)
            if kept is None:
                adapter, recipe = self._tune(arm, alter)
                kept = evaluate(adapter, self.split, recipe)
                save_scores(path, kept)
                _save_state(path.with_suffix(".safetensors"), adapter)
            return kept

    def adapter(self, arm: Arm, alter: Alter | None = None) -> Adapter:
        """Return the tuned model of ``arm``; the caller may change it.

        Raises:
            TrainingError: As for ``scores``.
        """
        path = self.folder / f"{self._key(arm)}.npz"
        state = path.with_suffix(".safetensors")
        with alone(path):
            kept = self._reopen(arm, state) if state.exists() else None
            if kept is None:
                kept, recipe = self._tune(arm, alter)
                save_scores(path, evaluate(kept, self.split, recipe))
                _save_state(state, kept)
            return kept

    def untuned(self, model: str, *, seed: int = 0) -> Adapter:
        """Return ``model`` as it is; a head that it lacks is new and knows nothing."""
        from seedpack.training.tasks.opening import open_adapter  # noqa: PLC0415 -- torch

        return open_adapter(self.split, Path(model), factory=self.spec.factory or None, seed=seed)

    def zero_shot(self, model: str) -> list[Score] | None:
        """Return the scores of ``model`` as it is; None where it has no head for the task."""
        name = msgspec.json.encode(["zero-shot", stamp(model)])
        path = self.folder / f"{self.digest(name)}.npz"
        with alone(path):
            kept = load_scores(path)
            if kept is None:
                adapter = self.untuned(model)
                if not adapter.has_trained_head:
                    return None
                kept = evaluate(adapter, self.split, self.recipe(Arm(model=model)))
                save_scores(path, kept)
            return kept

    def recipe(self, arm: Arm) -> Recipe:
        """Return how ``arm`` is tuned."""
        recipe = default_recipe(arm.samples or len(self.split.train), robust=arm.robust)
        recipe = replace(recipe, rounded=True)  # AUD-10: its steps, and no answer
        if not arm.thorough:
            return recipe
        return replace(
            recipe,
            epochs=_SCRATCH_EPOCHS,
            batch=_SCRATCH_BATCH,
            rate=_SCRATCH_RATE,
            head_rate=_SCRATCH_RATE,
            layer_decay=1.0,
            freeze_embeddings=False,
            patience=5,
        )

    def _tune(self, arm: Arm, alter: Alter | None) -> tuple[Adapter, Recipe]:
        if bool(arm.altered) != (alter is not None):
            raise ValueError("an alteration needs a name, and a name an alteration")
        recipe = self.recipe(arm)
        adapter = tune_arm(
            Path(arm.model or self.spec.model),
            self.split,
            self._plan(arm),
            recipe,
            seed=arm.seed,
            random_init=not arm.model,
            alter=alter,
        )
        return adapter, recipe

    def _plan(self, arm: Arm) -> TunePlan:
        return TunePlan(
            samples=arm.samples, seed=arm.seed, robust=arm.robust, factory=self.spec.factory or None
        )

    def _reopen(self, arm: Arm, state: Path) -> Adapter | None:
        """Return the kept model; None where what is kept is none of it (AUD-9)."""
        from safetensors import SafetensorError  # noqa: PLC0415 -- torch
        from safetensors.torch import load_file  # noqa: PLC0415 -- torch

        from seedpack.training.tasks.opening import open_adapter  # noqa: PLC0415 -- torch

        adapter = open_adapter(
            self.split,
            Path(arm.model or self.spec.model),
            factory=self.spec.factory or None,
            random_init=not arm.model,
            seed=arm.seed,
        )
        try:
            adapter.model.load_state_dict(load_file(state))
        except (SafetensorError, OSError, RuntimeError):
            return None
        adapter.model.eval()
        return adapter

    def _key(self, arm: Arm) -> str:
        # By contents: the folder of a model that was just assembled is another each time.
        what = msgspec.structs.replace(arm, model=stamp(arm.model))
        # The audited model lends random weights its architecture, where no factory does.
        shape = "" if arm.model or self.spec.factory else stamp(self.spec.model)
        return self.digest(msgspec.json.encode([what, self.recipe(arm), shape]))

    def digest(self, what: bytes) -> str:
        """Return a digest of ``what`` and of the task, the data and the factory."""
        from seedpack import __version__  # noqa: PLC0415 -- the facade; only its number

        spec = self.spec
        data = [stamp(spec.train), stamp(spec.evaluation), spec.columns]
        factory = stamp_factory(spec.factory)
        whole = msgspec.json.encode([__version__, spec.task, factory, data]) + what
        return sha256(whole).hexdigest()[:32]


def _save_state(path: Path, adapter: Adapter) -> None:
    from safetensors.torch import save  # noqa: PLC0415 -- torch

    state = {n: v.detach().cpu().clone() for n, v in adapter.model.state_dict().items()}
    with atomic_output(path, overwrite=True) as file:
        file.write(save(state))
