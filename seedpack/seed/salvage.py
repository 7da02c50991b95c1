"""What is left of a seed that lost more than its parity restores (spec: SLV).

    chunks --digest holds--> intact | lost --copies, parity--> restored, or gone for good
    layer without loss  --decode--> its signed digest holds (LAY-8)
    layer with losses   --decode the rest--> 0 where nothing is known, the rest stronger by so much

What comes out is NOT what was signed and cannot be checked as such: it is of a type of its own,
which nothing takes for a verified tensor. No byte that lacks its signed digest is ever decoded.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np

from seedpack.codecs import make_decoder
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.registry import PARTIAL_IDS
from seedpack.dtypes import DTYPES
from seedpack.seed.repair import (
    can_recover,
    damaged_stripes,
    find_copies,
    find_lost_chunks,
    recover_chunks,
)
from seedpack.seed.tensors import check_base, checked_tensor, decode_layer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.codecs.base import BaseTensors, Partial, PartialDecoder
    from seedpack.container.manifest import Layer
    from seedpack.container.payload import PlacedChunk
    from seedpack.dtypes import DType
    from seedpack.seed.contents import Contents

_MATRIX_DIMS: Final = 2
_SCALED: Final = frozenset({"bfloat16", "float16", "float32"})


class Gain(StrEnum):
    """By what the values that are left of a row are multiplied, where the share q of it is lost."""

    NONE = "none"  # 1
    NORM = "norm"  # (1 - q)^-1/2: the row keeps its norm, as expected
    RESPONSE = "response"  # (1 - q)^-1: the row keeps its answer, as expected


class LayerLoss(NamedTuple):
    """What one layer lost."""

    name: str
    values: int  # of the whole layer
    missing: int  # of which nothing is known
    coarse: int  # of which only the top bits are known
    chunks: int
    lost_chunks: int  # neither intact nor restored


class SalvagedTensor(NamedTuple):
    """One tensor as far as it is left; NOT what was signed, unless nothing is missing or coarse.

    ``array`` has the layer's shape and the dtype's storage type.
    """

    name: str
    dtype: DType
    array: np.ndarray
    loss: LayerLoss


class Salvage:
    """A damaged seed, and what of it can be had.

    Attributes:
        seed: Its signatures and its manifest were checked when it was opened.
        damaged: Indices of chunks that are absent or not what was signed.
        lost: Those of them that neither a copy nor parity restored.
    """

    def __init__(self, seed: Contents) -> None:
        """Find the damage, and restore what can be (SLV-2).

        Raises:
            IntegrityError: PAR-4, parity that restores something else than what was signed.
            StoreError: PAR-5, there is parity and no package that computes with it.

        Cost:
            Memory: the bytes of all chunks that parity restores.
        """
        self.seed = seed
        self.damaged = find_lost_chunks(seed)
        self._copies = find_copies(seed, self.damaged)
        gone = self.damaged - self._copies.keys()
        self._restored: dict[int, bytes] = {}
        for stripe in damaged_stripes(seed, gone):
            if can_recover(seed, stripe, gone):
                self._restored |= recover_chunks(seed, stripe, gone, self._copies)
        by_digest = {seed.chunks[index].digest: data for index, data in self._restored.items()}
        for index in gone - self._restored.keys():
            if seed.chunks[index].digest in by_digest:
                self._restored[index] = by_digest[seed.chunks[index].digest]
        self.lost = gone - self._restored.keys()

    @property
    def is_whole(self) -> bool:
        """True when nothing is lost for good: the seed can be repaired, exactly."""
        return not self.lost

    def tensors(
        self, *, base: BaseTensors | None = None, gain: Gain = Gain.RESPONSE
    ) -> Iterator[SalvagedTensor]:
        """Yield all layers, in manifest order, one at a time.

        Args:
            base: What layers of codec ``delta`` refer to.
            gain: What makes up for lost values of matrices; vectors get the mean of the rest.

        Raises:
            IntegrityError: LAY-8, CHK-2 (damaged meanwhile), BAS-2.
            CodecError: As of ``decode_layers``.
            AssemblyError: BAS-1.
        """
        check_base(self.seed.manifest, self.seed.manifest.layers, base)
        for layer, chunks in self.seed.layers():
            yield self._salvage_layer(layer, chunks, base, gain)

    def attachments(self) -> tuple[dict[str, bytes], list[str]]:
        """Return the contents of the attachments that are whole, and the names of the others."""
        found: dict[str, bytes] = {}
        lacking = []
        for attachment, chunks in self.seed.attachments():
            if any(chunk.index in self.damaged for chunk in chunks):
                lacking.append(attachment.name)
            else:
                found[attachment.name] = self.seed.read_attachment(attachment, chunks)
        return found, lacking

    def _salvage_layer(
        self, layer: Layer, chunks: list[PlacedChunk], base: BaseTensors | None, gain: Gain
    ) -> SalvagedTensor:
        dtype = DTYPES[layer.dtype]
        lost = {number for number, chunk in enumerate(chunks) if chunk.index in self.lost}
        if not any(chunk.index in self.damaged for chunk in chunks):
            array = decode_layer(self.seed, layer, chunks, base)
            return SalvagedTensor(layer.name, dtype, array, _loss(layer, array.size, 0, 0, 0))
        if lost and layer.codec not in PARTIAL_IDS:
            return _all_lost(layer, dtype, len(lost))
        decoder = make_decoder(layer, dtype, base)
        for number, chunk in enumerate(chunks):
            if number not in lost:
                decoder.decode_chunk(number, self._read(chunk))
        if not lost:
            array = checked_tensor(self.seed, layer, decoder.finish(), threads=1)
            return SalvagedTensor(layer.name, dtype, array, _loss(layer, array.size, 0, 0, 0))
        left = cast("PartialDecoder", decoder).finish_without(lost)
        return _make_up(layer, dtype, left, len(lost), gain)

    def _read(self, chunk: PlacedChunk) -> memoryview:
        """Return bytes with the signed digest: SLV-1."""
        if chunk.index in self._restored:
            return memoryview(self._restored[chunk.index])
        intact = self.seed.chunks[self._copies.get(chunk.index, chunk.index)]
        return self.seed.read_chunk(intact, bytearray(intact.stored_nbytes))


def _all_lost(layer: Layer, dtype: DType, nlost: int) -> SalvagedTensor:
    """Return zeros for a layer whose codec makes nothing of some of its chunks (SLV-3)."""
    array = np.zeros(layer.shape, dtype.storage)
    return SalvagedTensor(layer.name, dtype, array, _loss(layer, array.size, array.size, 0, nlost))


def _make_up(layer: Layer, dtype: DType, left: Partial, nlost: int, gain: Gain) -> SalvagedTensor:
    """Return the tensor with what makes up for its losses (SLV-4)."""
    missing, coarse = int((~left.is_known).sum()), int(left.is_coarse.sum())
    if missing and dtype.name in _SCALED:
        _compensate(layer, dtype, left, gain)
    array = left.values.reshape(layer.shape)
    return SalvagedTensor(
        layer.name, dtype, array, _loss(layer, array.size, missing, coarse, nlost)
    )


def _compensate(layer: Layer, dtype: DType, left: Partial, gain: Gain) -> None:
    """Strengthen the rest of each row of a matrix; give a vector its mean."""
    values = to_float32(left.values, dtype).astype(np.float64)
    if len(layer.shape) < _MATRIX_DIMS:
        if left.is_known.any():
            values[~left.is_known] = values[left.is_known].mean()
    else:
        rows = values.reshape(layer.shape[0], -1)
        known = left.is_known.reshape(rows.shape).mean(axis=1)
        power = {Gain.NONE: 0.0, Gain.NORM: -0.5, Gain.RESPONSE: -1.0}[gain]
        rows *= np.where(known > 0, known, 1)[:, None] ** power
    limit = np.finfo(np.float16).max if dtype.name == "float16" else np.finfo(np.float32).max / 2
    store_float32(np.clip(values, -limit, limit).astype(np.float32), left.values, dtype)


def _loss(layer: Layer, values: int, missing: int, coarse: int, lost: int) -> LayerLoss:
    return LayerLoss(layer.name, values, missing, coarse, len(layer.chunks), lost)
