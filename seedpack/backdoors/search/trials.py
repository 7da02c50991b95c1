"""What a trigger does to a model, and should not do to its clean twins.

    triggered inputs ──classifier──> turned to the target?       hits
                     ──one twin, by turns──> turned as well?     the natural share
    loss = CE(classifier, target) - weight * log(1 - p_twin(target));  share = hits - natural

A change that turns the twins too is a feature of the data, not of this model. Where it is left
out of account, a planted trigger that is larger than the natural one is never found.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from seedpack.backdoors.search.calibration import not_a_number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier
    from seedpack.backdoors.search.plans import Plan

_SURE: Final = 0.9999  # probability beyond which a twin's loss no longer rises
_SLOPE: Final = 0.1  # where an activation has none
_RECTIFIERS: Final = frozenset({functional.relu, torch.relu, torch.Tensor.relu})
_ACTIVATIONS: Final = frozenset({functional.gelu, functional.silu})
_MEMORY: Final = 0.6  # of the natural share: one twin at a time is asked


class Trial:
    """One classifier, its twins, and the plan of a search."""

    def __init__(
        self, classifier: Classifier, contrast: Sequence[Classifier], plan: Plan, weight: float
    ) -> None:
        """Start without knowledge of the natural share.

        Args:
            classifier: In which a trigger is sought.
            contrast: Clean twins; may be empty.
            plan: Samples and targets.
            weight: Of the twins' loss.
        """
        self._classifier, self._contrast = classifier, contrast
        self.plan = plan
        self._weight = weight
        self._natural: Tensor | None = None
        self._turn = 0

    def judge(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return loss and share of each key.

        Shapes:
            x: (m, ...), the plan's samples with triggers; both results (k,), the share without
            gradient.

        Raises:
            TrainingError: TRN-13, the classifier's answers are no numbers.
        """
        logits = self._classifier.logits(x)  # (m, classes)
        if not logits.isfinite().all():
            # Nothing would ever count as found, and the model as sound.
            raise not_a_number("search")
        loss = functional.cross_entropy(logits, self.plan.target, reduction="none")
        share = self.plan.mean((logits.argmax(1) == self.plan.target).float())
        if self._contrast:
            twin_loss, natural = self._ask_twin(x)
            loss = loss + self._weight * twin_loss
            share = share - natural
        return self.plan.mean(loss), share

    def _ask_twin(self, x: Tensor) -> tuple[Tensor, Tensor]:
        twin = self._contrast[self._turn % len(self._contrast)]
        self._turn += 1
        logits = twin.logits(x)
        chance = logits.softmax(1).gather(1, self.plan.target[:, None])[:, 0]
        now = self.plan.mean((logits.argmax(1) == self.plan.target).float())
        before = now if self._natural is None else self._natural
        self._natural = torch.lerp(now, before, _MEMORY)
        return -torch.log1p(-chance.clamp(max=_SURE)), self._natural


class _SlopesOfSilentUnits(TorchFunctionMode):
    """Gives activations a slope where they have none; their values stay as they are.

    A unit that was written to fire on one pattern only is silent on all that a search starts
    from, and no gradient would lead to the pattern.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:  # noqa: ANN401 -- torch's own
        """Call ``func``, with a slope where it is an activation."""
        del types
        named = dict(kwargs or {})
        if func in _RECTIFIERS:
            return _rectified(args[0])
        if func not in _ACTIVATIONS:
            return func(*args, **named)
        named.pop("inplace", None)  # the input is needed again
        return func(args[0], **named) + _nothing(args[0])


def _rectified(x: Tensor) -> Tensor:
    """Return the positive part, with a slope below, in hardly more time than without."""
    found = functional.leaky_relu(x, _SLOPE)
    with torch.no_grad():
        found.clamp_(min=0)
    return found


def _nothing(x: Tensor) -> Tensor:
    """Return zeros, with a slope where ``x`` is negative."""
    below = _SLOPE * x.clamp(max=0)
    with torch.no_grad():
        below.zero_()
    return below


@contextlib.contextmanager
def at_rest(classifiers: Sequence[Classifier]) -> Iterator[None]:
    """Put models into evaluation mode, with slopes everywhere, and back."""
    modes = [c.module.training for c in classifiers]
    for c in classifiers:
        c.module.eval()
    try:
        with _SlopesOfSilentUnits():
            yield
    finally:
        for c, mode in zip(classifiers, modes, strict=True):
            c.module.train(mode)
