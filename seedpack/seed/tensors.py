"""Decoded tensors from checked chunks (spec: steps 6 to 8).

    layer -> chunks --read_chunk: digest holds--> decoder, same buffer --> one array
                                                       array --digest equals the signed one--> out

A large layer's chunks are decoded by several threads into one array; small layers
are decoded whole, one per thread. Layers come out in manifest order.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack import limits
from seedpack.codecs import make_decoder
from seedpack.codecs.base import chunk_batches, decode_batch
from seedpack.codecs.delta.refusals import no_base
from seedpack.codecs.registry import BASED_IDS, BUSY_IDS
from seedpack.codecs.tensors import tensor_digest
from seedpack.container.rules import layer_nbytes
from seedpack.dtypes import DTYPES, DType
from seedpack.errors import CodecError, IntegrityError
from seedpack.seed.parallel import layer_pool, layer_thread_count, thread_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import ThreadPoolExecutor

    import numpy as np

    from seedpack.codecs.base import BaseTensors, LayerDecoder
    from seedpack.container.manifest import Layer, Manifest
    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.contents import Contents

_LARGE_NBYTES: Final = 8 * limits.MIB  # layers above are decoded by several threads
_AHEAD_NBYTES: Final = 64 * limits.MIB  # decoded bytes that may wait for the consumer


class Tensor(NamedTuple):
    """One decoded and checked tensor.

    ``array`` has the layer's shape and the dtype's storage type: bfloat16 as the
    uint16 of its bits, float8 and bool as uint8, all else as itself.
    """

    name: str
    dtype: DType
    array: np.ndarray


def decode_layers(
    seed: Contents,
    *,
    layers: str | None = None,
    skip_absent: bool = False,
    base: BaseTensors | None = None,
) -> Iterator[Tensor]:
    """Yield the decoded tensors of the layers whose name matches, in manifest order.

    Args:
        seed: Open seed.
        layers: Glob over layer names.
        skip_absent: Leave out layers that lack a chunk instead of refusing.
        base: What layers of codec ``delta`` refer to; its digest is checked before any of them.

    Raises:
        IntegrityError: CHK-2, PRT-3, LAY-8, or BAS-2, another base.
        CodecError: CHK-3, ZST, LAY-7, BAS-3, BAS-4 or a codec's own rule.
        AssemblyError: BAS-1, a layer needs a base and there is none.
        ValueError: No layer matches.

    Cost:
        Memory: at most 64 MiB of decoded layers ahead of the consumer, or one layer.
    """
    todo = deque(
        (layer, chunks)
        for layer, chunks in seed.layers(layers)
        if not skip_absent or all(chunk.offset is not None for chunk in chunks)
    )
    check_base(seed.manifest, (layer for layer, _ in todo), base)
    waiting: deque[tuple[Layer, Callable[[], np.ndarray]]] = deque()
    ahead = 0
    takes_turns = any(layer.codec not in BUSY_IDS for layer, _ in todo)
    with layer_pool(layer_thread_count(waiting=takes_turns)) as pool:
        while todo or waiting:
            while todo and (not waiting or ahead < _AHEAD_NBYTES):
                layer, chunks = todo.popleft()
                waiting.append((layer, _start_layer(seed, layer, chunks, base, pool)))
                ahead += layer_nbytes(layer)
            layer, finish = waiting.popleft()
            ahead -= layer_nbytes(layer)
            yield Tensor(layer.name, DTYPES[layer.dtype], finish())


def check_base(manifest: Manifest, layers: Iterable[Layer], base: BaseTensors | None) -> None:
    """Refuse another base than the manifest's, or none, where one of ``layers`` needs it.

    Raises:
        CodecError: BAS-4, the manifest names none.
        AssemblyError: BAS-1.
        IntegrityError: BAS-2.
    """
    based = next((layer for layer in layers if layer.codec in BASED_IDS), None)
    if based is None:
        return
    where = f"layer {based.name}"
    named = manifest.base
    if named is None:
        raise CodecError("a delta in a seed that names no base", rule="BAS-4", where=where)
    if base is None:
        raise no_base(where, named)
    actual = base.digest(manifest.digest_algorithm)
    if actual != named.digest:
        raise IntegrityError(
            f"another base: digest {actual.hex()[:16]}, signed is {named.digest.hex()[:16]}",
            rule="BAS-2",
            where="base",
            hint=f"fetch {named.name[:80]!a}, the very values that the seed was made over",
        )


def decode_layer(
    seed: Contents,
    layer: Layer,
    chunks: list[PlacedChunk],
    base: BaseTensors | None = None,
) -> np.ndarray:
    """Return one tensor, in this thread; ``base`` has passed ``check_base``.

    Raises:
        As ``decode_layers``.
    """
    decoder = make_decoder(layer, DTYPES[layer.dtype], base)
    for batch in chunk_batches(decoder, len(chunks)):
        _decode_batch(seed, decoder, batch, chunks)
    return checked_tensor(seed, layer, decoder.finish(), threads=1)


def decode_alone(
    seed: Contents,
    layer: Layer,
    chunks: list[PlacedChunk],
    base: BaseTensors | None = None,
) -> Tensor:
    """Return one tensor, a large one by all cores; ``base`` has passed ``check_base``.

    Raises:
        As ``decode_layers``.
    """
    with layer_pool(thread_count()) as pool:
        array = _start_layer(seed, layer, chunks, base, pool)()
    return Tensor(layer.name, DTYPES[layer.dtype], array)


def _start_layer(
    seed: Contents,
    layer: Layer,
    chunks: list[PlacedChunk],
    base: BaseTensors | None,
    pool: ThreadPoolExecutor,
) -> Callable[[], np.ndarray]:
    """Set the pool to work on ``layer``; the result waits for it and checks its digest."""
    if layer_nbytes(layer) <= _LARGE_NBYTES:
        return pool.submit(decode_layer, seed, layer, chunks, base).result
    decoder = make_decoder(layer, DTYPES[layer.dtype], base)
    parts = [
        pool.submit(_decode_batch, seed, decoder, batch, chunks)
        for batch in chunk_batches(decoder, len(chunks))
    ]

    def finish() -> np.ndarray:
        for part in parts:
            part.result()
        return checked_tensor(seed, layer, decoder.finish(), threads=thread_count())

    return finish


def _decode_batch(
    seed: Contents, decoder: LayerDecoder, batch: range, chunks: list[PlacedChunk]
) -> None:
    some = [chunks[number] for number in batch]
    stored = [seed.read_chunk(chunk, bytearray(chunk.stored_nbytes)) for chunk in some]
    decode_batch(decoder, batch, stored)


def checked_tensor(seed: Contents, layer: Layer, flat: np.ndarray, *, threads: int) -> np.ndarray:
    """Return ``flat`` in the layer's shape once its digest is the signed one (LAY-8)."""
    algorithm = seed.manifest.digest_algorithm
    actual = tensor_digest(algorithm, DTYPES[layer.dtype], layer.shape, flat, threads=threads)
    if actual != layer.digest:
        raise IntegrityError(
            f"decoded tensor has digest {actual.hex()[:16]}, signed is {layer.digest.hex()[:16]}",
            rule="LAY-8",
            where=f"layer {layer.name}",
            hint="the publisher's writer or this reader's codec is at fault; report it",
        )
    return flat.reshape(layer.shape)
