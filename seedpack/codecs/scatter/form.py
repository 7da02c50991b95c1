"""What a layer of codec ``scatter`` consists of, as its params and chunks say.

chunks = copies | K of the values, or of their top bits | K of the low bits, if any | copies
or no chunk at all: params whole_0, whole_1, ... hold the one chunk of a small tensor
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from seedpack.codecs.parts import Part
from seedpack.container.manifest import Chunk
from seedpack.errors import CodecError
from seedpack.limits import MAX_BINARY_NBYTES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.container.manifest import Layer, Params

DTYPES_OF_LEVELS: Final = frozenset({"bfloat16", "float16", "float32"})
LOW: Final = "low_"
COPIES: Final = ("copies_before", "copies_behind")
MAX_PIECES: Final = 8  # of a whole chunk, in params: 32 KiB
PARTS_DTYPE: Final = "float32"  # of top and low bits, whatever the layer's

_LEVELS: Final = ("chunk_values", "lane_values", "lowest", "step", "table", "tail_rows")
_EXACT: Final = ("chunk_values",)


class Form(NamedTuple):
    """The parts of one layer."""

    nchunks: int  # K: chunks of the first part
    first: Layer
    low: Layer | None
    whole: bytes | None  # stored bytes of the only chunk, where that stands in the params
    ncopies_before: int

    @property
    def chunk_values(self) -> int:
        """M: values of each chunk."""
        return self.first.shape[0] // self.nchunks


def pack_whole(stored: bytes) -> Params:
    """Return the params that hold one chunk."""
    starts = range(0, len(stored), MAX_BINARY_NBYTES)
    return {f"whole_{i}": stored[at : at + MAX_BINARY_NBYTES] for i, at in enumerate(starts)}


def read_form(layer: Layer) -> Form:
    """Return the parts of a layer; each part's own decoder checks the rest.

    Raises:
        CodecError: COD-SCA-1 to COD-SCA-3, CHK-3.
    """
    where = f"layer {layer.name}"
    nvalues = math.prod(layer.shape)
    is_quantised = "step" in layer.params
    has_low = f"{LOW}step" in layer.params
    if not nvalues or (is_quantised and layer.dtype not in DTYPES_OF_LEVELS):
        message = f"scatter of {nvalues} values of {layer.dtype}"
        raise CodecError(message, rule="COD-SCA-1", where=where)
    whole, (before, behind) = _read_whole(layer.params, where), _read_copies(layer, where)
    _check_names(layer, where, is_quantised=is_quantised, has_low=has_low, whole=whole)
    chunks = layer.chunks[before : len(layer.chunks) - behind]
    if whole is not None:
        if layer.chunks:
            raise CodecError("chunks beside a whole", rule="CHK-3", where=where)
        chunks = [Chunk(len(whole), b"")]
    nchunks, rest = divmod(len(chunks), 1 + has_low)
    if rest or not 1 <= nchunks <= nvalues:
        message = f"{len(chunks)} chunks of {nvalues} values"
        raise CodecError(message, rule="CHK-3", where=where)
    chunk_values = -(-nvalues // nchunks)
    for name in ("chunk_values", f"{LOW}chunk_values")[: 1 + has_low]:
        if layer.params[name] != chunk_values:
            message = f"{layer.params[name]!r} values a chunk, {nvalues} in {nchunks}"
            raise CodecError(message, rule="COD-SCA-3", where=where)
    dtype = PARTS_DTYPE if has_low else layer.dtype
    total = nchunks * chunk_values
    codec, names = ("ecq", _LEVELS) if is_quantised else ("raw", _EXACT)
    first = Part("", codec, names, dtype, total).layer_of(layer, chunks[:nchunks], {})
    low = None
    if has_low:
        low = Part(LOW, "ecq", _LEVELS, dtype, total).layer_of(layer, chunks[nchunks:], {})
    return Form(nchunks, first, low, whole, before)


def with_copies(layer: Layer, before: Sequence[Chunk], behind: Sequence[Chunk]) -> Layer:
    """Return the record of a layer that carries copies of chunks, too; it has none yet."""
    params = {**layer.params}
    for name, chunks in zip(COPIES, (before, behind), strict=True):
        if chunks:
            params[name] = len(chunks)
    chunks = [*before, *layer.chunks, *behind]
    return msgspec.structs.replace(layer, chunks=chunks, params=params)


def _check_names(
    layer: Layer, where: str, *, is_quantised: bool, has_low: bool, whole: bytes | None
) -> None:
    """Refuse params that the layer's form does not have (COD-SCA-2)."""
    names = {*(_LEVELS if is_quantised else _EXACT)}
    if has_low:
        names |= {LOW + name for name in _LEVELS}
    names |= layer.params.keys() & {*COPIES}
    names |= {name for name in layer.params if name.startswith("whole_")}
    if layer.params.keys() != names or (has_low and (whole or not is_quantised)):
        message = "params of codec scatter are not those of its page"
        raise CodecError(message, rule="COD-SCA-2", where=where)


def _read_whole(params: Mapping[str, object], where: str) -> bytes | None:
    """Return the chunk that stands in the params, if one does (COD-SCA-2)."""
    given = {name: value for name, value in params.items() if name.startswith("whole_")}
    if not given:
        return None
    pieces = [given.get(f"whole_{i}") for i in range(len(given))]
    found = [piece for piece in pieces if isinstance(piece, bytes) and piece]
    is_cut = all(len(piece) == MAX_BINARY_NBYTES for piece in found[:-1])
    if len(found) != len(pieces) or len(pieces) > MAX_PIECES or not is_cut:
        raise CodecError("pieces that make no chunk", rule="COD-SCA-2", where=where)
    return b"".join(found)


def _read_copies(layer: Layer, where: str) -> tuple[int, int]:
    """Return how many of the first chunks, and of the last, are copies (COD-SCA-2)."""
    counts = [layer.params[name] for name in COPIES if name in layer.params]
    found = [count for count in counts if isinstance(count, int) and count > 0]
    if len(found) != len(counts) or sum(found) > len(layer.chunks):
        raise CodecError(f"{counts} copies", rule="COD-SCA-2", where=where)
    before, behind = (layer.params.get(name, 0) for name in COPIES)
    return int(before), int(behind)
