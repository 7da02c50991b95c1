"""A torch module whose parameters come from an open seed when they are first used (spec: ASM-6).

    class(config), or a factory's module ──> parameters on the meta device, buffers as computed
    names, shapes ──────────────────────> refused here what is incomplete, before anything is read
    submodule is called, or its parameter looked at
                  ──LazyTensors──> digests hold ──> the parameter, wherever it is tied

One object takes the place of all that were tied. A parameter or buffer that was not fetched
has no memory at all: torch itself refuses to compute with it, so nothing unverified can be
used, and no value that a constructor made up.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

from seedpack.dtypes import DTYPES
from seedpack.errors import AssemblyError
from seedpack.frameworks.empty import parameters_on_meta
from seedpack.frameworks.factories import check_module, make_module, state_of
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.sources import TensorInfo
from seedpack.frameworks.torch_files import tensor_from_bytes
from seedpack.frameworks.transformers_models import (
    build_model,
    check_assembly,
    map_parameters,
)
from seedpack.seed.lazy import LazyTensors
from seedpack.seed.opening import check_vouched

if TYPE_CHECKING:
    from collections.abc import Callable

    import torch

    from seedpack.codecs.base import BaseTensors
    from seedpack.container.manifest import Architecture
    from seedpack.seed.contents import Contents


def load_model(
    seed: Contents,
    *,
    base: BaseTensors | None = None,
    factory: Callable[[], torch.nn.Module] | None = None,
    insecure: bool = False,
) -> torch.nn.Module:
    """Return the model of ``seed`` in ``eval``; each layer is fetched and verified at first use.

    What is wrong with a layer shows when its submodule runs: IntegrityError or CodecError out
    of the call. ``fetch_all`` fetches what is left, as ``to`` and ``state_dict`` need it.

    Args:
        seed: Open, and kept open while parameters are to come.
        base: What a delta seed refers to, as ``open_base`` opens it.
        factory: The user's own function for a seed without architecture; else the class is
            transformers' own.
        insecure: Accept contents that nobody vouches for, because the user said so.

    Raises:
        AssemblyError: ASM-1 to ASM-3, ASM-5, ASM-6, BAS-1: refused before any layer is read.
        ExtractError: EXT-12, torch or transformers is not installed.
    """
    check_vouched(seed, insecure=insecure)
    infos = [
        TensorInfo(layer.name, DTYPES[layer.dtype], tuple(layer.shape))
        for layer, _ in seed.layers()
    ]
    architecture = seed.manifest.architecture
    if factory is not None:
        model, targets = _from_factory(factory, infos)
    elif architecture is not None:
        model, targets = _from_architecture(architecture, infos)
    else:
        raise AssemblyError(
            "the seed names no architecture",
            rule="ASM-6",
            where=str(seed.file.path),
            hint="give a factory that builds the module",
        )
    fetcher = _Fetcher(LazyTensors(seed, base=base, cache_nbytes=0), model, targets)
    fetcher.attach()
    return model.eval()


def fetch_all(model: torch.nn.Module) -> None:
    """Fetch and verify whatever a model of ``load_model`` has not used yet.

    Raises:
        IntegrityError, CodecError: A layer is not what was signed.
    """
    for module in model.modules():
        for held in (module._parameters, module._buffers):  # noqa: SLF001 -- torch's own, fixed
            for name in held:
                held[name]  # looked at, and so fetched


def _from_factory(
    factory: Callable[[], torch.nn.Module], infos: list[TensorInfo]
) -> tuple[torch.nn.Module, dict[str, str]]:
    with parameters_on_meta():
        model = make_module(factory, empty=True)
    check_module(model, infos)
    return model, {info.name: info.name for info in infos}


def _from_architecture(
    architecture: Architecture, infos: list[TensorInfo]
) -> tuple[torch.nn.Module, dict[str, str]]:
    check_assembly(architecture, infos)
    with parameters_on_meta():
        model = build_model(architecture)
        model.tie_weights()
    targets = map_parameters(model, [info.name for info in infos])
    state = state_of(model)
    given = {id(state[target]) for target in targets.values()}
    for name, tensor in state.items():
        if id(tensor) not in given:
            raise AssemblyError(
                "made of several layers at once, which cannot be fetched one by one",
                rule="ASM-6",
                where=f"parameter {name}",
                hint="assemble the seed to a folder",
            )
    return model, targets


class _Waiting(NamedTuple):
    """An empty tensor: what it waits for, and where the model has it."""

    tensor: torch.Tensor  # kept, so that no other object gets its id
    layer: str
    holders: list[tuple[torch.nn.Module, str]]  # several where it is tied


class _Fetcher:
    """Knows which layer each empty tensor of a model waits for."""

    def __init__(
        self, tensors: LazyTensors, model: torch.nn.Module, targets: dict[str, str]
    ) -> None:
        self._tensors = tensors
        self._model = model
        state = state_of(model)
        places = _places_of(model)
        self._waiting: dict[int, _Waiting] = {}
        emptied: dict[int, torch.Tensor] = {}  # by what stood there
        for layer, target in targets.items():
            tensor = state[target]
            if id(tensor) in emptied:
                continue  # tied: the same values under another name
            empty = emptied[id(tensor)] = tensor if tensor.is_meta else tensor.to("meta")
            self._waiting[id(empty)] = _Waiting(empty, layer, places[id(tensor)])
            for module, name in places[id(tensor)]:
                setattr(module, name, empty)
        self._lock = threading.RLock()  # two threads must not replace one parameter

    def attach(self) -> None:
        """Fetch a submodule's tensors when it is called, or when one is looked at."""
        for module in self._model.modules():
            # Looked at: attention that multiplies by the weight of a submodule it never calls.
            module._parameters = _Watched(module._parameters, self.fetch)  # noqa: SLF001
            module._buffers = _Watched(module._buffers, self.fetch)  # noqa: SLF001
            # Called: recurrent modules keep a list of their own, and look nothing up.
            module.register_forward_pre_hook(_fetch_own)

    def fetch(self, tensor: torch.Tensor) -> None:
        """Put the values of its layer in the place of ``tensor``, if it waits for one."""
        with self._lock:
            waiting = self._waiting.get(id(tensor))
            if waiting is None:
                return
            found = self._tensors[waiting.layer]
            data = found.array.reshape(-1).view("u1").data
            values = tensor_from_bytes(found.dtype, found.array.shape, data)
            parameter_class: type[torch.nn.Parameter] = import_torch().nn.Parameter
            if isinstance(tensor, parameter_class):
                values = parameter_class(values, requires_grad=tensor.requires_grad)
            del self._waiting[id(tensor)]  # to set an attribute is to look at it
            for module, name in waiting.holders:
                setattr(module, name, values)


def _places_of(model: torch.nn.Module) -> dict[int, list[tuple[torch.nn.Module, str]]]:
    """Return where a model has each of its parameters and buffers, by identity."""
    places: dict[int, list[tuple[torch.nn.Module, str]]] = {}
    for module in model.modules():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):  # noqa: SLF001
            places.setdefault(id(tensor), []).append((module, name))
    return places


class _Watched(dict[str, Any]):
    """A module's parameters or buffers by name; to look one up is to fetch it."""

    def __init__(self, held: dict[str, Any], fetch: Callable[[torch.Tensor], None]) -> None:
        super().__init__(held)
        self._fetch = fetch

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401 -- a tensor or None
        tensor = super().__getitem__(name)
        if tensor is not None:
            self._fetch(tensor)
        return super().__getitem__(name)


def _fetch_own(module: torch.nn.Module, _inputs: object) -> None:
    for held in (module._parameters, module._buffers):  # noqa: SLF001 -- as in fetch_all
        for name in held:
            held[name]
