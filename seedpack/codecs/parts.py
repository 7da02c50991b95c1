"""Parts of a layer that another codec stores: its params under a prefix, its chunks in a row.

layer record --part_of--> record of the part: codec, dtype, [n], own params, own chunks
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from seedpack.container.manifest import Chunk, Layer, Params


class Part(NamedTuple):
    """What a part is called, and what it is."""

    prefix: str  # of its params
    codec: str
    params: Sequence[str]  # without prefix
    dtype: str
    nvalues: int
    is_finite: bool = False  # whatever the layer's values are

    def names(self) -> set[str]:
        """Return the names of its params in the layer record."""
        return {self.prefix + name for name in self.params}

    def nchunks(self, layer: Layer) -> int:
        """Return how many chunks it needs; 0 where the param that says so is none."""
        chunk_values = layer.params.get(f"{self.prefix}chunk_values")
        is_count = isinstance(chunk_values, int) and chunk_values > 0
        return -(-self.nvalues // chunk_values) if is_count else 0  # type: ignore[operator]

    def layer_of(
        self, layer: Layer, chunks: Sequence[Chunk], fixed: Mapping[str, bytes | int]
    ) -> Layer:
        """Return the record of the part, with params that ``layer`` need not say."""
        params: Params = {
            name: layer.params[self.prefix + name]
            for name in self.params
            if self.prefix + name in layer.params
        }
        return msgspec.structs.replace(
            layer,
            chunks=list(chunks),
            codec=self.codec,
            dtype=self.dtype,
            name=f"{layer.name} {self.prefix.rstrip('_') or 'residual'}",
            finite=layer.finite or self.is_finite,
            params={**params, **fixed},
            shape=[self.nvalues],
        )


def prefixed(prefix: str, params: Params, *, without: str = "") -> Params:
    """Return params under a prefix."""
    return {prefix + name: value for name, value in params.items() if name != without}
