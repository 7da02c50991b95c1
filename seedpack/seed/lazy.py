"""Tensors of an open seed, each read, checked and decoded when it is asked for.

name --layer record, chunks--> digests hold --decode--> digest holds --> Tensor
                                                kept while the cache has room
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.seed.tensors import check_base, decode_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from seedpack.codecs.base import BaseTensors
    from seedpack.container.manifest import Layer
    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.contents import Contents
    from seedpack.seed.tensors import Tensor

_CACHE_NBYTES: Final = 256 * limits.MIB


class LazyTensors(Mapping[str, "Tensor"]):
    """Layers by name; nothing is read before ``tensors[name]``, and nothing unchecked comes out.

    Arrays are read-only, because they may be handed out again. Threads may share it. The seed
    has to stay open.
    """

    def __init__(
        self,
        seed: Contents,
        *,
        base: BaseTensors | None = None,
        cache_nbytes: int = _CACHE_NBYTES,
    ) -> None:
        """Take an open seed.

        Args:
            seed: Its layers are the items.
            base: What a delta seed refers to, as ``open_base`` opens it.
            cache_nbytes: Size of the decoded tensors to keep, of those used last.

        Raises:
            AssemblyError, IntegrityError, CodecError: BAS; ``base`` is not the one that is needed.
        """
        check_base(seed.manifest, seed.manifest.layers, base)
        self._seed = seed
        self._base = base
        self._layers: dict[str, tuple[Layer, list[PlacedChunk]]] = {
            layer.name: (layer, chunks) for layer, chunks in seed.layers()
        }
        self._cache: OrderedDict[str, Tensor] = OrderedDict()
        self._cache_nbytes = cache_nbytes
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> Tensor:
        """Return one tensor.

        Raises:
            KeyError: The seed has no such layer.
            IntegrityError: CHK-2, PRT-3, LAY-8 or FIL-2.
            CodecError: The layer does not decode as declared.
        """
        layer, chunks = self._layers[name]
        with self._lock:
            if name in self._cache:
                self._cache.move_to_end(name)
                return self._cache[name]
        tensor = decode_alone(self._seed, layer, chunks, self._base)
        self._seed.file.check_unchanged()
        tensor.array.setflags(write=False)
        self._keep(tensor)
        return tensor

    def __iter__(self) -> Iterator[str]:
        """Iterate over names, in manifest order."""
        return iter(self._layers)

    def __len__(self) -> int:
        """Return the number of layers."""
        return len(self._layers)

    def __contains__(self, name: object) -> bool:
        """Return whether there is a layer of that name, without decoding it."""
        return name in self._layers

    def _keep(self, tensor: Tensor) -> None:
        with self._lock:
            self._cache[tensor.name] = tensor
            while sum(kept.array.nbytes for kept in self._cache.values()) > self._cache_nbytes:
                self._cache.popitem(last=False)
