"""Models as frameworks store them, in and out; the only folder that knows a framework.

    MODEL ──open_model──> ModelSource ─┬─ infos()         names, dtypes, shapes; no data read
                                       ├─ tensors()       one after another, in file order
                                       ├─ architecture    config.json as data, or None
                                       └─ files, left_out what travels along, what does not

    file.safetensors             safetensors_files   needs no torch
    file.pt, file.pth, file.bin  torch_files         weights-only load
    folder with config.json      transformers_dirs   weights as above + architecture + files

    tensors ──safetensors_writer──> model.safetensors

torch and transformers are imported inside functions, when a state dict is read or an
architecture is checked: everything about ``.safetensors`` works without them.
"""

from __future__ import annotations

from seedpack.frameworks.opening import open_model
from seedpack.frameworks.sources import (
    AttachedFile,
    LeftOut,
    ModelSource,
    NamedTensor,
    TensorInfo,
    Weights,
)

__all__ = [
    "AttachedFile",
    "LeftOut",
    "ModelSource",
    "NamedTensor",
    "TensorInfo",
    "Weights",
    "open_model",
]
