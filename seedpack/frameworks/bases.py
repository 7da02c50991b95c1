"""The base of a delta seed, when it is a model as frameworks store them (spec/delta.md).

PATH --weights only: no architecture, no framework to ask--> ModelBase
first pass   digest of each tensor --> digest as a base
each read    the same digest again: what is decoded is what was checked
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np

from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.errors import IntegrityError
from seedpack.files import read_small_file
from seedpack.frameworks.attachments import collect_files
from seedpack.frameworks.opening import open_weights
from seedpack.limits import MAX_ATTACHMENT_NBYTES

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.dtypes import DType
    from seedpack.frameworks.sources import NamedTensor


class ModelBase:
    """The tensors of a folder, a safetensors file or a state dict."""

    def __init__(self, path: Path) -> None:
        """Read names, dtypes and shapes.

        Raises:
            ExtractError: EXT-1 to EXT-8, EXT-12, there are no weights that could be read.
        """
        self._path = path
        self._weights = open_weights(path)
        self._infos = {info.name: info for info in self._weights.infos()}
        self._digests: dict[str, dict[str, bytes]] = {}  # by algorithm and name
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The last part of the path, in printable characters."""
        return self._path.resolve().name.encode("ascii", "replace").decode()

    def digest(self, algorithm: str) -> bytes:
        """Read everything once and return the digest as a base; later calls cost nothing."""
        return base_digest(algorithm, self._digests_by(algorithm))

    def describe(self, name: str) -> tuple[DType, tuple[int, ...]] | None:
        """Return dtype and shape of a tensor, None where there is none of this name."""
        info = self._infos.get(name)
        return None if info is None else (info.dtype, info.shape)

    def read(self, name: str) -> np.ndarray:
        """Return the values of a tensor, which are still those that ``digest`` was about.

        Raises:
            IntegrityError: BAS-2, they have changed; FIL-2, the file was cut.
        """
        tensor = self._weights.read(name)
        algorithm = next(iter(self._digests), "blake3-256")
        if _digest(algorithm, tensor) != self._digests_by(algorithm)[name]:
            raise IntegrityError(
                "the base changed while it was read", rule="BAS-2", where=str(self._path)
            )
        return np.frombuffer(tensor.data, tensor.dtype.storage)

    def files(self) -> dict[str, bytes]:
        """Return what lies beside the weights of a folder, by name, as a seed would carry it.

        Raises:
            ExtractError: EXT-11, a file points to code.
            StoreError: FIL-1, one cannot be read.
        """
        if not self._path.is_dir():
            return {}
        found, _ = collect_files(self._path, weights=frozenset())
        return {
            file.name: read_small_file(file.path, limit=MAX_ATTACHMENT_NBYTES, rule="EXT-11")
            for file in found
        }

    def _digests_by(self, algorithm: str) -> dict[str, bytes]:
        with self._lock:
            if algorithm not in self._digests:
                self._digests[algorithm] = {
                    tensor.name: _digest(algorithm, tensor) for tensor in self._weights.tensors()
                }
            return self._digests[algorithm]


def _digest(algorithm: str, tensor: NamedTensor) -> bytes:
    values = np.frombuffer(tensor.data, tensor.dtype.storage)
    return tensor_digest(algorithm, tensor.dtype, tensor.shape, values)
