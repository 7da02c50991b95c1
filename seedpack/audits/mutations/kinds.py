"""All kinds of mutations, and a stream of them in which every kind takes its turn."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.audits.mutations import damage, forgeries, moves

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from seedpack.audits.mutations.base import Mutation, Target

    Make = Callable[[Target, np.random.Generator], Mutation | None]

KINDS: Final[tuple[Make, ...]] = (
    damage.flip_bits,
    damage.flip_front_bits,
    damage.burst,
    damage.blank,
    damage.slide,
    damage.cut,
    damage.extend,
    moves.swap_chunks,
    moves.swap_layers,
    moves.swap_records,
    moves.remove_chunk,
    moves.splice_layer,
    moves.splice_chunk,
    moves.splice_halves,
    forgeries.edit_manifest,
    forgeries.edit_and_sign,
    forgeries.sign_as_other,
    forgeries.sign_as_known,
    forgeries.change_signature,
    forgeries.remove_signatures,
    forgeries.claim_seed_id,
    forgeries.roll_back,
    forgeries.equivocate,
)
_IDLE_TURNS: Final = 50  # turns without a new mutation after which there seem to be no more


def draw_mutations(target: Target, *, seed: int) -> Iterator[Mutation]:
    """Yield mutations, kind after kind, none twice, none that changes nothing (AUD-INT-2).

    Args:
        target: The very seed.
        seed: Of everything random.
    """
    tried: set[bytes] = set()
    idle = 0
    for turn in itertools.count():
        before = len(tried)
        for number, make in enumerate(KINDS):
            mutation = make(target, np.random.Generator(np.random.PCG64([seed, turn, number])))
            if mutation is None:
                continue
            key = mutation.key
            if key in tried or not target.is_changed_by(mutation):
                continue
            tried.add(key)
            yield mutation
        idle = 0 if len(tried) > before else idle + 1
        if idle == _IDLE_TURNS:
            return
