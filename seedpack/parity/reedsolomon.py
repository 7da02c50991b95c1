"""Reed-Solomon erasure code over GF(2^8), by zfec (spec: section 10).

The code is systematic: shards 0 to k - 1 are the data, shards k to k + m - 1 the parity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from seedpack.errors import IntegrityError, StoreError
from seedpack.limits import MAX_SHARDS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType


def encode_stripe(shards: Sequence[bytes], shard_nbytes: int, nparity: int) -> list[bytes]:
    """Return the parity shards of one stripe.

    Args:
        shards: k data shards, none longer than ``shard_nbytes``; shorter ones count as
            padded with zero bytes.
        shard_nbytes: Size of every parity shard.
        nparity: m, at least 1; k + m at most 256.

    Raises:
        StoreError: PAR-5, zfec is not installed.
        ValueError: Sizes or counts outside these (wrong call).
    """
    nshards = _count_shards(len(shards), nparity)
    padded = tuple(_pad(shard, shard_nbytes) for shard in shards)
    return list(
        _load_zfec()
        .Encoder(len(shards), nshards)
        .encode(padded, tuple(range(len(shards), nshards)))
    )


def recover_stripe(
    present: Mapping[int, bytes], ndata: int, nparity: int, shard_nbytes: int
) -> dict[int, bytes]:
    """Return the shards that are not present, by place.

    Args:
        present: Intact shards by place: data at 0 to k - 1, parity at k to k + m - 1.
        ndata: k.
        nparity: m.
        shard_nbytes: Size of every shard, once padded with zero bytes.

    Returns:
        Every absent place, ``shard_nbytes`` each: data are still padded.

    Raises:
        IntegrityError: PAR-4, fewer than k shards are present.
        StoreError: PAR-5, zfec is not installed.
        ValueError: Sizes, places or counts that no stripe has (wrong call).
    """
    nshards = _count_shards(ndata, nparity)
    if not present.keys() <= set(range(nshards)):
        raise ValueError(f"places outside a stripe of {nshards} shards")
    absent = [place for place in range(nshards) if place not in present]
    if len(absent) > nparity:
        raise IntegrityError(
            f"{len(absent)} of {nshards} chunks are lost, {nparity} can be restored",
            rule="PAR-4",
            where="stripe",
            hint="merge with another copy of the seed; damage is rarely in the same place",
        )
    chosen = _choose_shards(present, ndata)
    blocks = tuple(_pad(present[place], shard_nbytes) for place in chosen)
    data = _load_zfec().Decoder(ndata, nshards).decode(blocks, tuple(chosen))
    restored = {place: bytes(data[place]) for place in absent if place < ndata}
    if any(place >= ndata for place in absent):
        parity = encode_stripe(data, shard_nbytes, nparity)
        restored |= {place: parity[place - ndata] for place in absent if place >= ndata}
    return restored


def _count_shards(ndata: int, nparity: int) -> int:
    """Return n = k + m."""
    if ndata < 1 or nparity < 1 or ndata + nparity > MAX_SHARDS:
        raise ValueError(f"no stripe has {ndata} data and {nparity} parity shards")
    return ndata + nparity


def _choose_shards(present: Mapping[int, bytes], ndata: int) -> list[int]:
    """Return k places, data first, each datum in the slot of its own number.

    A datum that is present then needs no arithmetic at all.
    """
    parity = sorted(place for place in present if place >= ndata)
    spare = iter(parity)
    return [place if place in present else next(spare) for place in range(ndata)]


def _pad(shard: bytes, shard_nbytes: int) -> bytes:
    """Return ``shard`` with zero bytes up to the size of its stripe."""
    if len(shard) > shard_nbytes:
        raise ValueError(f"shard of {len(shard)} bytes in a stripe of {shard_nbytes}")
    return bytes(shard).ljust(shard_nbytes, b"\x00")


def _load_zfec() -> ModuleType:
    """Return the library; it comes with an extra, for its licence is not ours (decision 0002)."""
    try:
        import zfec  # noqa: PLC0415 -- optional, and a C extension that only parity needs
    except ModuleNotFoundError as error:
        raise StoreError(
            "parity needs the package zfec",
            rule="PAR-5",
            where="parity",
            hint='pip install "seedpack[parity]"',
        ) from error
    module: ModuleType = zfec
    return module
