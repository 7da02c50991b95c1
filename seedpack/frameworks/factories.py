"""Plain torch modules, built by a function that the user names (spec: ASM-5).

    "module:function" | "file.py:function" ──load_factory──> function ──call──> module
    module's state dict ──names, shapes, kinds──> those of the tensors?        nothing read yet
    tensors ──one after another──> copied into the module's own parameters     ties are kept

The name is always an option or argument of whoever runs this: publisher or consumer. Nothing
in a seed names a factory, and nothing read from a seed may be passed here.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from seedpack.dtypes import DTYPES
from seedpack.errors import AssemblyError
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.torch_files import bytes_of, tensor_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from types import ModuleType

    import torch

    from seedpack.frameworks.sources import ModelSource, NamedTensor, TensorInfo, Weights

    Factory = Callable[[], torch.nn.Module]

_FORM: Final = re.compile(r"\A(?P<home>[^:]+):(?P<function>[A-Za-z_]\w*)\Z", re.ASCII)
_DOTTED: Final = re.compile(r"\A[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)
_HINT: Final = "give module:function or file.py:function, which builds the module without arguments"

# What the user's own code may raise when it is imported or called: said, not traced.
_USER_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)


def load_factory(name: str) -> Factory:
    """Return the function called ``name``, which the user gave.

    Args:
        name: ``package.module:function``, importable here, or ``path/to/file.py:function``.

    Raises:
        AssemblyError: ASM-5, there is no such function, or its module cannot be imported.
    """
    match = _FORM.match(name)
    if match is None:
        raise _no_factory("is no name of a function", name)
    home, function = match["home"], match["function"]
    try:
        module = _import_file(Path(home)) if home.endswith(".py") else _import_module(home, name)
    except _USER_ERRORS as error:
        raise _no_factory(f"cannot be imported: {_describe(error)}", name) from error
    found = getattr(module, function, None)
    if not callable(found):
        raise _no_factory(f"{home} has no function {function}", name)
    return cast("Factory", found)


def build_module(factory: Factory, source: ModelSource | Weights) -> torch.nn.Module:
    """Return the module of ``factory`` with the tensors of ``source``, on the CPU and in ``eval``.

    Every tensor is copied into a parameter or buffer of its own name and converted to its dtype;
    what the module ties stays tied.

    Args:
        factory: From ``load_factory``, or any function without arguments.
        source: The tensors.

    Raises:
        AssemblyError: ASM-5, the function fails or returns something else; ASM-1, names, shapes
            or kinds of numbers differ from those of ``source``, before any tensor is read, or
            tied parameters were given different values.
        ExtractError: EXT-12, torch is not installed.

    Cost:
        Memory: the module and the largest tensor.
    """
    module = make_module(factory)
    check_module(module, source.infos())
    fill_module(module, source.tensors())
    return module.eval()


def make_module(factory: Factory, *, empty: bool = False) -> torch.nn.Module:
    """Call ``factory``.

    Args:
        factory: The user's.
        empty: Parameters may be on the meta device: the caller fills them.

    Raises:
        AssemblyError: ASM-5.
        ExtractError: EXT-12.
    """
    module_class: type[torch.nn.Module] = import_torch().nn.Module
    name = getattr(factory, "__qualname__", "factory")
    try:
        module = factory()
    except _USER_ERRORS as error:
        raise _no_factory(f"failed: {_describe(error)}", name) from error
    if not isinstance(module, module_class):
        raise _no_factory(f"returned a {type(module).__name__}, no torch.nn.Module", name)
    if not empty and any(tensor.is_meta for tensor in state_of(module).values()):
        raise _no_factory("returned a module without values, on the meta device", name)
    return module


def check_module(module: torch.nn.Module, infos: Sequence[TensorInfo]) -> None:
    """Refuse tensors that are not exactly what ``module`` is made of; nothing is read.

    A parameter may be left out where it is tied to one that is there.

    Raises:
        AssemblyError: ASM-1.
    """
    state = state_of(module)
    for info in infos:
        if info.name not in state:
            raise _mismatch("the module has no such parameter or buffer", info.name)
        target = state[info.name]
        if tuple(target.shape) != info.shape:
            shapes = f"shape {list(info.shape)}, the module has {list(target.shape)}"
            raise _mismatch(shapes, info.name)
        kind = _kind(target)
        if kind != info.dtype.kind:
            raise _mismatch(f"holds {info.dtype.name}, the module has {target.dtype}", info.name)
    given = {id(state[info.name]) for info in infos}  # tied names have one object
    missing = [name for name, tensor in state.items() if id(tensor) not in given]
    if missing:
        raise _mismatch(f"no tensor for it, nor for {len(missing) - 1} more", missing[0])


def fill_module(module: torch.nn.Module, tensors: Iterable[NamedTensor]) -> None:
    """Copy ``tensors`` into the parameters and buffers of a module that ``check_module`` passed.

    Raises:
        AssemblyError: ASM-1, tied parameters were given different values.
    """
    torch, state = import_torch(), state_of(module)
    filled: set[int] = set()
    for tensor in tensors:
        target = state[tensor.name]
        values = tensor_from_bytes(tensor.dtype, tensor.shape, tensor.data).to(target.dtype)
        if id(target) not in filled:
            with torch.no_grad():
                target.copy_(values)
            filled.add(id(target))
        elif bytes_of(target) != bytes_of(values):
            raise _mismatch("tied to another parameter, and given other values", tensor.name)


def _import_module(home: str, name: str) -> ModuleType:
    if not _DOTTED.match(home):
        raise _no_factory("is no name of a module", name)
    return import_module(home)


def _import_file(path: Path) -> ModuleType:
    """Run a file of the user's; its folder is not searched for other modules."""
    spec = importlib.util.spec_from_file_location(f"seedpack_factory_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def state_of(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    """Return parameters and lasting buffers themselves, tied ones by each of their names."""
    torch = import_torch()
    state = module.state_dict(keep_vars=True)
    return {name: value for name, value in state.items() if isinstance(value, torch.Tensor)}


def _kind(tensor: torch.Tensor) -> str | None:
    dtype = DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    return dtype.kind if dtype else None


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:300]


def _no_factory(message: str, name: str) -> AssemblyError:
    return AssemblyError(message, rule="ASM-5", where=f"factory {name[:80]!a}", hint=_HINT)


def _mismatch(message: str, name: str) -> AssemblyError:
    return AssemblyError(
        message,
        rule="ASM-1",
        where=f"parameter {name[:80]}",
        hint="the factory must build the very module that the weights were saved from",
    )
