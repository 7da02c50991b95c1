"""A model of transformers that runs, in float32, from a source whose architecture was checked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from seedpack.frameworks.packages import import_torch, import_transformers
from seedpack.frameworks.transformers_models import isolated

if TYPE_CHECKING:
    from seedpack.frameworks.sources import ModelSource


def load_model(source: ModelSource) -> Any:  # noqa: ANN401 -- a model
    """Return the model of ``source`` in float32, its class and configuration as checked (ASM-2).

    Raises:
        ExtractError: EXT-12, torch or transformers is not installed.
        ValueError: No architecture (wrong call).
    """
    torch, transformers = import_torch(), import_transformers()
    architecture = source.architecture
    if architecture is None:
        raise ValueError("no architecture")
    config: dict[str, Any] = json.loads(architecture.config)
    settings = transformers.CONFIG_MAPPING[architecture.model_type].from_dict(config)
    state = {}
    for tensor in source.tensors():
        # Copied into an array of its own: a tensor over read-only memory is undefined to torch.
        stored = np.frombuffer(bytearray(tensor.data), np.uint8)
        values = torch.from_numpy(stored).view(getattr(torch, tensor.dtype.name))
        state[tensor.name] = values.reshape(tensor.shape)
    with isolated():
        model = getattr(transformers, architecture.class_name).from_pretrained(
            None,
            config=settings,
            state_dict=state,
            dtype=torch.float32,
            attn_implementation="eager",
        )
    return model.eval()
