"""The manifest: its types, and the one encoding that each value has (spec: MAN).

    signed bytes --profile: bounded walk--> the same bytes --msgspec, strict--> Manifest
         ^                                                                         |
         +----------------- equal, byte for byte (MAN-2) ------- msgpack <---------+

msgspec accepts duplicate and reordered keys in silence; the comparison refuses
them. What a type cannot say (sums, names, limits) is in ``rules``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgpack
import msgspec

from seedpack.container.profile import check_profile
from seedpack.errors import FormatError

if TYPE_CHECKING:
    Params = dict[str, int | str | bytes]
else:
    Params = dict[str, Any]  # msgspec refuses a union of text and binary: see _check_params


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A map of the manifest: every key present, no other key."""


class Chunk(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """One independently checked piece of the payload."""

    stored_nbytes: int
    digest: bytes  # (32,) of the stored bytes


class Layer(_Record, frozen=True):
    """One tensor: what it is, how it is stored, what it decodes to."""

    chunks: list[Chunk]
    codec: str
    digest: bytes  # (32,) of the decoded tensor (section 7)
    dtype: str
    finite: bool
    name: str
    params: Params
    shape: list[int]


class Attachment(_Record, frozen=True):
    """One file carried along: tokenizer, model card, licence."""

    chunk_nbytes: int  # raw bytes per chunk, but for the last
    chunks: list[Chunk]
    digest: bytes  # (32,) of the content
    kind: str
    name: str
    nbytes: int


class Architecture(_Record, frozen=True, rename={"class_name": "class"}):
    """What the tensors make, as data."""

    class_name: str
    config: str  # text of config.json
    framework: str
    model_type: str


class Base(_Record, frozen=True):
    """The model that a delta seed refers to."""

    digest: bytes  # (32,)
    name: str


class Claim(_Record, frozen=True):
    """A figure of the publisher's with its control arm; decimal strings."""

    chance: str
    control: str
    control_value: str
    dataset: str
    evaluated: int  # samples
    interval_high: str
    interval_low: str
    metric: str
    original: str
    seeds: int
    value: str


class Parity(_Record, frozen=True):
    """Redundancy over the data chunks (section 10)."""

    chunks: list[Chunk]
    percent: int
    scheme: str
    stripe_nchunks: int


class Manifest(_Record, frozen=True):
    """Everything that a publisher signs."""

    architecture: Architecture | None
    attachments: list[Attachment]
    base: Base | None
    claims: list[Claim]
    created: int  # seconds since 1970
    decoded_nbytes: int
    digest_algorithm: str
    expires: int | None  # seconds since 1970
    layers: list[Layer]
    name: str
    parity: Parity | None
    producer: str
    recipe: dict[str, int | str]
    schema: int
    version: int

    @property
    def data_chunks(self) -> list[Chunk]:
        """Chunks of layers and attachments, in payload order."""
        owned = [layer.chunks for layer in self.layers]
        owned += [attachment.chunks for attachment in self.attachments]
        return [chunk for chunks in owned for chunk in chunks]

    @property
    def chunks(self) -> list[Chunk]:
        """All chunks in payload order; the place in this list is the chunk's index."""
        return self.data_chunks + (self.parity.chunks if self.parity else [])


_DECODER: Final = msgspec.msgpack.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the only bytes that ``manifest`` has: keys ascending, shortest forms."""
    plain = msgspec.to_builtins(manifest, builtin_types=(bytes,), order="sorted")
    encoded: bytes = msgpack.packb(plain)
    return encoded


def decode_manifest(authenticated: bytes) -> Manifest:
    """Decode manifest bytes whose signature has already been verified.

    Args:
        authenticated: Exactly the signed bytes.

    Raises:
        FormatError: MAN-1 (not of the grammar), MAN-2 (not canonical), or MAN-3 to
            MAN-6 (outside the msgpack profile).
    """
    check_profile(authenticated)
    try:
        manifest = _DECODER.decode(authenticated)
    except msgspec.ValidationError as error:
        # The text may repeat a key of the file: escaped and cut, it can neither fake nor flood.
        message, _, place = ascii(str(error))[1:-1].partition(" - at `$")
        where = f"manifest{place[:80].rstrip('`')}"
        raise FormatError(f"manifest: {message[:200]}", rule="MAN-1", where=where) from error
    _check_params(manifest)
    if encode_manifest(manifest) != authenticated:
        raise FormatError(
            "manifest is not in its canonical encoding", rule="MAN-2", where="manifest"
        )
    return manifest


def _check_params(manifest: Manifest) -> None:
    for index, layer in enumerate(manifest.layers):
        if not {type(value) for value in layer.params.values()} <= {int, str, bytes}:
            raise FormatError(
                "manifest: a param is no integer, text or binary",
                rule="MAN-1",
                where=f"manifest.layers[{index}].params",
            )
