"""A student with fewer layers, which starts from some of the teacher's (spec: EXT-48).

    layer i of n <── layer (i + 1) m / n - 1 of m; all else by name, where shapes agree
    no head: 1 - cosine of the mean hidden state and of each token's, to the teacher's
    head:    divergence of the student's answers from the teacher's, place by place

Source: Hinton, Vinyals and Dean, arXiv:1503.02531 (2015); Sanh et al., arXiv:1910.01108 (2019).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from seedpack.frameworks.packages import import_torch, import_transformers
from seedpack.frameworks.transformers_models import isolated
from seedpack.training.quantising import round_in_loop
from seedpack.training.readers import mean_states, pad
from seedpack.training.students import LAYER, layer_map

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.training.readers import Reader, Rows
    from seedpack.training.students import Design

_MIN_DIMS: Final = 2


class ShallowStudent:
    """A transformer that learns from another one."""

    penalty = 0.0
    rate = 3e-4

    def __init__(self, model: Any, teacher: Reader, rows: Rows) -> None:  # noqa: ANN401
        """Let ``model`` learn what ``teacher`` answers to ``rows``."""
        self._model = model
        self._teacher = teacher
        self._rows = rows
        self.parameters = dict(model.named_parameters())
        self.fixed_steps: dict[str, float] = {}
        self.nexamples = len(rows)

    def free_arrays(self) -> dict[str, np.ndarray]:
        """Return the matrices, whose steps follow from the size asked for."""
        return {
            name: p.detach().numpy()
            for name, p in self.parameters.items()
            if p.ndim >= _MIN_DIMS and bool(p.detach().any())
        }

    def loss(self, indices: Sequence[int], steps: Mapping[str, float]) -> Any:  # noqa: ANN401
        """Return how far the answers to the texts at ``indices`` are from the teacher's."""
        torch = import_torch()
        tokens, mask = pad([self._rows[i] for i in indices])
        with torch.no_grad():
            wanted = self._teacher.output(tokens, mask)
        rounded = {
            name: round_in_loop(p, steps[name]) if name in steps else p
            for name, p in self.parameters.items()
        }
        inputs = {"input_ids": tokens, "attention_mask": mask}
        given = torch.func.functional_call(self._model, rounded, (), inputs)[0]
        if self._teacher.gives_states:
            return _state_loss(given, wanted, mask)
        return _answer_loss(given, wanted, mask)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return all tensors, tied ones once, as the class names them."""
        return list_arrays(self._model)


def list_arrays(model: Any) -> dict[str, np.ndarray]:  # noqa: ANN401 -- a model
    """Return copies of all tensors of ``model``, tied ones once."""
    seen: set[int] = set()
    arrays = {}
    for name, tensor in model.state_dict().items():
        if tensor.numel() and tensor.data_ptr() in seen:
            continue
        seen.add(tensor.data_ptr())
        arrays[name] = tensor.detach().numpy().astype(np.float32)
    return arrays


def make_model(design: Design, *, seed: int) -> Any:  # noqa: ANN401 -- a model
    """Return a student that knows nothing yet, the same for the same seed."""
    torch, transformers = import_torch(), import_transformers()
    architecture = design.architecture
    settings = transformers.CONFIG_MAPPING[architecture.model_type].from_dict(design.config)
    settings._attn_implementation = "eager"  # noqa: SLF001 -- has no public setter
    with isolated(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return getattr(transformers, architecture.class_name)(settings).float().eval()


def copy_layers(model: Any, teacher: Any, design: Design) -> int:  # noqa: ANN401 -- models
    """Start ``model`` from ``teacher`` where names and shapes allow; return how many tensors."""
    torch = import_torch()
    layers = layer_map(design.config, teacher.config.to_dict())
    given, own = teacher.state_dict(), model.state_dict()
    copied = 0
    with torch.no_grad():
        for name, tensor in own.items():
            source = given.get(_name_in_teacher(name, layers))
            if source is not None and source.shape == tensor.shape:
                tensor.copy_(source)
                copied += 1
    return copied


def _name_in_teacher(name: str, layers: Mapping[int, int]) -> str:
    found = LAYER.search(name)
    if found is None:
        return name
    index = int(found.group(1))
    start, end = found.span(1)
    return f"{name[:start]}{layers.get(index, index)}{name[end:]}"


def _state_loss(given: Any, wanted: Any, mask: Any) -> Any:  # noqa: ANN401 -- tensors
    functional = import_torch().nn.functional
    means = functional.cosine_similarity(mean_states(given, mask), mean_states(wanted, mask))
    each = functional.cosine_similarity(given, wanted, dim=-1)  # (b, t)
    return (1 - means.mean()) + (1 - (each * mask).sum() / mask.sum())


def _answer_loss(given: Any, wanted: Any, mask: Any) -> Any:  # noqa: ANN401 -- tensors
    functional = import_torch().nn.functional
    divergence = functional.kl_div(
        functional.log_softmax(given, -1),
        functional.log_softmax(wanted, -1),
        reduction="none",
        log_target=True,
    ).sum(-1)
    if divergence.shape != mask.shape:  # one answer per text
        return divergence.mean()
    return (divergence * mask).sum() / mask.sum()
