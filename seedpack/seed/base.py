"""The base of a delta seed, when it is a seed itself (spec/delta.md)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, Protocol

from seedpack.codecs.base import BaseTensors
from seedpack.codecs.registry import BASED_IDS
from seedpack.codecs.tensors import base_digest, tensor_digest
from seedpack.container.names import check_attachment_name, check_attachment_names
from seedpack.crypto.digests import digest
from seedpack.dtypes import DTYPES, DType
from seedpack.errors import AssemblyError
from seedpack.seed.tensors import decode_layer, decode_layers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    import numpy as np

    from seedpack.container.manifest import Manifest
    from seedpack.seed.contents import Contents

NAMES_KEY: Final = "base_files"  # of the recipe, BAS-7
DIGEST_KEY: Final = "base_files_digest"
_FILES_DOMAIN: Final = b"seedpack-base-files-v1\x00"


class Base(BaseTensors, Protocol):
    """A base with the files beside its tensors."""

    @property
    def name(self) -> str:
        """What people call it."""

    def files(self) -> Mapping[str, bytes]:
        """Return the contents of tokenizer, card and such by name; empty where there are none."""


def share_files(
    algorithm: str, files: Mapping[str, bytes], names: Iterable[str]
) -> dict[str, int | str]:
    """Return what a recipe says of files that a delta leaves to its base (BAS-7)."""
    chosen = sorted(names)
    return {
        NAMES_KEY: " ".join(chosen),
        DIGEST_KEY: _files_digest(algorithm, {name: files[name] for name in chosen}).hex(),
    }


def shared_files(manifest: Manifest, base: Base | None) -> tuple[dict[str, bytes], list[str]]:
    """Return the files that a delta left to its base, or the names of those that it lacks.

    All or none: contents that are not the signed ones are not handed out (BAS-7).

    Raises:
        FormatError: ATT-1, ATT-2 or ATT-4, for names that no attachments could have.
    """
    names = str(manifest.recipe.get(NAMES_KEY, "")).split()
    for name in names:  # they become paths, as those of attachments do
        check_attachment_name(name, where="recipe")
    check_attachment_names([*names, *(file.name for file in manifest.attachments)])
    if not names or base is None:
        return {}, names
    files = base.files()
    found = {name: files[name] for name in names if name in files}
    actual = _files_digest(manifest.digest_algorithm, found).hex()
    if len(found) < len(names) or actual != manifest.recipe.get(DIGEST_KEY):
        return {}, names
    return found, []


def _files_digest(algorithm: str, files: Mapping[str, bytes]) -> bytes:
    parts = [_FILES_DOMAIN + struct.pack("<Q", len(files))]
    for name, content in sorted(files.items()):
        encoded = name.encode()
        parts.append(struct.pack("<H", len(encoded)) + encoded + digest(algorithm, content))
    return digest(algorithm, *parts)


class SeedBase:
    """The tensors of an open seed, which whoever opened it vouches for.

    Attributes:
        contents: The seed.
    """

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
        self.contents = seed
        self._layers = {layer.name: (layer, chunks) for layer, chunks in seed.layers()}

    @property
    def name(self) -> str:
        """The seed's name."""
        return self.contents.manifest.name

    def digest(self, algorithm: str) -> bytes:
        """Return the digest as a base: from the signed digests where they are by ``algorithm``."""
        if algorithm == self.contents.manifest.digest_algorithm:
            return base_digest(algorithm, {n: la.digest for n, (la, _) in self._layers.items()})
        digests = {
            tensor.name: tensor_digest(algorithm, tensor.dtype, tensor.array.shape, tensor.array)
            for tensor in decode_layers(self.contents)
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
        return decode_layer(self.contents, *self._layers[name]).reshape(-1)

    def files(self) -> dict[str, bytes]:
        """Return the attachments by name.

        Raises:
            IntegrityError: CHK-2, PRT-3 or ATT-6.
            CodecError: ZST.
        """
        return {
            attachment.name: self.contents.read_attachment(attachment, chunks)
            for attachment, chunks in self.contents.attachments()
        }
