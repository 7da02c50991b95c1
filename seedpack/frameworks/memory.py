"""Weights that were made here, all or some of them, and stand in memory instead of a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from seedpack.dtypes import DTYPES
from seedpack.frameworks.sources import NamedTensor, TensorInfo, check_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from seedpack.frameworks.sources import LeftOut, Weights


class MemoryWeights:
    """Arrays of float32, by name."""

    left_out: tuple[LeftOut, ...] = ()

    def __init__(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take ``arrays``, which must not change any more.

        Raises:
            ExtractError: EXT-7, EXT-8, a name or shape that no layer can have.
        """
        self._arrays = {
            name: np.ascontiguousarray(array, "<f4").reshape(array.shape)
            for name, array in arrays.items()
        }
        for info in self.infos():
            check_info(info)

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return names and shapes."""
        dtype = DTYPES["float32"]
        return tuple(TensorInfo(name, dtype, a.shape) for name, a in self._arrays.items())

    def read(self, name: str) -> NamedTensor:
        """Return one tensor."""
        array = self._arrays[name]
        return NamedTensor(name, DTYPES["float32"], array.shape, array.tobytes())

    def tensors(self) -> Iterator[NamedTensor]:
        """Yield one tensor after another."""
        return map(self.read, self._arrays)


class PatchedWeights:
    """The tensors of a model, some of them with other values."""

    def __init__(self, weights: Weights, values: Mapping[str, bytes]) -> None:
        """Take the tensors of ``weights``, but the bytes of ``values`` where it names one."""
        self.left_out = weights.left_out
        self._weights = weights
        self._values = values

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return what the model has."""
        return self._weights.infos()

    def read(self, name: str) -> NamedTensor:
        """Return one tensor."""
        return self._patch(self._weights.read(name))

    def tensors(self) -> Iterator[NamedTensor]:
        """Yield one tensor after another."""
        return map(self._patch, self._weights.tensors())

    def _patch(self, tensor: NamedTensor) -> NamedTensor:
        if tensor.name not in self._values:
            return tensor
        return tensor._replace(data=self._values[tensor.name])
