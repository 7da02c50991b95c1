"""Values spread over chunks, and top bits twice in the file (spec: EXT-66 to EXT-68).

    tensor --codec scatter--> chunks from all over it
    copies of the last half's top bits | layers | copies of the first half's top bits

A run of lost bytes as long as half of the layers and copies then leaves the top bits of every
value: a chunk and its copy are further apart than that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack.codecs.ecq import EcqCodec
from seedpack.codecs.registry import FALLBACK_ID, LOSSLESS_IDS
from seedpack.codecs.scatter import Cutting, ScatterCodec
from seedpack.codecs.scatter.form import LOW, with_copies
from seedpack.limits import MAX_SHARDS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np

    from seedpack.codecs.base import Encoded
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType
    from seedpack.extract.coding import Choice, Coding, Storage
    from seedpack.extract.layers import EncodedLayer
    from seedpack.extract.spill import Spill

_SCATTER_ID: Final = ScatterCodec.id
_LEVELS_ID: Final = EcqCodec.id
_FULL: Final = 0.955  # of a power of two: what is left covers lanes, and chunks that differ
_HALF: Final = 0.51
_LEAST_BITS: Final = 8  # chunks of 256 bytes
_MOST_BITS: Final = 21
_ENOUGH_CHUNKS: Final = 64  # of one stripe: more cost more of the manifest


def check_scattering(coding: Coding, storage: Storage) -> None:
    """Refuse a wrong call.

    Raises:
        ValueError: A codec whose chunks cannot be scattered, or that has no top bits.
    """
    if storage.scattering is None:
        return
    codecs = {coding.codec, *(layer.codec for layer in coding.layers.values())}
    if not codecs <= {_LEVELS_ID, FALLBACK_ID}:
        raise ValueError(f"codec {coding.codec} cannot be interleaved, only raw and ecq can")
    if storage.scattering.top_bits and coding.codec != _LEVELS_ID:
        raise ValueError(f"codec {coding.codec} has no top bits, ecq has")


def scatter_values(
    values: np.ndarray, dtype: DType, choice: Choice, storage: Storage
) -> Encoded | None:
    """Return the stored form, scattered; None where nobody asks for that, or nothing is there."""
    scattering = storage.scattering
    if scattering is None or choice.codec not in {_LEVELS_ID, FALLBACK_ID}:
        return None
    cutting = _cutting(scattering.chunk_nbytes)
    encoded = None
    if choice.codec == _LEVELS_ID:
        codec = ScatterCodec(
            EcqCodec(**choice.settings), cutting=cutting, top_bits=scattering.top_bits
        )
        encoded = codec.encode(values, dtype, chunk_raw_nbytes=storage.chunk_raw_nbytes)
    if encoded is None:
        exact = ScatterCodec(exact=True, cutting=cutting)
        encoded = exact.encode(values, dtype, chunk_raw_nbytes=storage.chunk_raw_nbytes)
    return encoded


def _cutting(chunk_nbytes: int | None) -> Cutting:
    """Return how to cut a tensor so that its chunks are of one class of sizes, where asked for."""
    if chunk_nbytes is None:
        return Cutting()
    class_nbytes = 1 << chunk_nbytes.bit_length()
    whole_nbytes = int(class_nbytes * _HALF)
    return Cutting(chunk_nbytes, 1, whole_nbytes=whole_nbytes, most_nbytes=class_nbytes - 1)


def is_lossless(encoded: Encoded) -> bool:
    """Return whether the values come back as they were."""
    scattered = encoded.codec == _SCATTER_ID and "step" not in encoded.params
    return scattered or encoded.codec in LOSSLESS_IDS


def inner_codec(layer: Layer) -> str:
    """Return the codec that stores a layer's values, by scattered chunks or not."""
    if layer.codec != _SCATTER_ID:
        return layer.codec
    return _LEVELS_ID if "step" in layer.params else FALLBACK_ID


def widest_stripe(percent: int) -> int:
    """Return the most data chunks that one stripe has (PAR-2)."""
    nchunks = MAX_SHARDS - 1
    while nchunks - (-nchunks * percent // 100) > MAX_SHARDS:
        nchunks -= 1
    return nchunks


def fit_chunks(layer_nbytes: Sequence[int], percent: int) -> int:
    """Return a size of chunks with which all of them make one stripe, if any size does."""
    most = min(widest_stripe(percent), _ENOUGH_CHUNKS)
    fitting = []
    for bits in range(_LEAST_BITS, _MOST_BITS):
        goal = int((1 << bits) * _FULL)
        if sum(-(-nbytes // goal) for nbytes in layer_nbytes) <= most:
            fitting.append(bits)
    # A layer just above the goal would be cut into halves below the class: the next one holds it
    # in its record.
    good = [bits for bits in fitting if not any(map(_is_between(bits), layer_nbytes))]
    if not fitting:
        return int((1 << _MOST_BITS) * _FULL)
    # Not larger than twice the least: of few chunks each is a large share of the model.
    bits = good[0] if good and good[0] <= fitting[0] + 1 else fitting[0]
    return int((1 << bits) * _FULL)


def _is_between(bits: int) -> Callable[[int], bool]:
    class_nbytes = 1 << bits
    return lambda nbytes: class_nbytes * _FULL < nbytes < class_nbytes * 2 * _HALF


def carry_copies(layers: list[EncodedLayer], spill: Spill) -> list[EncodedLayer]:
    """Copy top bits to the other end of the layers, in ``spill``, too; return the new records."""
    starts: list[int] = []
    tops, carriers = [], []
    for number, encoded in enumerate(layers):
        starts.append(sum(len(layer.layer.chunks) for layer in layers[:number]))
        own = encoded.layer
        if own.codec == _SCATTER_ID and own.chunks:
            carriers.append(number)
            ntop = len(own.chunks) // (2 if f"{LOW}step" in own.params else 1)
            tops += [(starts[-1] + i, chunk) for i, chunk in enumerate(own.chunks[:ntop])]
    if not carriers:
        return layers
    sizes = [chunk.stored_nbytes for encoded in layers for chunk in encoded.layer.chunks]
    first_half = _first_half(sizes)
    early = [top for top in tops if top[0] < first_half]
    late = [top for top in tops if top[0] >= first_half]
    order = list(range(len(sizes)))
    first, last = carriers[0], carriers[-1]
    end = starts[last] + len(layers[last].layer.chunks)
    order[end:end] = [index for index, _ in early]
    order[starts[first] : starts[first]] = [index for index, _ in late]
    spill.arrange(order)
    before = {first: [chunk for _, chunk in late]}
    behind = {last: [chunk for _, chunk in early]}
    return [
        encoded._replace(
            layer=with_copies(encoded.layer, before.get(number, []), behind.get(number, []))
        )
        if number in {first, last}
        else encoded
        for number, encoded in enumerate(layers)
    ]


def _first_half(sizes: Sequence[int]) -> int:
    """Return how many of the chunks stand in the first half of their bytes."""
    done, total = 0, sum(sizes)
    for index, nbytes in enumerate(sizes):
        if 2 * done >= total:
            return index
        done += nbytes
    return len(sizes)


def with_chunks(storage: Storage, chunk_nbytes: int) -> Storage:
    """Return ``storage`` with scattered chunks of this size."""
    assert storage.scattering is not None  # noqa: S101 -- the caller asked for it
    return storage._replace(scattering=storage.scattering._replace(chunk_nbytes=chunk_nbytes))
