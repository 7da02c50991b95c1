"""Layer record and base -> decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Never

from seedpack.codecs.delta.decoder import DeltaDecoder
from seedpack.codecs.delta.refusals import no_base

if TYPE_CHECKING:
    import numpy as np

    from seedpack.codecs.base import BaseTensors
    from seedpack.container.manifest import Layer
    from seedpack.dtypes import DType


class DeltaCodec:
    """Needs a base in both directions: ``encoding.encode_delta`` makes its layers."""

    id: Final = "delta"

    def encode(self, values: np.ndarray, dtype: DType, *, chunk_raw_nbytes: int) -> None:
        """Decline: without a base there is no difference."""

    def decoder(self, layer: Layer, dtype: DType) -> Never:
        """Refuse: there is no base.

        Raises:
            AssemblyError: BAS-1.
        """
        del dtype
        raise no_base(f"layer {layer.name}")

    def decoder_over(self, layer: Layer, dtype: DType, base: BaseTensors) -> DeltaDecoder:
        """Check params, base tensor and chunks, and only then allocate the values."""
        return DeltaDecoder(layer, dtype, base)


CODEC: Final = DeltaCodec()
