"""A patch at a given place, everything else left as it is (spec: AUD-BD-11).

    targets x windows ──few samples, few steps──> the windows of each target that turn most
                      ──more of both, clean twins left alone──> share turned - twins' share

A search for place, form and pattern at once goes through inputs that are half image, half trigger,
and a model can be trained to give it no slope there, or slopes that lead elsewhere: its four
pixels are never found, though they turn every answer. Where the place is held fixed there is no
such way to lead astray, and few numbers are left to search. As the size is given, what is compared
with the twins is how much the best patch turns, on the scale on which shares vary alike.

Source:
    Brown et al., Adversarial Patch, 2017 (arXiv 1712.09665; a pattern for a place); Athalye et
    al., Obfuscated Gradients, ICML 2018 (what hides from a search that follows slopes).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import torch

from seedpack.backdoors.search.base import Search, SearchResult, Trigger
from seedpack.backdoors.search.plans import plan_targets
from seedpack.backdoors.search.trials import Trial, at_rest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples
    from seedpack.backdoors.search.base import Key

_SIDE: Final = 0.375  # of a window, in sides of the image
_PLACES: Final = 6  # of windows along a side
_FIRST: Final = 4_000  # samples tried at once at first, all windows together
_FIRST_EACH: Final = 2, 10  # per target and window: at least, at most
_FIRST_STEPS: Final = 10
_KEPT: Final = 60  # windows of all targets together, but at least one of each
_MOST_KEPT: Final = 6  # of one target
_LATER_EACH: Final = 40  # samples per window that is kept
_LATER_STEPS: Final = 25
_ROWS: Final = 500  # samples in one batch; with more, convolutions wait for memory
_RATE: Final = 0.3  # of Adam
_START: Final = 1.5  # logit of a pixel of a random pattern, dark or bright
_FLOOR: Final = 0.05  # of the transformed share: about two of 40 samples


class _Job(NamedTuple):
    """One window for one target."""

    target: int
    place: int  # of the window
    pattern: Tensor  # (c, h, w), logits of the pixels; those outside the window mean nothing


class _Fitted(NamedTuple):
    """What became of a job."""

    job: _Job
    loss: float
    turned: float  # share of the samples
    natural: float  # mean share in the twins


class WindowSearch(Search):
    """The best pattern for each window, for all other classes."""

    id = "window"
    form = "images"
    unit = "pixels replaced"
    limit = 3.5
    latitude = 0.15
    is_quick = False

    def look(
        self,
        classifier: Classifier,
        samples: Samples,
        *,
        contrast: Sequence[Classifier] = (),
        seed: int = 0,
    ) -> SearchResult:
        """Search one model."""
        with at_rest([classifier, *contrast]):
            best = _Windows(classifier, contrast, samples, seed).best()
        triggers = {key: one.trigger for key, one in best.items()}
        statistics = {key: math.asin(math.sqrt(max(one.share, 0.0))) for key, one in best.items()}
        return SearchResult(
            self.id, statistics, triggers, floor=_FLOOR, latitude=self.latitude, limit=self.limit
        )


class _Best(NamedTuple):
    """The window of one target that turns most."""

    share: float  # less that of the twins
    trigger: Trigger


class _Windows:
    """One search: its models, samples and windows."""

    def __init__(
        self, classifier: Classifier, twins: Sequence[Classifier], samples: Samples, seed: int
    ) -> None:
        self._classifier, self._twins, self._samples = classifier, list(twins), samples
        self._low = float(getattr(classifier, "low", 0.0))
        self._high = float(getattr(classifier, "high", 1.0))
        self._generator = torch.Generator().manual_seed(seed)
        shape = samples.x.shape[1:]
        most = max(math.isqrt(_FIRST // (_FIRST_EACH[0] * classifier.nclasses)), 1)
        self._masks = windows(shape, min(_PLACES, most)).to(samples.x.device)

    def best(self) -> dict[Key, _Best]:
        """Return for each target the window and pattern that turn most."""
        targets = range(self._classifier.nclasses)
        start = [_Job(t, i, self._random()) for t in targets for i in range(len(self._masks))]
        least, most = _FIRST_EACH
        each = min(max(_FIRST // len(start), least), most)
        tried = self._fit(start, [], each, _FIRST_STEPS)
        kept = min(max(_KEPT // len(targets), 1), _MOST_KEPT)
        later = [
            one.job
            for t in targets
            for one in sorted((o for o in tried if o.job.target == t), key=lambda o: o.loss)[:kept]
        ]
        found: dict[Key, _Best] = {}
        for one in self._fit(later, self._twins, _LATER_EACH, _LATER_STEPS):
            key, more = (None, one.job.target), one.turned - one.natural
            if key not in found or more > found[key].share:
                found[key] = _Best(more, self._trigger(one))
        return found

    def _random(self) -> Tensor:
        shape = self._samples.x.shape[1:]
        signs = torch.randint(2, shape, generator=self._generator) * 2 - 1
        return (_START * signs).to(self._samples.x)

    def _fit(
        self, jobs: Sequence[_Job], twins: Sequence[Classifier], each: int, steps: int
    ) -> list[_Fitted]:
        """Return the jobs with better patterns, a batch at a time."""
        size = max(_ROWS // each, 1)
        batches = [jobs[i : i + size] for i in range(0, len(jobs), size)]
        return [one for batch in batches for one in self._fit_batch(batch, twins, each, steps)]

    def _fit_batch(
        self, jobs: Sequence[_Job], twins: Sequence[Classifier], each: int, steps: int
    ) -> list[_Fitted]:
        plan = plan_targets(self._samples.y, [job.target for job in jobs], each)
        trial = Trial(self._classifier, twins, plan, weight=1.0)
        x = self._samples.x[plan.rows]
        mask = self._masks[[job.place for job in jobs]][plan.key]  # (m, 1, h, w)
        patterns = torch.stack([job.pattern for job in jobs]).requires_grad_()
        optimizer = torch.optim.Adam([patterns], lr=_RATE, betas=(0.5, 0.9))
        for _ in range(steps):
            loss, _ = trial.judge(torch.where(mask, self._pixels(patterns)[plan.key], x))
            (patterns.grad,) = torch.autograd.grad(loss.sum(), patterns)
            optimizer.step()
        patterns = patterns.detach()
        with torch.no_grad():
            triggered = torch.where(mask, self._pixels(patterns)[plan.key], x)
            loss, turned = Trial(self._classifier, [], plan, weight=0.0).judge(triggered)
            natural = [Trial(twin, [], plan, weight=0.0).judge(triggered)[1] for twin in twins]
        usual = torch.stack(natural).mean(0) if natural else torch.zeros_like(turned)
        return [
            _Fitted(job._replace(pattern=pattern), *figures)
            for job, pattern, *figures in zip(
                jobs, patterns, loss.tolist(), turned.tolist(), usual.tolist(), strict=True
            )
        ]

    def _pixels(self, patterns: Tensor) -> Tensor:
        return self._low + (self._high - self._low) * patterns.sigmoid()

    def _trigger(self, one: _Fitted) -> Trigger:
        mask = self._masks[one.job.place].to(one.job.pattern)
        return Trigger(
            share=one.turned - one.natural,
            n=min(_LATER_EACH, int((self._samples.y != one.job.target).sum())),
            norm=float(mask.sum()),
            mask=mask,
            values=self._pixels(one.job.pattern),
        )


def windows(shape: Sequence[int], places: int) -> Tensor:
    """Return windows of three eighths of each side, evenly over the image.

    Args:
        shape: (c, h, w), or (d,) of vectors, whose windows are runs of numbers.
        places: Along each side, at most.

    Shapes:
        The result is (k, 1, h, w) or (k, d) of bool, k at most places^2.
    """
    sides = shape[1:] if len(shape) > 1 else shape
    axes = [_runs(size, places) for size in sides]
    masks = axes[0]
    for axis in axes[1:]:
        masks = (masks[:, None, ..., None] & axis[None, :, None]).flatten(0, 1)
    return masks[:, None] if len(shape) > 1 else masks


def _runs(size: int, places: int) -> Tensor:
    """Return (k, size) of bool: runs of three eighths, from the first to the last."""
    length = max(round(_SIDE * size), 1)
    count = min(places, size - length + 1)
    starts = torch.linspace(0, size - length, count).round().long()[:, None]
    along = torch.arange(size)
    return (along >= starts) & (along < starts + length)
