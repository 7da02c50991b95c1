"""Modules without memory for their parameters."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any, Final

from seedpack.frameworks.packages import import_torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_LOCK: Final = threading.RLock()  # what is replaced is one for all threads: last in, first out


@contextlib.contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Let modules that this thread builds keep no memory for parameters; buffers stay real.

    A meta device would empty the buffers, too: those that are computed, never saved.
    """
    torch = import_torch()
    with _LOCK:
        yield from _registering_empty(torch)


def _registering_empty(torch: Any) -> Iterator[None]:  # noqa: ANN401 -- the package
    register = torch.nn.Module.register_parameter
    thread = threading.get_ident()

    def register_empty(module: Any, name: str, parameter: Any) -> None:  # noqa: ANN401 -- torch's
        if parameter is not None and threading.get_ident() == thread and not parameter.is_meta:
            kept = vars(parameter)
            needs_grad = parameter.requires_grad
            parameter = type(parameter)(parameter.to("meta"), requires_grad=needs_grad)
            vars(parameter).update(kept)
        register(module, name, parameter)

    torch.nn.Module.register_parameter = register_empty
    try:
        yield
    finally:
        torch.nn.Module.register_parameter = register
