"""Which codec stores which layer, and with what settings.

    Coding("ecq")                              every matrix, with the codec's own settings
    Coding("ecq", {"w": Choice("tcq", {...})}) but for w
    Coding("ecq", {"w": Encoded(...)})         but for w, whose bytes are there already

What a lossy codec is asked for and does not take (EXT-13) is stored ``raw``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.codecs import CODEC_IDS
from seedpack.codecs.registry import BASED_IDS, BUSY_IDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from seedpack.codecs.base import BaseTensors, Encoded
    from seedpack.dtypes import DType

_NONE: Final[Mapping[str, float]] = MappingProxyType({})


class Choice(NamedTuple):
    """A codec for one layer."""

    codec: str
    settings: Mapping[str, float] = _NONE
    # Moves float32 values of the layer's shape to where the codec will keep them.
    adjust: Callable[[np.ndarray], np.ndarray] | None = None
    # Does what the codec would do, knowing more than values: of float32 values of the layer's
    # shape, its dtype, and the decoded bytes of a chunk. None as a codec does.
    encode: Callable[[np.ndarray, DType, int], Encoded | None] | None = None


class Coding(NamedTuple):
    """How all layers of a seed are coded."""

    codec: str  # of float matrices that ``layers`` does not name; what the report calls the codec
    layers: Mapping[str, Choice | Encoded] = MappingProxyType({})
    base: BaseTensors | None = None  # of layers that are differences

    @property
    def takes_turns(self) -> bool:
        """Whether threads wait for each other in the entropy coder."""
        chosen = (choice.codec for choice in self.layers.values())
        return any(codec not in BUSY_IDS for codec in (self.codec, *chosen))

    def check(self) -> None:
        """Refuse a wrong call.

        Raises:
            ValueError: No such codec, or one that needs a base where there is none.
        """
        if self.codec in BASED_IDS and self.base is None:
            raise ValueError(f"codec {self.codec} needs a base")
        for codec in {self.codec, *(layer.codec for layer in self.layers.values())}:
            if codec not in CODEC_IDS:
                raise ValueError(f"unknown codec {codec!r}, known are {sorted(CODEC_IDS)}")


class Storage(NamedTuple):
    """How what was coded is cut and digested."""

    chunk_raw_nbytes: int
    digest_algorithm: str
    scattering: Scattering | None = None  # None: consecutive values in each chunk


class Scattering(NamedTuple):
    """How values are spread over chunks (EXT-66)."""

    top_bits: bool  # twice, and apart from the low ones
    chunk_nbytes: int | None = None  # of every chunk, so that they share stripes; None: as usual
