"""What every kind of model is turned into before it becomes a seed.

Weights      names, dtypes and shapes at once; the bytes one tensor at a time
ModelSource  weights + architecture + files that travel along
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol

from seedpack import limits
from seedpack.container.names import check_layer_name
from seedpack.errors import ExtractError, FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from seedpack.container.manifest import Architecture
    from seedpack.dtypes import DType

FileKind = Literal["card", "config", "licence", "other", "tokenizer"]  # ATT-5


class TensorInfo(NamedTuple):
    """All about a tensor but its values."""

    name: str
    dtype: DType
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Size of the elements."""
        return math.prod(self.shape) * self.dtype.itemsize


class NamedTensor(NamedTuple):
    """A tensor's identity and its elements."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    data: bytes | memoryview  # little-endian, C order


class AttachedFile(NamedTuple):
    """A file that travels along: tokenizer, model card, licence."""

    name: str  # relative to the model's folder, as in the seed (ATT-1)
    kind: FileKind
    path: Path


class LeftOut(NamedTuple):
    """Something beside the weights that the seed will not carry."""

    name: str
    reason: str


class Weights(Protocol):
    """Tensors of one or more files."""

    left_out: tuple[LeftOut, ...]

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return what is there, in the order of ``tensors``."""

    def tensors(self) -> Iterator[NamedTensor]:
        """Read one tensor after another; memory is that of the largest."""

    def read(self, name: str) -> NamedTensor:
        """Read one of the tensors."""


@dataclass(frozen=True, kw_only=True)
class ModelSource:
    """A model that can become a seed."""

    kind: Literal["safetensors", "state-dict", "transformers"]
    weights: Weights
    architecture: Architecture | None = None
    files: tuple[AttachedFile, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    unused: tuple[str, ...] = ()  # tensors that no parameter of the architecture takes

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return names, dtypes and shapes without reading data."""
        return self.weights.infos()

    def tensors(self) -> Iterator[NamedTensor]:
        """Read one tensor after another."""
        return self.weights.tensors()

    def describe(self) -> dict[str, int | str]:
        """Return what the recipe of a seed says about its source.

        No digest of the file: the layers' digests name the values, whatever file held them.
        """
        return {"source": self.kind}


class ShardedWeights:
    """Several files that together hold one model, in the order given."""

    def __init__(self, shards: Sequence[Weights], *, where: Path) -> None:
        """Join ``shards``.

        Raises:
            ExtractError: EXT-7, a tensor stands in two of them.
        """
        self._shards = tuple(shards)
        self.left_out = tuple(item for shard in self._shards for item in shard.left_out)
        check_unique((info.name for info in self.infos()), where=str(where))
        self._owners = {info.name: shard for shard in self._shards for info in shard.infos()}

    def infos(self) -> tuple[TensorInfo, ...]:
        """Return what all shards hold."""
        return tuple(info for shard in self._shards for info in shard.infos())

    def tensors(self) -> Iterator[NamedTensor]:
        """Read shard after shard."""
        for shard in self._shards:
            yield from shard.tensors()

    def read(self, name: str) -> NamedTensor:
        """Read one tensor of the shard that has it."""
        return self._owners[name].read(name)


def check_unique(names: Iterable[str], *, where: str) -> None:
    """Refuse a name that occurs twice (EXT-7)."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ExtractError(
                f"tensor {name[:80]!a} stands there twice", rule="EXT-7", where=where
            )
        seen.add(name)


def check_info(info: TensorInfo) -> None:
    """Refuse a tensor that no layer record can describe.

    Raises:
        ExtractError: EXT-7, the name; EXT-8, the shape.
    """
    where = f"tensor {info.name[:80]!a}"
    try:
        check_layer_name(info.name, where=where)
    except FormatError as error:
        raise ExtractError(error.message, rule="EXT-7", where=where, hint=error.hint) from error
    if len(info.shape) > limits.MAX_DIMS:
        raise ExtractError(
            f"{len(info.shape)} dimensions, at most {limits.MAX_DIMS} are possible",
            rule="EXT-8",
            where=where,
        )
    # Nonzero dimensions, as LAY-4 counts them.
    if math.prod(n for n in info.shape if n) * info.dtype.itemsize > limits.MAX_LAYER_NBYTES:
        raise ExtractError(
            f"shape {list(info.shape)} exceeds {limits.MAX_LAYER_NBYTES} bytes",
            rule="EXT-8",
            where=where,
        )
