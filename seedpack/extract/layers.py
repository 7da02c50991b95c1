"""Tensors become layer records and chunks, several at a time (spec: LAY, CHK, EXT-13).

    tensor --codec, or raw--> chunks --the reader's decoder--> values --> signed digest
                                     --digest of each-->

Each layer is decoded again before it is signed: the digest is that of what a reader
will get, and a lossless layer must be the tensor itself.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import FIRST_COMPLETED, wait
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
import numpy as np

from seedpack import limits
from seedpack.codecs import encode_tensor, make_decoder
from seedpack.codecs.base import chunk_batches, decode_batch
from seedpack.codecs.const import is_constant
from seedpack.codecs.floats import store_float32, to_float32
from seedpack.codecs.registry import CONSTANT_ID, FALLBACK_ID
from seedpack.codecs.tensors import tensor_digest
from seedpack.codecs.values import all_finite
from seedpack.container.manifest import Chunk, Layer
from seedpack.crypto.digests import digest
from seedpack.errors import CodecError, ExtractError
from seedpack.extract.coding import Choice
from seedpack.extract.scattering import is_lossless, scatter_values
from seedpack.seed.parallel import for_each, layer_pool, layer_thread_count, thread_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from concurrent.futures import Future

    from seedpack.codecs.base import BaseTensors, Encoded
    from seedpack.dtypes import DType
    from seedpack.extract.coding import Coding, Storage
    from seedpack.frameworks import NamedTensor

_AHEAD_NBYTES: Final = 64 * limits.MIB  # raw bytes of tensors that may be in work at once
_MANY_CHUNKS: Final = 16  # so large a tensor has few others in work beside it
_MIN_LOSSY_DIMS: Final = 2  # vectors are biases and norms: few bytes, much harm


class EncodedLayer(NamedTuple):
    """A finished record and what it describes."""

    layer: Layer
    stored: list[bytes]  # of each chunk
    raw_nbytes: int


def encode_layers(
    tensors: Iterable[NamedTensor], coding: Coding, storage: Storage
) -> Iterator[EncodedLayer]:
    """Encode over all cores; layers come out in the order of ``tensors``.

    Raises:
        ExtractError: EXT-6, a bool that is neither 0 nor 1.

    Cost:
        Memory: of codec ``ecq``, 1.8 times 64 MiB of tensors or 1.8 times the largest one (2.4 of
            16 bit floats: levels take as much as they do); of
            ``raw``, twice.
    """
    waiting: deque[_Work] = deque()
    with layer_pool(layer_thread_count(waiting=coding.takes_turns)) as pool:
        for tensor in tensors:
            nbytes = len(tensor.data)
            yield from _finish(waiting, _AHEAD_NBYTES - nbytes)
            future = pool.submit(_encode_held, [tensor], coding, storage)
            waiting.append(_Work(future, nbytes))
            del tensor  # so that the one who encodes it can let go of its bytes
        yield from _finish(waiting, -1)


class _Work(NamedTuple):
    """A tensor that is being encoded, or waits for those before it."""

    future: Future[EncodedLayer]
    raw_nbytes: int

    @property
    def nbytes(self) -> int:
        """Size of what it holds; what failed is about to be raised."""
        if not self.future.done() or self.future.exception() is not None:
            return self.raw_nbytes
        return sum(map(len, self.future.result().stored))


def _finish(waiting: deque[_Work], most_nbytes: int) -> Iterator[EncodedLayer]:
    """Yield what is finished, in order, and wait until the rest holds at most that much.

    Small tensors behind a large one are taken in as others finish, not as it does: otherwise one
    core would wait for it.
    """
    while waiting:
        if waiting[0].future.done():
            yield waiting.popleft().future.result()
            continue
        if sum(work.nbytes for work in waiting) <= most_nbytes:
            return
        running = [work.future for work in waiting if not work.future.done()]
        wait(running, return_when=FIRST_COMPLETED)


def encode_layer(tensor: NamedTensor, coding: Coding, storage: Storage) -> EncodedLayer:
    """Encode one tensor, where its bytes are not there already, and prove that it decodes.

    Raises:
        ExtractError: EXT-6, a bool that is neither 0 nor 1.
    """
    return _encode_held([tensor], coding, storage)


def _encode_held(held: list[NamedTensor], coding: Coding, storage: Storage) -> EncodedLayer:
    """Do ``encode_layer`` for the one tensor of ``held``, which is then empty."""
    tensor = held.pop()
    nbytes = len(tensor.data)
    choice = coding.layers.get(tensor.name, Choice(coding.codec))
    if isinstance(choice, Choice):
        encoded, finite = _encode(tensor, choice, storage)
    else:
        encoded, finite = choice, True  # the decoder that proves it refuses others
    layer = Layer(
        chunks=make_chunks(encoded.chunks, storage.digest_algorithm),
        codec=encoded.codec,
        digest=b"",
        dtype=tensor.dtype.name,
        finite=finite,
        name=tensor.name,
        params=encoded.params,
        shape=list(tensor.shape),
    )
    lossless = encoded is not choice and is_lossless(encoded)
    original = _digest(tensor, tensor.data, storage) if lossless else b""
    tensor = tensor._replace(data=b"")  # decoded values take the place of those encoded
    decoded = _decode(layer, encoded.chunks, tensor.dtype, coding.base)
    signed = _digest(tensor, decoded, storage)
    if lossless and signed != original:
        raise ExtractError(
            "does not decode to itself",
            rule="EXT-14",
            where=f"layer {tensor.name}",
            hint="a defect of seedpack: please report it",
        )
    return EncodedLayer(msgspec.structs.replace(layer, digest=signed), encoded.chunks, nbytes)


def _digest(
    tensor: NamedTensor, values: np.ndarray | bytes | memoryview, storage: Storage
) -> bytes:
    """Return the digest of ``values`` as those of ``tensor``."""
    if not isinstance(values, np.ndarray):
        values = np.frombuffer(values, tensor.dtype.storage)
    return tensor_digest(storage.digest_algorithm, tensor.dtype, tensor.shape, values)


def make_chunks(stored: Sequence[bytes], algorithm: str) -> list[Chunk]:
    """Return the chunk records of stored bytes."""
    return [Chunk(len(data), digest(algorithm, data)) for data in stored]


def _encode(tensor: NamedTensor, choice: Choice, storage: Storage) -> tuple[Encoded, bool]:
    """Return the stored form, and whether all values are finite."""
    values = np.frombuffer(tensor.data, tensor.dtype.storage)  # (n,)
    finite = all_finite(values, tensor.dtype)
    is_matrix = tensor.dtype.kind == "float" and len(tensor.shape) >= _MIN_LOSSY_DIMS
    if values.size and is_constant(values):
        choice = Choice(CONSTANT_ID)  # EXT-20
    elif not is_matrix or not finite:
        choice = Choice(FALLBACK_ID)
    if choice.encode is not None:
        matrix = to_float32(values, tensor.dtype).reshape(tensor.shape)
        own = choice.encode(matrix, tensor.dtype, storage.chunk_raw_nbytes)
        return (own, finite) if own else _encode(tensor, Choice(FALLBACK_ID), storage)
    adjusted = values if choice.adjust is None else _adjust(tensor, values, choice.adjust)
    scattered = scatter_values(adjusted, tensor.dtype, choice, storage)
    encoded = scattered or encode_tensor(
        choice.codec,
        adjusted.reshape(tensor.shape),
        tensor.dtype,
        chunk_raw_nbytes=storage.chunk_raw_nbytes,
        settings=choice.settings,
    )
    if adjusted is not values and is_lossless(encoded):
        return _encode(tensor, Choice(FALLBACK_ID), storage)  # the values themselves
    return encoded, finite


def _adjust(
    tensor: NamedTensor, values: np.ndarray, adjust: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    moved = adjust(to_float32(values, tensor.dtype).reshape(tensor.shape))
    out = np.empty_like(values)
    store_float32(moved.ravel(), out, tensor.dtype)
    return out if all_finite(out, tensor.dtype) else values


def _decode(
    layer: Layer, stored: Sequence[bytes], dtype: DType, base: BaseTensors | None
) -> np.ndarray:
    try:
        decoder = make_decoder(layer, dtype, base)
        for_each(
            chunk_batches(decoder, len(stored)),
            lambda: (
                lambda batch: decode_batch(
                    decoder, batch, [memoryview(stored[index]) for index in batch]
                )
            ),
            threads=thread_count() if len(stored) >= _MANY_CHUNKS else 1,
        )
        return decoder.finish()
    except CodecError as error:
        raise ExtractError(
            f"no reader would accept its values: {error.message} ({error.rule})",
            rule="EXT-6",
            where=f"layer {layer.name}",
        ) from error
