"""Parity over all data chunks, and chunks small enough for it (spec: PAR)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.container.manifest import Parity
from seedpack.container.rules import MAX_PARITY_PERCENT, PARITY_SCHEME
from seedpack.container.stripes import stripe_layout
from seedpack.extract.layers import make_chunks
from seedpack.extract.scattering import widest_stripe
from seedpack.parity import encode_stripe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from seedpack.container.manifest import Chunk
    from seedpack.extract.spill import Spill
    from seedpack.frameworks import TensorInfo

# Wider stripes stand more uneven damage, and cost more: every byte of data is multiplied once
# per parity chunk of its stripe.
_STRIPE_NCHUNKS: Final = 64
_ENOUGH_CHUNKS: Final = 128  # so that a percent of the file is about a chunk
_MIN_CHUNK_NBYTES: Final = limits.KIB  # below, digests in the manifest weigh more than the parity


def default_chunk_nbytes(infos: Sequence[TensorInfo], parity_percent: int | None) -> int:
    """Return raw bytes per chunk: 1 MiB, or less where parity would have few chunks to use."""
    nbytes = limits.DEFAULT_CHUNK_RAW_NBYTES
    if parity_percent is None:
        return nbytes
    while nbytes > _MIN_CHUNK_NBYTES and _count_chunks(infos, nbytes) < _ENOUGH_CHUNKS:
        nbytes //= 2
    return nbytes


def add_parity(
    chunks: Sequence[Chunk], spill: Spill, percent: int, algorithm: str, *, wide: bool = False
) -> Parity:
    """Compute the parity of ``chunks``, append it to ``spill``, and return its record.

    Args:
        chunks: All data chunks, at the same places in ``spill``.
        spill: Payload so far.
        percent: 1 to 1000.
        algorithm: Digest algorithm.
        wide: Put as many chunks into a stripe as one can have, instead of 64.

    Cost:
        Memory: one stripe, 64 or up to 253 chunks, and their parity.
    """
    stripe_nchunks = min(widest_stripe(percent), limits.MAX_SHARDS if wide else _STRIPE_NCHUNKS)
    layout = stripe_layout([chunk.stored_nbytes for chunk in chunks], stripe_nchunks, percent)
    parity_chunks: list[Chunk] = []
    for stripe in layout:
        shards = [spill.read(index) for index in stripe.members]
        stored = encode_stripe(shards, stripe.shard_nbytes, stripe.nparity)
        made = make_chunks(stored, algorithm)
        spill.append(made, stored)
        parity_chunks += made
    return Parity(
        chunks=parity_chunks,
        percent=percent,
        scheme=PARITY_SCHEME,
        stripe_nchunks=stripe_nchunks,
    )


def check_percent(percent: int) -> None:
    """Refuse a wrong call.

    Raises:
        ValueError: Outside 1 to 1000 (PAR-2).
    """
    if not 1 <= percent <= MAX_PARITY_PERCENT:
        raise ValueError(f"parity of {percent} %, possible are 1 to {MAX_PARITY_PERCENT}")


def _count_chunks(infos: Sequence[TensorInfo], nbytes: int) -> int:
    return sum(-(-info.nbytes // nbytes) for info in infos)
