"""Changed copies of a seed, as an attacker or a bad disk would leave them (spec: AUD-INT).

    Target: the very seed, open ──damage (any bytes)─────────┐
                                ──moves (chunks, donor's)────┼──> Mutation: patches, length, memory
    + keys that nobody trusts   ──forgeries (signed parts)───┘             │
    one copy ──patched──> verifier ──refused by which rule──> Outcome <──replay──┘
             <─restored──

A mutation is data: what to write where, how long the file is then, and what the consumer
remembers. Everything follows from the random seed; none is tried twice, and one that would
leave every byte as it was is none.
"""

from __future__ import annotations

from seedpack.audits.mutations.base import Mutation, Patch, Target
from seedpack.audits.mutations.kinds import KINDS, draw_mutations
from seedpack.audits.mutations.replay import Outcome, Replay, verify_fully

__all__ = [
    "KINDS",
    "Mutation",
    "Outcome",
    "Patch",
    "Replay",
    "Target",
    "draw_mutations",
    "verify_fully",
]
