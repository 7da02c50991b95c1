"""The codecs that this reader knows. A new codec: one file, one line here, one spec page.

Modules are named by strings and imported on first use, so that ids cost no numpy.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, cast

from seedpack.limits import DEFAULT_CHUNK_RAW_NBYTES, MAX_CHUNK_RAW_NBYTES

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from seedpack.codecs.base import (
        BasedCodec,
        BaseTensors,
        Codec,
        Encoded,
        LayerDecoder,
        ShapedCodec,
    )
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType

_MODULES: Final = {
    "bf16": "seedpack.codecs.bf16",
    "const": "seedpack.codecs.const",
    "delta": "seedpack.codecs.delta",
    "ecq": "seedpack.codecs.ecq",
    "fastfood": "seedpack.codecs.numbers.fastfood",
    "hash": "seedpack.codecs.numbers.hashed",
    "init": "seedpack.codecs.init",
    "lowrank": "seedpack.codecs.lowrank",
    "moments": "seedpack.codecs.moments",
    "pca": "seedpack.codecs.pca",
    "q8": "seedpack.codecs.q8",
    "raw": "seedpack.codecs.raw",
    "scatter": "seedpack.codecs.scatter",
    "sparse": "seedpack.codecs.sparse",
    "tcq": "seedpack.codecs.tcq",
}
CODEC_IDS: Final = frozenset(_MODULES)
BASED_IDS: Final = frozenset({"delta"})  # need a base to decode (spec/delta.md)
PARTIAL_IDS: Final = frozenset({"bf16", "ecq", "q8", "raw", "scatter", "tcq"})  # chunks alone
SHAPED_IDS: Final = frozenset({"lowrank", "pca"})  # see a matrix where others see values
TRAINED_IDS: Final = frozenset({"fastfood", "hash"})  # few numbers, good only where trained
_NO_SETTINGS: Final[Mapping[str, float]] = MappingProxyType({})
FALLBACK_ID: Final = "raw"  # takes every value of every dtype
CONSTANT_ID: Final = "const"  # without chunks, where all values are equal
BUSY_IDS: Final = frozenset({"bf16", CONSTANT_ID, "init", "q8", FALLBACK_ID})  # no rANS, no turns
LOSSLESS_IDS: Final = frozenset({CONSTANT_ID, FALLBACK_ID, "init"})


@cache
def get_codec(codec_id: str) -> Codec:
    """Return the codec with this id, importing it on first use.

    Raises:
        ValueError: No such codec; manifests that name one are refused earlier (LAY-5).
    """
    if codec_id not in _MODULES:
        raise ValueError(f"unknown codec {codec_id!r}, known are {sorted(_MODULES)}")
    return cast("Codec", import_module(_MODULES[codec_id]).CODEC)


def make_decoder(layer: Layer, dtype: DType, base: BaseTensors | None = None) -> LayerDecoder:
    """Return the decoder of a layer, over ``base`` where its codec needs one.

    Raises:
        AssemblyError: BAS-1, it needs one and there is none.
        CodecError: BAS-3, CHK-3, LAY-4, LAY-7 or a rule of the codec.
    """
    codec = get_codec(layer.codec)
    if base is not None and layer.codec in BASED_IDS:
        return cast("BasedCodec", codec).decoder_over(layer, dtype, base)
    return codec.decoder(layer, dtype)


def configure_codec(codec_id: str, settings: Mapping[str, float]) -> Codec:
    """Return the codec with these settings for encoding; decoding needs none.

    Raises:
        ValueError: No such codec or setting, or a value out of range (wrong call).
    """
    codec = get_codec(codec_id)
    if not settings:
        return codec
    configure = getattr(import_module(_MODULES[codec_id]), "configure", None)
    if configure is None:
        raise ValueError(f"codec {codec_id} has no settings, given {sorted(settings)}")
    return cast("Codec", configure(settings))


def encode_tensor(
    codec_id: str,
    values: np.ndarray,
    dtype: DType,
    *,
    chunk_raw_nbytes: int = DEFAULT_CHUNK_RAW_NBYTES,
    settings: Mapping[str, float] = _NO_SETTINGS,
) -> Encoded:
    """Encode a tensor, with ``raw`` where the codec declines it; the result names the codec.

    Args:
        codec_id: One of ``CODEC_IDS``.
        values: Any shape and strides, of numpy type ``dtype.storage``; taken in C order.
        dtype: What the stored bits mean.
        chunk_raw_nbytes: Decoded bytes per chunk, 16 to 4 MiB; codecs that store much less
            than that may take more values.
        settings: Of the codec, by name; see its page.

    Raises:
        ValueError: Unknown codec or setting, or values or a chunk size that do not fit (wrong
            call).
    """
    if values.dtype.str != dtype.storage:
        raise ValueError(f"values of type {values.dtype.str} for {dtype.name}")
    if not 16 <= chunk_raw_nbytes <= MAX_CHUNK_RAW_NBYTES:  # noqa: PLR2004 -- see Args
        raise ValueError(f"chunks of {chunk_raw_nbytes} bytes")
    flat = values.ravel()  # contiguous, in C order; copied only where it was neither
    codec = configure_codec(codec_id, settings)
    if codec_id in SHAPED_IDS:
        codec = cast("ShapedCodec", codec).for_shape(values.shape)
    encoded = codec.encode(flat, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
    if encoded is not None:
        return encoded
    return encode_tensor(FALLBACK_ID, flat, dtype, chunk_raw_nbytes=chunk_raw_nbytes)
