"""How a model is tuned, by how many samples there are (spec: section Tuning).

    samples ──default_recipe──> steps, rates, what is frozen, when to stop ──loop──>

The defaults were chosen on a held-out part of SST-2's training data, never on its evaluation.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_FEW: Final = 64  # samples; below, more epochs make up for the short ones
_STEPS_OF_FEW: Final = 60
_ROBUST_EXPONENT: Final = 0.7  # Zhang and Sabuncu, NeurIPS 2018, section 4
_ROBUST_RIDGE: Final = 1e-2  # best of 1e-4 to 1e-1 at 100 and 500 samples, a fifth mislabelled
_MAX_EPOCHS: Final = 20


@dataclass(frozen=True)
class Recipe:
    """Everything that a training depends on, apart from model, data and seed.

    Attributes:
        epochs: Passes over the data, at most.
        batch: Examples per step.
        rate: Learning rate of the top layer of what was assembled.
        head_rate: Learning rate of what is new to the model, and of whole modules of a factory.
        layer_decay: Factor on the rate from each layer to the one below.
        freeze_embeddings: Keep token and position tables as they are.
        patience: Epochs that do worse on the held-out part before it stops; 0: nothing is held out,
            and the mean of the states after the later half of the epochs is kept.
        exponent: Of the generalised cross-entropy, which bounds what one wrong label can do;
            0 is the cross-entropy.
        smoothing: Share of the target given to the other classes.
        warmup: Share of the steps in which the rate rises.
        max_tokens: Length at which texts are cut.
        ridge: Strength of the ridge that a new head is first fitted with; 0 lets the held-out part
            decide.
        rounded: Multiply bfloat16 in the steps, in wide layers of transformers, where the
            processor has instructions for it; weights and answers are float32 all the same.
    """

    epochs: int = 4
    batch: int = 16
    rate: float = 1e-4
    head_rate: float = 5e-4
    layer_decay: float = 0.8
    freeze_embeddings: bool = True
    patience: int = 3
    exponent: float = 0.0
    smoothing: float = 0.0
    warmup: float = 0.1
    max_tokens: int = 128
    ridge: float = 0.0
    rounded: bool = False

    @property
    def holds_out(self) -> bool:
        """Whether a part of the samples decides which state is kept."""
        return self.patience > 0

    def with_robustness(self) -> Recipe:
        """Return the same with half the steps' size and a loss that bounds wrong labels.

        A held-out part that is as wrong as the rest decides by luck when to stop and how freely a
        new head is fitted: all samples are fitted instead, and states are averaged, in which what
        wrong labels did to each of them partly cancels out.

        Source:
            Izmailov et al., Averaging Weights Leads to Wider Optima, UAI 2018.
        """
        return replace(
            self,
            ridge=_ROBUST_RIDGE,
            rate=self.rate / 2,
            head_rate=self.head_rate / 2,
            exponent=_ROBUST_EXPONENT,
            patience=0,
        )


def default_recipe(nsamples: int, *, epochs: int | None = None, robust: bool = False) -> Recipe:
    """Return the recipe for ``nsamples`` samples.

    Args:
        nsamples: To train on, held-out part included.
        epochs: None: as many as the number of samples asks for.
        robust: Expect wrong labels.
    """
    batch = 16 if nsamples >= _FEW else max(2, nsamples // 4)
    if epochs is None:
        nsteps = max(-(-nsamples // batch), 1)
        of_few = min(-(-_STEPS_OF_FEW // nsteps), _MAX_EPOCHS)
        epochs = Recipe.epochs if nsamples >= _FEW else of_few
        if robust and nsamples < _FEW:
            epochs = -(-epochs // 2)
    recipe = Recipe(epochs=epochs, batch=batch)
    return recipe.with_robustness() if robust else recipe
