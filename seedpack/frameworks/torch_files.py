"""Tensors from ``.pt``, ``.pth`` and ``.bin`` state dicts, by torch's weights-only load.

    file --torch.load(weights_only=True)--> state dict --flatten--> name -> tensor --> bytes

A pickle is a program. ``weights_only`` runs none of it but a closed list of builders of
tensors; all that is not on the list is refused, never retried in another way. Tensors
that share storage (tied weights) become layers of their own, with equal digests.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from seedpack.dtypes import DTYPES
from seedpack.errors import ExtractError
from seedpack.frameworks.packages import import_torch
from seedpack.frameworks.sources import LeftOut, NamedTensor, TensorInfo, check_info, check_unique

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import torch

    from seedpack.dtypes import DType

# Under these keys training programs put the state dict beside epoch and optimiser.
_WRAPPERS: Final = ("state_dict", "model_state_dict", "model")

# What torch's unpickler and archive reader raise on files that are broken or hostile.
_LOAD_ERRORS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    pickle.PickleError,
    zipfile.BadZipFile,
)


class TorchWeights:
    """The tensors of one state dict, in its own order."""

    def __init__(self, path: Path) -> None:
        """Load the file, mapped into memory where its format allows.

        Raises:
            ExtractError: EXT-5, not a weights-only state dict; EXT-6 to EXT-8, a tensor that
                no seed can carry; EXT-12, torch is not installed.
        """
        loaded = _load(path)
        left_out: list[LeftOut] = []
        state = _unwrap(loaded, left_out, where=str(path))
        tensors = list(_flatten(state, "", left_out))
        check_unique((name for name, _ in tensors), where=str(path))
        self._tensors = dict(tensors)
        self.left_out = tuple(left_out)
        self._infos = tuple(_info(name, tensor) for name, tensor in self._tensors.items())

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return names, dtypes and shapes."""
        return self._infos

    def tensors(self) -> Iterator[NamedTensor]:
        """Copy out one tensor after another."""
        for info, tensor in zip(self._infos, self._tensors.values(), strict=True):
            yield NamedTensor(*info, bytes_of(tensor))

    def read(self, name: str) -> NamedTensor:
        """Copy out one of the tensors."""
        (info,) = (info for info in self._infos if info.name == name)
        return NamedTensor(*info, bytes_of(self._tensors[name]))


def bytes_of(tensor: torch.Tensor) -> memoryview:
    """Return the elements in C order, whatever the strides."""
    torch = import_torch()
    # uint8, because numpy has neither bfloat16 nor float8.
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    elements: Any = flat.numpy()  # a buffer, which 3.11 has no type for
    return memoryview(elements).cast("B").toreadonly()


def tensor_from_bytes(
    dtype: DType, shape: tuple[int, ...], data: bytes | memoryview
) -> torch.Tensor:
    """Return a tensor with a copy of ``data`` (little-endian, C order)."""
    library = import_torch()
    kind = getattr(library, dtype.name)
    # frombuffer refuses empty buffers.
    flat = library.frombuffer(bytearray(data), dtype=kind) if data else library.empty(0, dtype=kind)
    tensor: torch.Tensor = flat.reshape(shape)
    return tensor


def _load(path: Path) -> object:
    torch = import_torch()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # advice on pickle protocols, to nobody's use
            loaded: object = torch.load(
                path,
                map_location="cpu",
                weights_only=True,
                mmap=zipfile.is_zipfile(path),  # the format before torch 1.6 cannot be mapped
            )
    except _LOAD_ERRORS as error:
        # torch adds paragraphs of advice on how to load it unsafely: the first line is enough.
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
        raise ExtractError(
            f"not a weights-only state dict: {reason}"[:300],
            rule="EXT-5",
            where=str(path),
            hint="a pickle that needs more than tensors could run code; re-save the state dict",
        ) from error
    return loaded


def _unwrap(loaded: object, left_out: list[LeftOut], *, where: str) -> Mapping[object, object]:
    if not isinstance(loaded, Mapping):
        raise ExtractError(
            f"holds a {type(loaded).__name__}, not a state dict",
            rule="EXT-5",
            where=where,
            hint="save model.state_dict()",
        )
    for key in _WRAPPERS:
        inner = loaded.get(key)
        if isinstance(inner, Mapping):
            left_out += [
                LeftOut(str(other), "beside the state dict") for other in loaded if other != key
            ]
            return inner
    return loaded


def _flatten(
    state: Mapping[Any, object], prefix: str, left_out: list[LeftOut]
) -> Iterator[tuple[str, torch.Tensor]]:
    torch = import_torch()
    for key, value in state.items():
        name = f"{prefix}{key}"
        if isinstance(value, torch.Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _flatten(value, f"{name}.", left_out)
        else:
            left_out.append(LeftOut(name, f"{type(value).__name__}, not a tensor"))


def _info(name: str, tensor: torch.Tensor) -> TensorInfo:
    torch = import_torch()
    where = f"tensor {name[:80]!a}"
    dtype = DTYPES.get(str(tensor.dtype).removeprefix("torch."))
    if dtype is None or tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        raise ExtractError(
            f"{tensor.dtype}, {tensor.layout} on {tensor.device} cannot be carried",
            rule="EXT-6",
            where=where,
            hint="dense tensors of the usual number types only; convert it first",
        )
    info = TensorInfo(name, dtype, tuple(tensor.shape))
    check_info(info)
    # A view may repeat its storage without bound: a few bytes that unfold to terabytes.
    if info.nbytes > tensor.untyped_storage().nbytes():
        raise ExtractError(
            "expanded view, larger than its storage",
            rule="EXT-8",
            where=where,
            hint="save tensor.contiguous()",
        )
    return info
