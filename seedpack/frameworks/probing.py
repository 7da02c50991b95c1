"""What noise in one matrix does to the output of a model: no data, no training.

random tokens --model--> hidden states, output
              --model with noise in one matrix--> 1 - cosine to those = harm
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.errors import ExtractError
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.running import load_model
from seedpack.frameworks.transformers_models import map_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from seedpack.frameworks.sources import ModelSource

PROBE: Final = "4 x 32 random tokens, noise of 0.3 rms, 1 - cosine of hidden states and output"

_NROWS, _NTOKENS, _NOISE, _SEED = 4, 32, 0.3, 0
_SPECIAL_POSITIONS: Final = 2  # that some families reserve
# Beyond this a run per matrix takes minutes, and the model may not fit into memory.
_MAX_PARAMETERS: Final = 300_000_000
_MAX_MATRICES: Final = 1000

# What a class of models raises on a configuration or input that it was not made for.
_RUN_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


def probe_harm(source: ModelSource, names: Sequence[str]) -> dict[str, float] | None:
    """Return the harm of noise of equal relative size in each tensor of ``names``.

    Args:
        source: A model.
        names: Its matrices; those that no parameter takes alone are left out of the result.

    Returns:
        Harm by name, at least 0; None where this is no text model that can be run here.
    """
    if source.architecture is None or len(names) > _MAX_MATRICES:
        return None
    infos = source.infos()
    if sum(info.nbytes // info.dtype.itemsize for info in infos) > _MAX_PARAMETERS:
        return None
    try:
        torch = import_torch()
        model = load_model(source)
        tokens = _make_tokens(model)
        if tokens is None:
            return None
        with torch.inference_mode():
            return dict(_measure(model, tokens, names))
    except (*_RUN_ERRORS, ExtractError):
        return None


def _make_tokens(model: Any) -> Any:  # noqa: ANN401 -- a model, a tensor
    """Return random token ids (4, <= 32); None where the model takes something else."""
    torch, config = import_torch(), model.config
    vocabulary = getattr(config, "vocab_size", None)
    if model.main_input_name != "input_ids" or config.is_encoder_decoder or not vocabulary:
        return None
    positions = getattr(config, "max_position_embeddings", None) or _NTOKENS
    ntokens = max(min(_NTOKENS, positions - _SPECIAL_POSITIONS), 1)
    ids = np.random.Generator(np.random.PCG64(_SEED)).integers(vocabulary, size=(_NROWS, ntokens))
    return torch.from_numpy(ids)


def _measure(model: Any, tokens: Any, names: Sequence[str]) -> Iterator[tuple[str, float]]:  # noqa: ANN401
    torch = import_torch()
    parameters = model.state_dict()
    targets = map_parameters(model, names)
    clean = _views(model, tokens)
    for name in names:
        if name not in targets:
            continue
        parameter = parameters[targets[name]]
        kept = parameter.clone()
        generator = torch.Generator().manual_seed(_SEED)
        noise = torch.randn(kept.shape, generator=generator)
        parameter += noise * (_NOISE * kept.square().mean().sqrt())
        noisy = _views(model, tokens)
        parameter.copy_(kept)
        yield name, _difference(clean, noisy)


def _views(model: Any, tokens: Any) -> list[Any]:  # noqa: ANN401 -- tensors
    """Return what the harm is measured on: each token, each text, and the output itself."""
    output = model(input_ids=tokens, output_hidden_states=True)
    last = output.hidden_states[-1]  # (rows, tokens, width)
    return [last, last.mean(1), output[0]]


def _difference(clean: Sequence[Any], noisy: Sequence[Any]) -> float:
    """Return the mean over views of 1 - cosine."""
    functional = import_torch().nn.functional
    each = [
        1 - float(functional.cosine_similarity(a, b, dim=-1).double().mean())
        for a, b in zip(clean, noisy, strict=True)
    ]
    return max(sum(each) / len(each), 0.0)
