"""How a seed is published: everything about it that is not in its layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from seedpack.extract.redundancy import check_percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.container.manifest import Claim
    from seedpack.crypto.keys import PrivateKey


@dataclass(frozen=True, kw_only=True)
class Publication:
    """A seed's name and term, how its bytes are kept, and who signs it.

    Attributes:
        name: Seed name (MAN-11).
        version: Counted up by the publisher.
        created: Seconds since 1970; default: ``SOURCE_DATE_EPOCH``, else the clock.
        expires: Seconds since 1970 from which the seed is no longer valid.
        digest_algorithm: ``blake3-256`` or ``sha2-256``.
        chunk_nbytes: Raw bytes per chunk, 16 to 4 MiB; default: 1 MiB, less with parity for
            a small model, so that there are at least 128 chunks where 1 KiB allows it.
        parity_percent: Parity chunks per hundred data chunks, 1 to 1000.
        interleave: Spread the values of each layer over its chunks (EXT-66).
        protect_top_bits: Interleave, and carry the top bits of matrices twice (EXT-67).
        claims: The publisher's figures.
        key: The publisher's.
        overwrite: Replace an existing file.

    Raises:
        ValueError: No such parity (wrong call).
    """

    name: str
    version: int = 1
    created: int | None = None
    expires: int | None = None
    digest_algorithm: str = "blake3-256"
    chunk_nbytes: int | None = None
    parity_percent: int | None = None
    interleave: bool = False
    protect_top_bits: bool = False
    claims: Sequence[Claim] = ()
    key: PrivateKey | None = None
    overwrite: bool = False

    @property
    def is_scattered(self) -> bool:
        """Whether chunks are interleaved."""
        return bool(self.interleave or self.protect_top_bits)

    def __post_init__(self) -> None:
        """Refuse a wrong call before any work."""
        if self.parity_percent is not None:
            check_percent(self.parity_percent)


class PublicationOptions(TypedDict, total=False):
    """The fields of ``Publication`` but for the name, as options of a call."""

    version: int
    created: int | None
    expires: int | None
    digest_algorithm: str
    chunk_nbytes: int | None
    parity_percent: int | None
    interleave: bool
    protect_top_bits: bool
    claims: Sequence[Claim]
    key: PrivateKey | None
    overwrite: bool
