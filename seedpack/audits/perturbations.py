"""The worst small change of an input that gradients find, and a random one of the same size.

    images, vectors   each value within eps of what it was (maximum norm), inside the bounds
    texts             each token's embedding within eps of what it was (Euclidean norm)

Shapes:
    n: inputs; x (n, ...); embeddings (n, length, d).

Source:
    Madry et al., Towards Deep Learning Models Resistant to Adversarial Attacks, ICLR 2018;
    Carlini and Wagner, Towards Evaluating the Robustness of Neural Networks, IEEE S&P 2017 (loss);
    Miyato et al., Adversarial Training Methods for Semi-Supervised Text Classification, ICLR 2017.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch
from torch.nn import functional

from seedpack.backdoors.classifiers import ImageClassifier, TextClassifier

if TYPE_CHECKING:
    from torch import Tensor

    from seedpack.backdoors.classifiers import Classifier, Samples

_STEP: Final = 2.5  # step size in eps / steps: enough to cross the ball (Madry et al.)
_BATCH: Final = 64


def attack(
    classifier: Classifier, samples: Samples, eps: float, *, steps: int, seed: int
) -> Tensor:
    """Return (n,) of bool: answered rightly as it is, and after every step of the attack.

    Args:
        classifier: In evaluation mode.
        samples: With their true classes.
        eps: Radius: a share of the range of the inputs, or of the mean norm of a token's embedding.
        steps: Of projected gradient ascent, from a random start.
        seed: Of the start.

    Cost:
        O(steps) forward and backward passes over those still answered rightly.
    """
    return _over_batches(classifier, samples, eps, steps, seed)


def perturb(classifier: Classifier, samples: Samples, eps: float, *, seed: int) -> Tensor:
    """Return (n,) of bool: answered rightly after a random change of the full size."""
    return _over_batches(classifier, samples, eps, 0, seed)


def _over_batches(
    classifier: Classifier, samples: Samples, eps: float, steps: int, seed: int
) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    before = [p.requires_grad for p in classifier.module.parameters()]
    classifier.module.eval()
    classifier.module.requires_grad_(requires_grad=False)  # only inputs are followed
    order = samples.by_length()  # texts of similar lengths together
    try:
        parts = [
            _ascend(classifier, samples.take(chosen), eps, steps, generator)
            for chosen in order.split(_BATCH)
        ]
    finally:
        for parameter, wanted in zip(classifier.module.parameters(), before, strict=True):
            parameter.requires_grad_(wanted)
    return torch.cat(parts)[order.argsort()]


def _ascend(
    classifier: Classifier, samples: Samples, eps: float, steps: int, generator: torch.Generator
) -> Tensor:
    ball = _ball(classifier, samples, eps)
    right = ball.logits(ball.x, samples).argmax(-1) == samples.y
    delta = ball.start(generator)
    if not steps:
        return ball.logits(ball.x + delta, samples).argmax(-1) == samples.y
    for _ in range(steps):
        todo = right.nonzero()[:, 0]
        if not len(todo):
            break
        left, x = samples.take(todo), ball.x[todo]
        here = delta[todo].requires_grad_()
        logits = ball.logits(x + here, left)
        right[todo] &= logits.argmax(-1) == left.y
        (slope,) = torch.autograd.grad(_shortfall(logits, left.y).sum(), here)
        delta[todo] = ball.project(here.detach() + _STEP / steps * ball.direct(slope), x)
    todo = right.nonzero()[:, 0]
    if len(todo):
        logits = ball.logits(ball.x[todo] + delta[todo], samples.take(todo))
        right[todo] &= logits.argmax(-1) == samples.y[todo]
    return right


def _shortfall(logits: Tensor, y: Tensor) -> Tensor:
    """Return how far the right score lies below the best other one (n,).

    Not the cross entropy: of scores a hundred times as large it has no slope, and whoever wants a
    fragile model to look sturdy need only multiply them (AUD-ADV-3).
    """
    right = logits.gather(1, y[:, None])[:, 0]
    return logits.scatter(1, y[:, None], -torch.inf).amax(1) - right


class _PixelBall:
    """Changes of each value by at most the radius (AUD-ADV-1)."""

    def __init__(self, classifier: ImageClassifier, samples: Samples, eps: float) -> None:
        self._classifier, self.x = classifier, samples.x
        self._radius = eps * (classifier.high - classifier.low)

    def logits(self, x: Tensor, samples: Samples) -> Tensor:
        del samples
        return self._classifier.logits(x)

    def start(self, generator: torch.Generator) -> Tensor:
        noise = 2 * torch.rand(self.x.shape, generator=generator) - 1
        return self.project(self._radius * noise.to(self.x), self.x)

    def direct(self, slope: Tensor) -> Tensor:
        return self._radius * slope.sign()

    def project(self, delta: Tensor, x: Tensor) -> Tensor:
        inside = x + delta.clamp(-self._radius, self._radius)
        return inside.clamp(self._classifier.low, self._classifier.high) - x


class _EmbeddingBall:
    """Changes of each token's embedding by at most the radius."""

    def __init__(self, classifier: TextClassifier, samples: Samples, eps: float) -> None:
        self._classifier = classifier
        with torch.no_grad():
            self.x = classifier.embed(samples.x)
        mask = torch.ones_like(samples.x) if samples.mask is None else samples.mask
        norms = self.x.norm(dim=-1)
        self._radius = eps * float((norms * mask).sum() / mask.sum())

    def logits(self, x: Tensor, samples: Samples) -> Tensor:
        mask = torch.ones_like(samples.x) if samples.mask is None else samples.mask
        return self._classifier.logits_of_embeddings(x, mask)

    def start(self, generator: torch.Generator) -> Tensor:
        noise = torch.randn(self.x.shape, generator=generator).to(self.x)
        return self._radius * functional.normalize(noise, dim=-1)

    def direct(self, slope: Tensor) -> Tensor:
        return self._radius * functional.normalize(slope, dim=-1)

    def project(self, delta: Tensor, x: Tensor) -> Tensor:
        del x
        norms = delta.norm(dim=-1, keepdim=True)
        scale: Tensor = (self._radius / norms.clamp_min(1e-12)).clamp_max(1.0)
        return delta * scale


def _ball(classifier: Classifier, samples: Samples, eps: float) -> _PixelBall | _EmbeddingBall:
    if isinstance(classifier, TextClassifier):
        return _EmbeddingBall(classifier, samples, eps)
    if isinstance(classifier, ImageClassifier):
        return _PixelBall(classifier, samples, eps)
    raise TypeError(f"no small changes of the inputs of {type(classifier).__name__}")
