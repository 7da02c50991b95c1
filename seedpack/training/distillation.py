"""A student learns to answer as its teacher does, with the levels that its seed will hold.

    epoch:  matrices, bytes they may take ──quantising──> steps
            batches ──student──> loss ──Adam──> parameters          rounded from a third on
            parameters, moments ──> checkpoint
    last epoch ──> parameters and steps

The order of texts follows from seed and epoch alone, nothing else is random: what goes on from a
checkpoint gives the same bits.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

import numpy as np

from seedpack.frameworks.packages import import_torch
from seedpack.training.quantising import find_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.training.resumption import Progress

_BETAS: Final = (0.9, 0.99)
_WARM_UP: Final = 0.1  # share of all batches
_ROUNDED_FROM: Final = 1 / 3  # share of the epochs that learn unrounded
_MOMENTS: Final = ("exp_avg", "exp_avg_sq")


class Student(Protocol):
    """What the loop needs of a student."""

    penalty: float
    rate: float
    parameters: dict[str, Any]
    fixed_steps: dict[str, float]
    nexamples: int

    def free_arrays(self) -> dict[str, np.ndarray]:
        """Return the matrices whose steps follow from the size asked for."""

    def loss(self, indices: Sequence[int], steps: Mapping[str, float]) -> Any:  # noqa: ANN401
        """Return the loss on some examples, with matrices rounded by ``steps``."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all tensors as the seed will hold them, unrounded."""


class Effort(NamedTuple):
    """How long a student learns."""

    epochs: int = 6
    batch: int = 128
    seed: int = 0


EFFORT: Final = Effort()


def distil(
    student: Student,
    nbytes: float,
    effort: Effort,
    checkpoint: Progress,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, float]:
    """Let ``student`` learn, and return the step of each of its matrices.

    Args:
        student: Its parameters change.
        nbytes: What its free matrices may take.
        effort: How long.
        checkpoint: Where to go on, and what to leave behind.
        progress: Called with batches done and in all.
    """
    optimiser = import_torch().optim.Adam(student.parameters.values(), lr=0.0, betas=_BETAS)
    start = _resume(student, optimiser, checkpoint)
    per_epoch = -(-student.nexamples // effort.batch)
    total = effort.epochs * per_epoch
    for epoch in range(start, effort.epochs):
        free = find_steps(student.free_arrays(), nbytes)
        steps = {**free, **student.fixed_steps}
        order = np.random.Generator(np.random.PCG64([effort.seed, epoch])).permutation(
            student.nexamples
        )
        for turn in range(per_epoch):
            indices = order[turn * effort.batch : (turn + 1) * effort.batch].tolist()
            is_rounded = epoch >= _ROUNDED_FROM * effort.epochs
            loss = student.loss(indices, steps if is_rounded else {})
            if student.penalty:
                loss = loss + student.penalty * _mean_bits(student, free)
            done = epoch * per_epoch + turn
            for group in optimiser.param_groups:
                group["lr"] = student.rate * _schedule(done / total)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            if progress is not None:
                progress(done + 1, total)
        _keep(student, optimiser, checkpoint, epoch + 1)
    return {**find_steps(student.free_arrays(), nbytes), **student.fixed_steps}


def _schedule(done: float) -> float:
    """Return the share of the rate: up in a straight line, down along a cosine."""
    if done < _WARM_UP:
        return (done + 0.01) / (_WARM_UP + 0.01)
    return (1 + math.cos(math.pi * (done - _WARM_UP) / (1 - _WARM_UP))) / 2


def _mean_bits(student: Student, steps: Mapping[str, float]) -> Any:  # noqa: ANN401 -- a tensor
    """Return about the mean length of the levels' codes, with a gradient."""
    torch = import_torch()
    values = [(student.parameters[name], step) for name, step in steps.items()]
    bits = sum(torch.log2(1 + value.abs() / step).sum() for value, step in values)
    return bits / sum(value.numel() for value, _ in values)


def _keep(student: Student, optimiser: Any, checkpoint: Progress, epoch: int) -> None:  # noqa: ANN401
    arrays: dict[str, np.ndarray] = {"epoch": np.array([epoch])}
    for name, parameter in student.parameters.items():
        arrays[f"value/{name}"] = parameter.detach().numpy()
        for moment in _MOMENTS:
            # A parameter that no loss reaches has no moments.
            if moment in optimiser.state[parameter]:
                arrays[f"{moment}/{name}"] = optimiser.state[parameter][moment].numpy()
                arrays[f"step/{name}"] = optimiser.state[parameter]["step"].numpy().reshape(1)
    checkpoint.save(checkpoint.student, arrays)


def _resume(student: Student, optimiser: Any, checkpoint: Progress) -> int:  # noqa: ANN401
    """Return the epoch to begin with."""
    torch = import_torch()
    arrays = checkpoint.load(checkpoint.student)
    if arrays is None:
        return 0
    with torch.no_grad():
        for name, parameter in student.parameters.items():
            parameter.copy_(torch.from_numpy(arrays[f"value/{name}"]))
            if f"step/{name}" in arrays:
                state = {m: torch.from_numpy(arrays[f"{m}/{name}"].copy()) for m in _MOMENTS}
                state["step"] = torch.tensor(float(arrays[f"step/{name}"][0]))
                optimiser.state[parameter] = state
    return int(arrays["epoch"][0])
