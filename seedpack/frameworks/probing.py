"""What noise in one matrix does to the output of a model: no training.

inputs --model--> hidden states, output
       --model with noise in one matrix--> 1 - cosine to those = harm
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from seedpack.frameworks.observing import RUN_ERRORS
from seedpack.frameworks.packages import import_torch

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.frameworks.observing import RunningModel

PROBE: Final = "noise of 0.3 rms, 1 - cosine of hidden states and output, on "

_NOISE, _SEED = 0.3, 0
_MAX_MATRICES: Final = 1000


def probe_harm(running: RunningModel, names: Sequence[str]) -> dict[str, float] | None:
    """Return the harm of noise of equal relative size in each tensor of ``names``.

    Args:
        running: A model.
        names: Its matrices; those that no parameter takes alone are left out of the result.

    Returns:
        Harm by name, at least 0; None where there are too many, or the model fails.
    """
    if len(names) > _MAX_MATRICES:
        return None
    try:
        with import_torch().inference_mode():
            return dict(_measure(running, names))
    except RUN_ERRORS:
        return None


def _measure(running: RunningModel, names: Sequence[str]) -> Iterator[tuple[str, float]]:
    torch = import_torch()
    parameters = running.model.state_dict()
    targets = running.targets(names)
    clean = running.views(running.inputs.probe)
    for name in names:
        if name not in targets:
            continue
        parameter = parameters[targets[name]]
        kept = parameter.clone()
        generator = torch.Generator().manual_seed(_SEED)
        noise = torch.randn(kept.shape, generator=generator)
        parameter += noise * (_NOISE * kept.square().mean().sqrt())
        noisy = running.views(running.inputs.probe)
        parameter.copy_(kept)
        yield name, _difference(clean, noisy)


def _difference(clean: Sequence[Any], noisy: Sequence[Any]) -> float:
    """Return the mean over views of 1 - cosine."""
    functional = import_torch().nn.functional
    each = [
        1 - float(functional.cosine_similarity(a, b, dim=-1).double().mean())
        for a, b in zip(clean, noisy, strict=True)
    ]
    return max(sum(each) / len(each), 0.0)
