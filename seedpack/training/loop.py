"""Trains what an adapter holds, and keeps the state that the held-out part likes best.

    encoded items ──shuffle, similar lengths together──> batches ──loss──> step
    after each epoch: held-out merit ──best so far?──> kept; else patience runs out ──> stop
    nothing held out ──> the last state, or the mean of the later ones
    end: the state that was kept is put back

One seed decides all: the order of batches and, anew at each epoch, dropout; so that a training
resumed from its checkpoint goes on as if it had never stopped. accelerate chooses the device.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch

from seedpack.errors import TrainingError
from seedpack.training.batches import answer, evaluation_batches, gather
from seedpack.training.checkpoints import Progress, identify, load_checkpoint, save_checkpoint
from seedpack.training.packages import import_package
from seedpack.training.products import rounded_products

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from seedpack.training.recipes import Recipe
    from seedpack.training.tasks.base import Adapter, Item

_CLIP: Final = 1.0  # norm of the gradient
_WEIGHT_DECAY: Final = 0.01


@dataclass(frozen=True)
class Training:
    """What a training came to.

    Attributes:
        epochs: That were run.
        best_epoch: Whose state was kept, from 1; 0 is the model as it was.
        train_loss: Mean of the last epoch.
        merit: Of the kept state on the held-out part; None where nothing was held out.
    """

    epochs: int
    best_epoch: int
    train_loss: float
    merit: float | None


def train(  # noqa: PLR0913 -- model, data, how, and who watches
    adapter: Adapter,
    items: Sequence[Item],
    held_out: Sequence[Item],
    recipe: Recipe,
    *,
    seed: int,
    judge: Callable[[list[Any]], float] | None = None,
    progress: Callable[[int, int], None] | None = None,
    checkpoint: Path | None = None,
) -> Training:
    """Train the model of ``adapter`` in place.

    Args:
        adapter: A model at its task.
        items: Encoded examples to fit.
        held_out: Encoded examples that decide which state is kept; may be empty, and decides
            nothing under a recipe that holds nothing out.
        recipe: How.
        seed: Of everything random.
        judge: How good answers to ``held_out`` are; without one the loss decides.
        progress: Called with steps done and steps in all.
        checkpoint: A file that is written after each epoch, and gone on from where it exists.

    Raises:
        TrainingError: TRN-13, the loss is no longer a number; TRN-12, accelerate is missing;
            TRN-18, the checkpoint is of another training.
    """
    with repeatable(seed):
        loop = _Loop(adapter, recipe, seed, len(items), judge)
        return loop.run(items, held_out if recipe.holds_out else (), progress, checkpoint)


@contextlib.contextmanager
def repeatable(seed: int) -> Iterator[None]:
    """Make torch repeat itself, and leave its random state to others as it was."""
    before = torch.are_deterministic_algorithms_enabled()
    state = torch.get_rng_state()
    torch.use_deterministic_algorithms(mode=True, warn_only=True)
    torch.manual_seed(seed)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of operations without a repeatable form on a GPU
            yield
    finally:
        torch.use_deterministic_algorithms(before)
        torch.set_rng_state(state)


class _Loop:
    """One training under way."""

    def __init__(
        self,
        adapter: Adapter,
        recipe: Recipe,
        seed: int,
        nitems: int,
        judge: Callable[[list[Any]], float] | None,
    ) -> None:
        accelerate = import_package("accelerate", extra="torch")
        self._adapter, self._recipe, self._seed = adapter, recipe, seed
        self._judge = judge
        self._nsteps = -(-nitems // recipe.batch)
        self._accelerator = accelerate.Accelerator(cpu=not torch.cuda.is_available())
        optimizer = torch.optim.AdamW(
            adapter.parameter_groups(recipe), weight_decay=_WEIGHT_DECAY, fused=True
        )
        model, self._optimizer = self._accelerator.prepare(adapter.model, optimizer)
        adapter.model = model
        self._rates = [group["lr"] for group in self._optimizer.param_groups]
        self._step = 0

    def run(
        self,
        items: Sequence[Item],
        held_out: Sequence[Item],
        progress: Callable[[int, int], None] | None,
        checkpoint: Path | None,
    ) -> Training:
        """Train epoch by epoch."""
        name = "" if checkpoint is None else self._identify(items, held_out)
        if checkpoint is not None and checkpoint.exists():
            state = load_checkpoint(checkpoint, self._adapter.model, self._optimizer, name)
        else:
            self._adapter.warm_start(items, held_out, self._recipe)
            state = Progress(best=self._snapshot())
            if held_out:
                state.best_merit = self._merit(held_out)
        while state.epoch < self._recipe.epochs and not self._is_stale(state, held_out):
            self._step = state.epoch * self._nsteps
            state.train_loss = self._run_epoch(items, state.epoch, progress)
            state.epoch += 1
            if self._recipe.holds_out:
                self._keep_best(state, held_out)
            else:
                self._keep_mean(state)
            if checkpoint is not None:
                save_checkpoint(checkpoint, state, self._adapter.model, self._optimizer, name)
        self._adapter.model.load_state_dict(state.best)
        if progress is not None:
            progress(1, 1)
        merit = state.best_merit if held_out else None
        return Training(state.epoch, state.best_epoch, state.train_loss, merit)

    def _identify(self, items: Sequence[Item], held_out: Sequence[Item]) -> str:
        plan = f"{self._recipe} {self._seed} {len(items)}".encode()
        batches = (self._adapter.collate([item]) for part in (items, held_out) for item in part)
        examples = (
            f"{name} {value.dtype} {tuple(value.shape)}".encode() + value.cpu().numpy().tobytes()
            for batch in batches
            for name, value in batch.items()
        )
        return identify(itertools.chain([plan], examples), self._adapter.model.state_dict())

    def _run_epoch(
        self, items: Sequence[Item], epoch: int, progress: Callable[[int, int], None] | None
    ) -> float:
        torch.manual_seed(self._seed * 1_000_003 + epoch)
        self._adapter.model.train()
        losses = []
        for indices in self._batches(items, epoch):
            losses.append(self._take_step([items[i] for i in indices]))
            if progress is not None:
                progress(self._step, self._nsteps * self._recipe.epochs)
        return sum(losses) / len(losses)

    def _take_step(self, items: Sequence[Item]) -> float:
        self._set_rate()
        with rounded_products(wanted=self._recipe.rounded):
            loss = self._adapter.loss(self._adapter.collate(items), self._recipe)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingError(
                f"the loss is {value}",
                rule="TRN-13",
                where=f"step {self._step + 1}",
                hint="take smaller steps, and check the data for extreme values",
            )
        self._optimizer.zero_grad()
        self._accelerator.backward(loss)
        self._accelerator.clip_grad_norm_(self._adapter.model.parameters(), _CLIP)
        self._optimizer.step()
        self._step += 1
        return value

    def _set_rate(self) -> None:
        """Let the rates rise over the warm-up, then fall to nothing along a line."""
        total = self._nsteps * self._recipe.epochs
        warmup = max(round(total * self._recipe.warmup), 1)
        left = (total - self._step) / max(total - warmup, 1)
        factor = min((self._step + 1) / warmup, left, 1.0)
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            group["lr"] = rate * factor

    def _batches(self, items: Sequence[Item], epoch: int) -> list[list[int]]:
        random = np.random.Generator(np.random.PCG64([self._seed, epoch]))
        order = random.permutation(len(items)).tolist()
        batches = gather(order, self._recipe.batch, lambda i: self._adapter.length(items[i]))
        return [batches[i] for i in random.permutation(len(batches))]

    def _is_stale(self, state: Progress, held_out: Sequence[Item]) -> bool:
        return bool(held_out) and state.stale >= self._recipe.patience

    def _keep_mean(self, state: Progress) -> None:
        count = state.epoch - self._recipe.epochs // 2  # TRN-19: of the states averaged
        mean = state.best
        state.best, state.best_epoch = self._snapshot(), state.epoch
        for name, value in state.best.items():
            if count > 1 and value.is_floating_point():
                state.best[name] = mean[name] + (value - mean[name]) / count

    def _keep_best(self, state: Progress, held_out: Sequence[Item]) -> None:
        merit = self._merit(held_out) if held_out else math.inf
        # Of two that look alike the one that has seen more is kept.
        if merit >= state.best_merit:
            state.best, state.best_merit = self._snapshot(), merit
            state.best_epoch, state.stale = state.epoch, 0
        else:
            state.stale += 1

    def _merit(self, items: Sequence[Item]) -> float:
        if self._judge is not None:
            return self._judge(answer(self._adapter, items))
        losses = [
            float(self._adapter.loss(batch, self._recipe)) * len(chosen)
            for batch, chosen in evaluation_batches(self._adapter, items)
        ]
        return -sum(losses) / len(items)

    def _snapshot(self) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = self._adapter.model.state_dict()
        return {name: value.detach().clone() for name, value in state.items()}
