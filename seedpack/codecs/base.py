"""What every codec offers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    import numpy as np

    from seedpack.container.manifest import Layer, Params
    from seedpack.dtypes import DType


_INTEGER_NBYTES: Final = 8  # in msgpack, at most, as the heads of name and value
_HEADS_NBYTES: Final = 4
_CHUNK_RECORD_NBYTES: Final = 40  # a size and a digest


class Encoded(NamedTuple):
    """A tensor as it will be stored."""

    codec: str  # id; ``raw`` where the codec asked for declined
    params: Params
    chunks: list[bytes]  # stored bytes, in order

    @property
    def stored_nbytes(self) -> int:
        """Size of all chunks."""
        return sum(map(len, self.chunks))

    @property
    def record_nbytes(self) -> int:
        """What a layer takes of the file, at most: chunks, their records, params."""
        return self.stored_nbytes + manifest_nbytes(self.params, len(self.chunks))


def manifest_nbytes(params: Params, nchunks: int) -> int:
    """Return what a manifest takes for these params and chunks, at most."""
    values = sum(
        len(name) + (len(value) if isinstance(value, (bytes, str)) else _INTEGER_NBYTES)
        for name, value in params.items()
    )
    return values + _HEADS_NBYTES * len(params) + nchunks * _CHUNK_RECORD_NBYTES


class LayerDecoder(Protocol):
    """One layer on its way back to values; its sizes and params have been checked."""

    def decode_chunk(self, index: int, stored: memoryview) -> None:
        """Decode one chunk into its place; threads may decode distinct chunks at once.

        Args:
            index: Place of the chunk among the layer's chunks.
            stored: Contiguous bytes whose digest has been checked (CHK-2).

        Raises:
            CodecError: CHK-3, ZST, LAY-7 or a rule of the codec.
        """

    def finish(self) -> np.ndarray:
        """Return the values: 1-D, of the dtype's storage type; every chunk was decoded."""


@runtime_checkable
class BatchDecoder(LayerDecoder, Protocol):
    """A decoder to which several chunks at once cost less than one after the other."""

    def batches(self) -> list[range]:
        """Return all chunks, those together that are best decoded together."""

    def decode_batch(self, batch: range, stored: Sequence[memoryview]) -> None:
        """Decode the chunks of one of ``batches``; else as ``decode_chunk``.

        Raises:
            CodecError: As ``decode_chunk``.
        """


def chunk_batches(decoder: LayerDecoder, nchunks: int) -> list[range]:
    """Return which of a layer's chunks to decode together."""
    if isinstance(decoder, BatchDecoder):
        return decoder.batches()
    return [range(index, index + 1) for index in range(nchunks)]


def decode_batch(decoder: LayerDecoder, batch: range, stored: Sequence[memoryview]) -> None:
    """Decode the chunks of one of ``chunk_batches``, given what is stored of each.

    Raises:
        CodecError: As ``LayerDecoder.decode_chunk``.
    """
    if isinstance(decoder, BatchDecoder):
        decoder.decode_batch(batch, stored)
        return
    for index, one in zip(batch, stored, strict=True):
        decoder.decode_chunk(index, one)


class Partial(NamedTuple):
    """What is left of a tensor whose chunks were not all decoded."""

    values: np.ndarray  # (n,) of the dtype's storage type; 0 where nothing is known
    is_known: np.ndarray  # (n,) bool
    is_coarse: np.ndarray  # (n,) bool: known, but for low bits that have chunks of their own


class PartialDecoder(LayerDecoder, Protocol):
    """A decoder of a codec whose chunks decode alone (spec: SLV)."""

    def finish_without(self, lost: Collection[int]) -> Partial:
        """Return the values, where the chunks ``lost`` were not decoded and all others were.

        Raises:
            CodecError: A rule of the codec.
        """


class Codec(Protocol):
    """A way to store the values of one tensor; without state, so free to share."""

    @property
    def id(self) -> str:
        """Name in the manifest (LAY-5)."""

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> Encoded | None:
        """Return the stored form, or None for values that another codec should take.

        Args:
            values: 1-D, contiguous, of numpy type ``dtype.storage``.
            dtype: What the stored bits mean.
            chunk_raw_nbytes: Decoded bytes per chunk, more where much less is stored.
        """

    def decoder(self, layer: Layer, dtype: DType) -> LayerDecoder:
        """Check params, number and sizes of the chunks, and only then allocate the values.

        Raises:
            CodecError: CHK-3, LAY-4, LAY-7 or a rule of the codec.
        """


class ShapedCodec(Codec, Protocol):
    """A codec for which a tensor is more than its values in a row."""

    def for_shape(self, shape: tuple[int, ...]) -> Codec:
        """Return the codec for tensors of this shape."""


class BaseTensors(Protocol):
    """The model that delta layers refer to; threads may read from it at once (spec: BAS)."""

    def digest(self, algorithm: str) -> bytes:
        """Return the digest of all its tensors, by which a manifest names it."""

    def describe(self, name: str) -> tuple[DType, tuple[int, ...]] | None:
        """Return dtype and shape of a tensor, None where there is none of this name."""

    def read(self, name: str) -> np.ndarray:
        """Return checked values: 1-D, of the dtype's storage type; ``describe`` knows the name.

        Raises:
            SeedError: They are no longer what ``digest`` was about, or do not decode.
        """


class BasedCodec(Codec, Protocol):
    """A codec whose layers mean nothing without a tensor of another model."""

    def decoder_over(self, layer: Layer, dtype: DType, base: BaseTensors) -> LayerDecoder:
        """Do as ``decoder`` does, over a base whose digest has been checked (BAS-2).

        Raises:
            CodecError: BAS-3, the base has no such tensor; else as ``decoder``.
        """
