"""Restore damaged or absent chunks from copies and parity, bit-exactly (spec: PAR-4).

    chunks --digest--> intact | lost          the signed digests locate the damage
    lost, and another with its digest intact --> that one's bytes (COD-SCA-6)
    stripe: k data + m parity --any k intact--> the lost ones --digest again--> output

The output takes its name only when every chunk of the seed is intact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from seedpack.container.stripes import Stripe, stripe_layout
from seedpack.container.writer import Header, encode_header
from seedpack.crypto.digests import digest
from seedpack.errors import IntegrityError, StoreError
from seedpack.files import atomic_output
from seedpack.parity.reedsolomon import recover_stripe
from seedpack.seed.parallel import for_each, thread_count

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import BinaryIO

    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.contents import Contents


class RepairReport(NamedTuple):
    """What was lost, and so was restored."""

    chunks_total: int
    lost: list[int]  # indices of the chunks that were damaged or absent


def repair_seed(
    seed: Contents,
    output: Path,
    *,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> RepairReport:
    """Write a complete copy of ``seed`` with every lost chunk restored.

    Args:
        seed: Opened with ``damaged=True`` where its length is wrong.
        output: The repaired container.
        overwrite: Replace an existing file.
        progress: Called with chunks done and chunks in all.

    Raises:
        IntegrityError: PAR-4, more was lost than copies and parity cover; nothing is written.
        StoreError: OUT.
    """
    lost = find_lost_chunks(seed)
    copies = find_copies(seed, lost)
    gone = lost - copies.keys()
    stripes = _stripes(seed, gone)
    for stripe in stripes:
        _check_recoverable(seed, stripe, gone)
    sizes = [chunk.stored_nbytes for chunk in seed.chunks]
    header = Header(
        seed.header.manifest_bytes,
        seed.header.preamble.seed_id,
        seed.header.records,
        b"",
        sum(sizes),
    )
    head = encode_header(header)
    offsets = [len(head)]
    for nbytes in sizes:
        offsets.append(offsets[-1] + nbytes)
    with atomic_output(output, overwrite=overwrite) as out:
        out.write(head)
        for done, chunk in enumerate(seed.chunks, 1):
            if chunk.index not in gone:
                _put(out, offsets[chunk.index], _read(seed, chunk.index, copies))
            if progress is not None:
                progress(done, len(seed.chunks))
        for stripe in stripes:
            for index, restored in recover_chunks(seed, stripe, gone, copies).items():
                _put(out, offsets[index], restored)
    return RepairReport(len(seed.chunks), sorted(lost))


def find_lost_chunks(seed: Contents) -> set[int]:
    """Return the indices of the chunks that are absent or do not have their signed digest."""
    lost: set[int] = set()
    largest = max((chunk.stored_nbytes for chunk in seed.chunks), default=0)

    def make_worker() -> Callable[[PlacedChunk], None]:
        buffer = bytearray(largest)

        def check(chunk: PlacedChunk) -> None:
            try:
                seed.read_chunk(chunk, buffer)
            except (IntegrityError, StoreError):  # a failing disk is damage, too
                lost.add(chunk.index)

        return check

    for_each(seed.chunks, make_worker, threads=thread_count())
    return lost


def find_copies(seed: Contents, lost: set[int]) -> dict[int, int]:
    """Return for each lost chunk an intact one with the same digest, where there is one."""
    intact = {chunk.digest: chunk.index for chunk in seed.chunks if chunk.index not in lost}
    digests = {index: seed.chunks[index].digest for index in lost}
    return {index: intact[digest] for index, digest in digests.items() if digest in intact}


def damaged_stripes(seed: Contents, lost: set[int]) -> list[Stripe]:
    """Return the stripes that lost something; none where there is no parity."""
    parity = seed.manifest.parity
    if parity is None:
        return []
    stored = [chunk.stored_nbytes for chunk in seed.manifest.data_chunks]
    stripes = stripe_layout(stored, parity.stripe_nchunks, parity.percent)
    return [stripe for stripe in stripes if not lost.isdisjoint(_members(seed, stripe))]


def can_recover(seed: Contents, stripe: Stripe, lost: set[int]) -> bool:
    """Return whether the parity of ``stripe`` restores what it lost."""
    return len(lost.intersection(_members(seed, stripe))) <= stripe.nparity


def _stripes(seed: Contents, lost: set[int]) -> list[Stripe]:
    """Return the stripes that lost something; refuse a loss that there is no parity for."""
    if lost and seed.manifest.parity is None:
        raise _refusal(seed, min(lost), f"{len(lost)} chunks are lost and there is no parity")
    return damaged_stripes(seed, lost)


def _members(seed: Contents, stripe: Stripe) -> list[int]:
    """Return the chunk index at each place of ``stripe``: data first, then parity."""
    start = len(seed.manifest.data_chunks) + stripe.first_parity
    return [*stripe.members, *range(start, start + stripe.nparity)]


def _check_recoverable(seed: Contents, stripe: Stripe, lost: set[int]) -> None:
    gone = lost.intersection(_members(seed, stripe))
    if len(gone) > stripe.nparity:
        message = f"{len(gone)} chunks of a stripe are lost, its parity restores {stripe.nparity}"
        raise _refusal(seed, min(gone), message)


def recover_chunks(
    seed: Contents, stripe: Stripe, lost: set[int], copies: Mapping[int, int]
) -> dict[int, bytes]:
    """Return the lost chunks of one stripe, each with its signed digest.

    Args:
        seed: As for ``repair_seed``.
        stripe: One that ``can_recover``.
        lost: Chunks of which there is no copy either.
        copies: Of ``find_copies``.

    Raises:
        IntegrityError: PAR-4, what comes out is not what was signed.
    """
    members = _members(seed, stripe)
    present = {
        place: bytes(_read(seed, index, copies))
        for place, index in enumerate(members)
        if index not in lost
    }
    shards = recover_stripe(present, len(stripe.members), stripe.nparity, stripe.shard_nbytes)
    restored = {}
    for place, index in enumerate(members):
        if index in lost:
            chunk = seed.chunks[index]
            restored[index] = shards[place][: chunk.stored_nbytes]
            if digest(seed.manifest.digest_algorithm, restored[index]) != chunk.digest:
                raise _refusal(seed, index, "the restored chunk is not what was signed")
    return restored


def _read(seed: Contents, index: int, copies: Mapping[int, int]) -> memoryview:
    chunk = seed.chunks[copies.get(index, index)]
    return seed.read_chunk(chunk, bytearray(chunk.stored_nbytes))


def _put(out: BinaryIO, offset: int, data: bytes | memoryview) -> None:
    out.seek(offset)
    out.write(data)


def _refusal(seed: Contents, index: int, message: str) -> IntegrityError:
    return IntegrityError(
        message,
        rule="PAR-4",
        where=f"chunk {index}, {seed.owner(index)}",
        hint="nothing was written; merge with another copy of this seed, or fetch it again",
    )
