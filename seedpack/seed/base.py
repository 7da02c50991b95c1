"""The base of a delta seed, when it is a seed itself (spec/delta.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.codecs.registry import BASED_IDS
from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.dtypes import DTYPES, DType
from seedpack.errors import AssemblyError
from seedpack.seed.tensors import decode_layer, decode_layers

if TYPE_CHECKING:
    import numpy as np

    from seedpack.seed.contents import Contents


class SeedBase:
    """The tensors of an open seed, which whoever opened it vouches for."""

    def __init__(self, seed: Contents) -> None:
        """Take a seed that stands on its own.

        Raises:
            AssemblyError: BAS-5, it is a delta.
        """
        if any(layer.codec in BASED_IDS for layer in seed.manifest.layers):
            raise AssemblyError(
                "a base that is a delta itself",
                rule="BAS-5",
                where=str(seed.file.path),
                hint="assemble it first, and pass what comes out",
            )
        self._seed = seed
        self._layers = {layer.name: (layer, chunks) for layer, chunks in seed.layers()}

    def digest(self, algorithm: str) -> bytes:
        """Return the digest as a base: from the signed digests where they are by ``algorithm``."""
        if algorithm == self._seed.manifest.digest_algorithm:
            return base_digest(algorithm, {n: la.digest for n, (la, _) in self._layers.items()})
        digests = {
            tensor.name: tensor_digest(algorithm, tensor.dtype, tensor.array.shape, tensor.array)
            for tensor in decode_layers(self._seed)
        }
        return base_digest(algorithm, digests)

    def describe(self, name: str) -> tuple[DType, tuple[int, ...]] | None:
        """Return dtype and shape of a layer, None where there is none of this name."""
        if name not in self._layers:
            return None
        layer, _ = self._layers[name]
        return DTYPES[layer.dtype], tuple(layer.shape)

    def read(self, name: str) -> np.ndarray:
        """Return the values of a layer, once its digests hold.

        Raises:
            IntegrityError: CHK-2, PRT-3 or LAY-8.
            CodecError: It does not decode.
        """
        return decode_layer(self._seed, *self._layers[name]).reshape(-1)
