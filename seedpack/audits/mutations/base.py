"""What a mutation is, and what it is made from."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack import limits
from seedpack.container.writer import Header, encode_header

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.container.payload import PlacedChunk
    from seedpack.container.signature_area import SignatureRecord
    from seedpack.seed.contents import Contents
    from seedpack.trust.store import TrustStore

# A mutation that moves all bytes behind the front is written out whole; beyond this it is not made.
MAX_REWRITTEN_NBYTES: Final = 64 * limits.MIB


class Patch(NamedTuple):
    """Bytes that stand somewhere in the file."""

    offset: int  # from the file start; the end of the file at most
    data: bytes


@dataclass(frozen=True)
class Mutation:
    """One change of a seed's file, or of what its consumer remembers.

    Attributes:
        kind: Which sort of tampering it is.
        what: What was done, in words.
        patches: Written over the file, in order.
        nbytes: Length that the file then has; None: as it was.
        store: What the consumer trusts and has seen; None: as it was.
    """

    kind: str
    what: str
    patches: tuple[Patch, ...] = ()
    nbytes: int | None = None
    store: TrustStore | None = None

    @property
    def key(self) -> bytes:
        """Equal for two mutations that do the same."""
        seen = {} if self.store is None else dict(self.store.seen)
        places = [(patch.offset, len(patch.data)) for patch in self.patches]
        known = hashlib.sha256(repr((places, self.nbytes, seen)).encode())
        for patch in self.patches:  # which may be a whole file: never as text
            known.update(patch.data)
        return known.digest()


@dataclass(frozen=True)
class Target:
    """The very seed, which ``store`` accepts.

    Attributes:
        contents: Open.
        store: Whom the consumer trusts.
        donor: Another seed, to splice from; None: there is none.
    """

    contents: Contents
    store: TrustStore
    donor: Contents | None = None

    @property
    def nbytes(self) -> int:
        """Length of the file."""
        return self.contents.file.nbytes

    @cached_property
    def present(self) -> list[PlacedChunk]:
        """The chunks that this file has."""
        return [chunk for chunk in self.contents.chunks if chunk.offset is not None]

    @cached_property
    def known(self) -> list[SignatureRecord]:
        """The signatures by keys of the store: whatever is done to them has to be noticed."""
        keys = self.store.keys_by_id()
        return [record for record in self.contents.header.records if record.key_id in keys]

    @cached_property
    def regions(self) -> list[tuple[int, int]]:
        """Start and end of each part of the file that is not empty."""
        preamble = self.contents.header.preamble
        ends = [
            limits.PREAMBLE_NBYTES,
            preamble.manifest_offset,
            preamble.manifest_offset + preamble.manifest_nbytes,
            preamble.payload_offset,
            self.nbytes,
        ]
        return [(a, b) for a, b in zip([0, *ends], ends, strict=False) if b > a]

    def read(self, offset: int, nbytes: int) -> bytes:
        """Return bytes as they are, fewer at the end of the file."""
        return self.contents.file.read(offset, max(min(nbytes, self.nbytes - offset), 0))

    def is_changed_by(self, mutation: Mutation) -> bool:
        """Tell whether anything is different afterwards."""
        if mutation.store is not None or mutation.nbytes not in {None, self.nbytes}:
            return True
        return any(self.read(p.offset, len(p.data)) != p.data for p in mutation.patches)


def rewritten(  # noqa: PLR0913 -- the parts of a container
    target: Target,
    kind: str,
    what: str,
    *,
    manifest: bytes | None = None,
    records: Sequence[SignatureRecord] | None = None,
    presence: bytes | None = None,
    payload: bytes | None = None,
) -> Mutation | None:
    """Return the container with some of its parts exchanged and its form exact.

    An attacker knows the format: sizes and seed id fit what they stand for. The front alone is
    written where it keeps its length; else all is, up to ``MAX_REWRITTEN_NBYTES``.
    """
    old = target.contents.header
    nbytes = old.preamble.payload_nbytes if payload is None else len(payload)
    front = encode_header(
        Header(
            manifest=old.manifest_bytes if manifest is None else manifest,
            seed_id=hashlib.sha256(manifest or old.manifest_bytes).digest(),
            records=list(old.records if records is None else records),
            presence=old.presence if presence is None else presence,
            payload_nbytes=nbytes,
        )
    )
    if payload is None and len(front) == old.preamble.payload_offset:
        return Mutation(kind, what, (Patch(0, front),))
    if len(front) + nbytes > MAX_REWRITTEN_NBYTES:
        return None
    if payload is None:
        payload = target.read(old.preamble.payload_offset, nbytes)
    return Mutation(kind, what, (Patch(0, front + payload),), len(front) + nbytes)
