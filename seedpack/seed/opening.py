"""From a path to a ``Seed``: steps 0 to 5 of the verification (spec: section 12).

0 preamble   fixed size, struct only, no allocation by attacker's length      FormatError
1 sizes      every length within limits, file accounted for to the last byte  FormatError
2 signers    seed id, signature records, key ids looked up; unknown ignored   FormatError
3 signature  over the raw manifest bytes with domain separation; threshold    TrustError
4 manifest   bounded walk, typed decode, canonical, rules, presence           FormatError
5 policy     expiry, names, rollback, allowed codecs, budget                  TrustError
-- from here on there is a Seed; before, none can exist --
6 chunk      ``Contents.read_chunk``: digest before any decoder, same buffer  IntegrityError
7 decode     ``tensors``: bounded, exact size, declared shape and dtype       CodecError
8 tensors    ``tensors``: digest of the decoded tensor                        IntegrityError
9 assemble   ``seedpack.assemble``                                            AssemblyError
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from seedpack.codecs import CODEC_IDS
from seedpack.container.manifest import decode_manifest
from seedpack.container.payload import place_chunks
from seedpack.container.preamble import VERSION
from seedpack.container.rules import validate_manifest
from seedpack.errors import AssemblyError
from seedpack.files import InputFile
from seedpack.seed.contents import Contents
from seedpack.seed.header import read_header
from seedpack.trust.judge import SeedFacts, judge_policy, judge_signatures

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.container.manifest import Manifest
    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.header import RawHeader
    from seedpack.trust.judge import Vouching
    from seedpack.trust.store import TrustStore


class Seed(Contents):
    """A seed that the trust store vouches for. Only ``open_seed`` makes one.

    Attributes:
        facts: What the trust store judged by and remembers.
        vouching: Which principals counted, by which keys.
        store: Whom the consumer trusts: judges whatever has to be opened again.
    """

    def __init__(
        self,
        file: InputFile,
        header: RawHeader,
        manifest: Manifest,
        chunks: list[PlacedChunk],
        vouching: Vouching,
        store: TrustStore,
    ) -> None:
        """Take over ``file`` after step 5."""
        super().__init__(file, header, manifest, chunks)
        self.facts = seed_facts(manifest, header.preamble.seed_id)
        self.vouching = vouching
        self.store = store


class UnverifiedContents(Contents):
    """A container that NOBODY vouches for: form and digests hold, origin is unknown."""


def open_seed(
    path: Path, *, store: TrustStore, now: int | None = None, damaged: bool = False
) -> Seed:
    """Open ``path`` and prove that the trust store's threshold of principals signed it.

    The payload is not read here: each chunk is checked when it is read, and
    ``verify_seed`` reads all.

    Args:
        path: A ``.seed`` file.
        store: Whom to trust.
        now: Seconds since 1970; default: the clock.
        damaged: Accept a payload of another length than declared; for repair.

    Raises:
        FormatError: Steps 0 to 2 and 4.
        TrustError: Steps 3 and 5.
        StoreError, IntegrityError: FIL, the file cannot be read.
    """
    now = int(time.time()) if now is None else now
    file = InputFile(path)
    try:
        header = read_header(file, damaged=damaged)
        vouching = judge_signatures(
            store, header.records, manifest=header.manifest_bytes, version=VERSION, now=now
        )
        manifest, chunks = _read_manifest(header)
        judge_policy(store, vouching, seed_facts(manifest, header.preamble.seed_id), now=now)
    except BaseException:
        file.close()
        raise
    return Seed(file, header, manifest, chunks, vouching, store)


def open_unverified(
    path: Path, *, exclusive: bool = False, damaged: bool = False
) -> UnverifiedContents:
    """Open ``path`` without asking who made it (to inspect, to sign, or at the user's risk).

    Args:
        path: A ``.seed`` file.
        exclusive: Lock it against other writers until it is closed.
        damaged: Accept a payload of another length than declared; for repair.

    Raises:
        FormatError: Steps 0 to 2 and 4.
        StoreError, IntegrityError: FIL, the file cannot be read; OUT-3, it is locked.
    """
    file = InputFile(path)
    try:
        if exclusive:
            file.lock()
        header = read_header(file, damaged=damaged)
        return UnverifiedContents(file, header, *_read_manifest(header))
    except BaseException:
        file.close()
        raise


def check_vouched(contents: Contents, *, insecure: bool) -> None:
    """Refuse to rebuild a model from contents that nobody vouches for (ASM-3).

    Args:
        contents: Open.
        insecure: The user asked for exactly that.

    Raises:
        AssemblyError: ASM-3.
    """
    if not isinstance(contents, Seed) and not insecure:
        raise AssemblyError(
            "nobody whom you trust vouches for this seed",
            rule="ASM-3",
            where=str(contents.file.path),
            hint="verify it against a trust store or a public key first",
        )


def _read_manifest(header: RawHeader) -> tuple[Manifest, list[PlacedChunk]]:
    """Do step 4."""
    manifest = decode_manifest(header.manifest_bytes)
    validate_manifest(manifest, codecs=CODEC_IDS)
    return manifest, place_chunks(manifest.chunks, header.presence, header.preamble)


def seed_facts(manifest: Manifest, seed_id: bytes) -> SeedFacts:
    """Return what the trust store judges by."""
    return SeedFacts(
        name=manifest.name,
        version=manifest.version,
        seed_id=seed_id,
        created=manifest.created,
        expires=manifest.expires,
        codecs=frozenset(layer.codec for layer in manifest.layers),
        decoded_nbytes=manifest.decoded_nbytes,
    )
