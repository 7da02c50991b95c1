"""Check every byte that a seed's publisher signed (spec: steps 6 to 8).

chunks --read, digest--> all cores           plain: no decoder, no numpy
layers --tensors--> decoded digests          with ``decode``
attachments --planes--> decoded digests      "
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack import limits
from seedpack.errors import IntegrityError
from seedpack.seed.parallel import for_each, thread_count

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.codecs.base import BaseTensors
    from seedpack.container.payload import PlacedChunk
    from seedpack.seed.contents import Contents

_THREADS_PAY_OFF_NBYTES: Final = 4 * limits.MIB  # below, starting threads costs more


class VerifyReport(NamedTuple):
    """What was checked, and how much of the seed that is."""

    layers: int
    layers_total: int
    chunks: int
    chunks_total: int
    stored_nbytes: int
    decoded: bool

    @property
    def is_whole(self) -> bool:
        """True when every chunk of the seed was checked."""
        return self.chunks == self.chunks_total


def verify_seed(
    seed: Contents,
    *,
    layers: str | None = None,
    decode: bool = False,
    partial: bool = False,
    base: BaseTensors | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> VerifyReport:
    """Check the digest of every stored chunk, or of those that the layers in question have.

    Args:
        seed: Open, normally a ``Seed``.
        layers: Glob over layer names; only these are checked, and they must be whole.
        decode: Decode, too, and check the digests of tensors and attachments.
        partial: Let absent chunks pass; the report says how much was there.
        base: What a delta seed refers to; only ``decode`` needs it.
        progress: Called with bytes done and bytes in all.

    Raises:
        IntegrityError: CHK-2, PRT-3, LAY-8, ATT-6, BAS-2 or FIL-2.
        CodecError: Only with ``decode``.
        AssemblyError: BAS-1, only with ``decode``.
        ValueError: No layer matches ``layers``.
    """
    chosen = seed.layers(layers)
    chunks = seed.chunks if layers is None else [chunk for _, owned in chosen for chunk in owned]
    here = [chunk for chunk in chunks if chunk.offset is not None]
    if len(here) < len(chunks) and not partial:
        _refuse_partial(seed, chunks)
    check_chunks(seed, here, progress=progress)
    if decode:
        _check_decoded(seed, layers=layers, base=base)
    seed.file.check_unchanged()
    return VerifyReport(
        layers=sum(all(c.offset is not None for c in owned) for _, owned in chosen),
        layers_total=len(seed.manifest.layers),
        chunks=len(here),
        chunks_total=len(seed.chunks),
        stored_nbytes=sum(chunk.stored_nbytes for chunk in here),
        decoded=decode,
    )


def check_chunks(
    seed: Contents,
    chunks: list[PlacedChunk],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Read ``chunks`` and check their digests over all cores.

    Raises:
        IntegrityError: The first that is absent or differs.
    """
    total = sum(chunk.stored_nbytes for chunk in chunks)
    largest = max((chunk.stored_nbytes for chunk in chunks), default=0)
    done = 0

    def make_worker() -> Callable[[PlacedChunk], None]:
        buffer = bytearray(largest)

        def check(chunk: PlacedChunk) -> None:
            nonlocal done
            seed.read_chunk(chunk, buffer)
            if progress is not None:
                done += chunk.stored_nbytes  # for show only: a lost update is harmless
                progress(done, total)

        return check

    for_each(chunks, make_worker, threads=thread_count() if total > _THREADS_PAY_OFF_NBYTES else 1)


def _check_decoded(seed: Contents, *, layers: str | None, base: BaseTensors | None) -> None:
    from seedpack.seed.tensors import decode_layers  # noqa: PLC0415 -- numpy only where asked for

    for _ in decode_layers(seed, layers=layers, skip_absent=True, base=base):
        pass
    if layers is None:
        for attachment, chunks in seed.attachments():
            if all(chunk.offset is not None for chunk in chunks):
                seed.read_attachment(attachment, chunks)


def _refuse_partial(seed: Contents, chunks: list[PlacedChunk]) -> None:
    absent = [chunk.index for chunk in chunks if chunk.offset is None]
    raise IntegrityError(
        f"partial seed: {len(absent)} of {len(chunks)} chunks are not in this file, "
        f"the first is of {seed.owner(absent[0])}",
        rule="PRT-3",
        where=f"chunk {absent[0]}",
        hint="merge the parts, choose --layers that are here, or pass --partial",
    )
