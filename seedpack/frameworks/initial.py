"""Initial values of an architecture's class, for layers that are not taken from a seed.

class(config) under a random seed --state dict--> tensors under the names of the layers
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.errors import AssemblyError
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.sources import NamedTensor
from seedpack.frameworks.torch_files import bytes_of
from seedpack.frameworks.transformers_models import build_model, map_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from seedpack.container.manifest import Architecture
    from seedpack.frameworks.factories import Factory
    from seedpack.frameworks.sources import TensorInfo


def initial_tensors(
    architecture: Architecture, infos: Sequence[TensorInfo], seed: int, *, lenient: bool = False
) -> list[NamedTensor]:
    """Return a tensor for each of ``infos`` as the class itself draws it.

    Args:
        architecture: Has passed ``check_assembly`` together with ``infos``.
        infos: Layers to fill.
        seed: Of torch's generator; that of the caller is left as it is.
        lenient: Leave out the layers that the class does not draw.

    Raises:
        AssemblyError: ASM-7, a layer is no parameter of its own.

    Cost:
        Memory: the whole model, in float32.
    """
    torch = import_torch()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        model = build_model(architecture)
    targets = map_parameters(model, [info.name for info in infos])
    if lenient:
        infos = [info for info in infos if info.name in targets]
    return _take(model.state_dict(), infos, targets)


def drawn_tensors(factory: Factory, infos: Sequence[TensorInfo], seed: int) -> list[NamedTensor]:
    """Return a tensor for each of ``infos`` as the module that ``factory`` builds draws it.

    Args:
        factory: From ``load_factory``.
        infos: Layers to fill, under the names of the module's state dict.
        seed: Of torch's generator; that of the caller is left as it is.

    Raises:
        AssemblyError: ASM-7, the module has no such tensor of this shape.
    """
    torch = import_torch()
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        state = factory().state_dict()
    names = {i.name: i.name for i in infos if i.name in state and state[i.name].shape == i.shape}
    return _take(state, infos, names)


def _take(
    state: Mapping[str, Tensor], infos: Sequence[TensorInfo], targets: Mapping[str, str]
) -> list[NamedTensor]:
    torch = import_torch()
    found = []
    for info in infos:
        if info.name not in targets:
            raise AssemblyError(
                "not a parameter of its own, so it has no initial values",
                rule="ASM-7",
                where=f"layer {info.name}",
                hint="take it from the seed",
            )
        values = state[targets[info.name]].to(getattr(torch, info.dtype.name))
        found.append(NamedTensor(*info, bytes_of(values)))
    return found
