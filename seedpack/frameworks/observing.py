"""A text model that runs: what errors do to its output, and what its matrices are multiplied with.

random tokens, or calibration text ──tokenizer beside the model──> inputs, three parts of them
    probing  ──> harm of noise in each matrix          (probing.py)
    moments  ──> second moments of each matrix's input (this)
    held out ──> cosine of another model's output      (this), never used for anything else
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from seedpack.errors import ExtractError
from seedpack.frameworks.inputs import Inputs, make_inputs
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.running import load_model
from seedpack.frameworks.transformers_models import map_parameters

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from seedpack.frameworks.sources import ModelSource, NamedTensor

# Beyond this a run per matrix takes minutes, and the model may not fit into memory.
MAX_PARAMETERS: Final = 300_000_000
_NORMAL_95: Final = 1.96  # standard errors

# What a class of models raises on a configuration or input that it was not made for.
RUN_ERRORS: Final = (
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


class Likeness(NamedTuple):
    """How near outputs are to the original's: cosines, means over texts."""

    cosine: float
    low: float  # of the 95 % interval, over texts
    high: float
    control: float  # of a model that pays no heed to its input: the original's for another text


@dataclass(frozen=True)
class RunningModel:
    """A model in float32, and what it is run on."""

    model: Any
    inputs: Inputs

    def targets(self, names: Sequence[str]) -> dict[str, str]:
        """Return the parameter that each tensor becomes, where it is one alone."""
        return map_parameters(self.model, names)

    def views(self, batches: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Return outputs (n, width): of each token, the mean of each text, and the model's own."""
        torch = import_torch()
        found: list[tuple[Any, Any, Any]] = []
        with torch.inference_mode():
            for batch in batches:
                output = self.model(**batch, output_hidden_states=True)
                last, mask = output.hidden_states[-1], batch["attention_mask"]  # (rows, tokens, …)
                share = (mask / mask.sum(1, keepdim=True))[..., None].to(last.dtype)
                own = output[0]
                own = own[mask > 0] if own.shape[:2] == mask.shape else own
                found.append((last[mask > 0], (last * share).sum(1), own))
        return [torch.cat(parts) for parts in zip(*found, strict=True)]

    def moments(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return E[x x^T] (i, i), float32, of what each (o, i) matrix of ``names`` multiplies.

        Matrices that are no weight of a linear module (embeddings) are left out.

        Cost:
            One run of the model; 4 i^2 bytes for each matrix.
        """
        torch = import_torch()
        modules = dict(self.model.named_modules())
        sums: dict[str, Any] = {}
        hooks = []
        mask: Any = None
        for name, target in self.targets(names).items():
            module = modules.get(target.removesuffix(".weight"))
            if not isinstance(module, torch.nn.Linear):
                continue

            def add(_: Any, given: Any, name: str = name) -> None:  # noqa: ANN401 -- tensors
                x = given[0]
                x = x[mask > 0] if x.shape[:2] == mask.shape else x.reshape(-1, x.shape[-1])
                sums[name] = sums.get(name, 0) + x.T @ x

            hooks.append(module.register_forward_pre_hook(add))
        with torch.inference_mode():
            for batch in self.inputs.moments:
                mask = batch["attention_mask"]
                self.model(**batch)
        for hook in hooks:
            hook.remove()
        return {name: found.numpy() for name, found in sums.items()}

    def row_counts(self, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return how often the calibration text reads each row (o,) of (o, i) matrices.

        Only of an embedding of tokens that is nothing else, such as the head of a language model.
        """
        tokens = self.inputs.tokens
        if tokens is None or not tokens.any():
            return {}
        embedding, head = self.model.get_input_embeddings(), self.model.get_output_embeddings()
        if head is not None and head.weight is embedding.weight:
            return {}
        if len(embedding.weight) != tokens.size:
            return {}
        modules = dict(self.model.named_modules())
        return {
            name: tokens
            for name, target in self.targets(names).items()
            if modules.get(target.removesuffix(".weight")) is embedding
        }

    def compare(self, tensors: Iterable[NamedTensor]) -> Likeness:
        """Return how near to the model's own the outputs with these values in it are.

        Over the held-out texts, of the mean of each text's hidden states. The model is not
        itself afterwards.
        """
        torch = import_torch()
        clean = self.views(self.inputs.held_out)[1]
        parameters = self.model.state_dict()
        with torch.inference_mode():
            for name, values in _as_torch(tensors):
                target = map_parameters(self.model, [name]).get(name)
                if target is not None:
                    parameters[target].copy_(values)
        other = self.views(self.inputs.held_out)[1]
        cosine = torch.nn.functional.cosine_similarity
        cosines = cosine(clean, other, dim=-1).double()  # (n,)
        spread = _NORMAL_95 * float(cosines.std(correction=0)) / max(len(cosines), 1) ** 0.5
        mean = float(cosines.mean())
        control = float(cosine(clean, clean.roll(1, 0), dim=-1).double().mean())
        return Likeness(mean, max(mean - spread, -1.0), min(mean + spread, 1.0), control)


def run_model(source: ModelSource, calibration: Sequence[str] | None = None) -> RunningModel | None:
    """Return the model of ``source``, ready to run; None where this is not possible here.

    Args:
        source: A model.
        calibration: Texts; without them, random tokens.

    Raises:
        ExtractError: EXT-61, there are texts and the model has no tokenizer.
    """
    if source.architecture is None:
        return None
    infos = source.infos()
    if sum(info.nbytes // info.dtype.itemsize for info in infos) > MAX_PARAMETERS:
        return None
    try:
        model = load_model(source)
        inputs = make_inputs(model, source, calibration)
        if inputs is None:
            return None
        running = RunningModel(model, inputs)
        running.views(inputs.held_out)  # runs at all
    except ExtractError as error:
        if error.rule == "EXT-61":
            raise
        return None
    except RUN_ERRORS:
        return None
    return running


def _as_torch(tensors: Iterable[NamedTensor]) -> Iterator[tuple[str, Any]]:
    torch = import_torch()
    for tensor in tensors:
        # Copied into an array of its own: a tensor over read-only memory is undefined to torch.
        stored = np.frombuffer(bytearray(tensor.data), np.uint8)
        values = torch.from_numpy(stored).view(getattr(torch, tensor.dtype.name))
        yield tensor.name, values.reshape(tensor.shape)
