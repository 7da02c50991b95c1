"""Which chunks are protected together: the layout of parity (spec: section 10).

It follows from the stored sizes alone, so that no layout needs to be stored, and
none can be forged. Interleaved: neighbours in the file are in different stripes, and
a run of lost bytes costs every stripe a little instead of one stripe everything.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Stripe(NamedTuple):
    """Data chunks that share parity."""

    members: tuple[int, ...]  # indices of the k data chunks, by place
    shard_nbytes: int  # of the longest member; all are padded to it, parity has it
    nparity: int  # m
    first_parity: int  # number of the stripe's first parity chunk among all parity chunks


def count_parity(nmembers: int, percent: int) -> int:
    """Return m = ceil(k percent / 100)."""
    return -(-nmembers * percent // 100)


def stripe_layout(
    stored_nbytes: Sequence[int], stripe_nchunks: int, percent: int
) -> tuple[Stripe, ...]:
    """Return the stripes over all data chunks, in the order of their parity chunks.

    Args:
        stored_nbytes: Stored size of each data chunk, in index order; at least 1 each.
        stripe_nchunks: The most chunks that one stripe may have.
        percent: Parity chunks per hundred data chunks, rounded up per stripe.

    Cost:
        O(number of data chunks).
    """
    classes: defaultdict[int, list[int]] = defaultdict(list)
    for index, nbytes in enumerate(stored_nbytes):
        classes[nbytes.bit_length()].append(index)
    stripes: list[Stripe] = []
    first_parity = 0
    for _, indices in sorted(classes.items()):
        nstripes = -(-len(indices) // stripe_nchunks)
        for number in range(nstripes):
            members = tuple(indices[number::nstripes])
            shard_nbytes = max(stored_nbytes[index] for index in members)
            nparity = count_parity(len(members), percent)
            stripes.append(Stripe(members, shard_nbytes, nparity, first_parity))
            first_parity += nparity
    return tuple(stripes)
