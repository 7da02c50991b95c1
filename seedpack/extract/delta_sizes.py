"""How many ranks each layer of a trained delta gets, so that the file is as large as asked for.

    slots, from the output down: a rank each, then a second rank each ...   increments
    seed of random codes ──size──> increments that fit ──built once more──> ranks

What is built is a seed whose codes and new tensors are random bits, which nothing compresses: the
trained one is no larger. All of this is done before the first step.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

import numpy as np

from seedpack.codecs.delta.differences import MAX_RANK
from seedpack.codecs.delta.encoding import Factors, encode_factors
from seedpack.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from seedpack.codecs.base import Encoded
    from seedpack.codecs.delta.encoding import Origin
    from seedpack.extract.targets import Target
    from seedpack.training.deltas import Slot

_BITS: Final = 4
_RECORD_NBYTES: Final = 110  # params and chunk record of a layer, about
_WEIGHT_NBYTES: Final = 2  # of a rank
_MAX_ROUNDS: Final = 8


def plan_ranks(
    slots: Sequence[Slot],
    target: Target,
    build: Callable[[Mapping[str, int]], int],
    files: Sequence[str] = (),
) -> dict[str, int]:
    """Return the ranks, by stored name, whose seed has at most the size asked for.

    Args:
        slots: What can have ranks.
        target: The size.
        build: Returns the size of a seed with such ranks.
        files: What travels along because the base lacks it, for a refusal to name.

    Raises:
        ExtractError: EXT-70, no ranks have that size.
    """
    increments = list(_increments(slots))
    costs = np.cumsum(list(_costs(increments)))  # bytes of the first n increments
    least, most = build(_ranks(increments[:1])), _guess_most(increments, costs, build)
    if not increments or least > target.nbytes or (most < target.nbytes and not target.is_limit):
        raise _unreachable(target, least, most, files)
    return _search(increments, costs, target, build, least)


def _search(
    increments: Sequence[Slot],
    costs: np.ndarray,
    target: Target,
    build: Callable[[Mapping[str, int]], int],
    least: int,
) -> dict[str, int]:
    """Return the most ranks found to fit; sizes grow about as the costs do."""
    fits, fails = 1, len(increments) + 1  # numbers of increments
    known = {1: least}
    for _ in range(_MAX_ROUNDS):
        around = [at for at in (fits, fails) if at in known]
        slope = 1.0
        if len(around) > 1:
            slope = (known[fails] - known[fits]) / float(costs[fails - 1] - costs[fits - 1])
        aim = float(costs[fits - 1]) + (target.nbytes - known[fits]) / slope
        count = int(np.searchsorted(costs, aim, side="right"))
        count = min(max(count, fits + 1), fails - 1)
        if count <= fits:
            break
        known[count] = build(_ranks(increments[:count]))
        fits, fails = (count, fails) if known[count] <= target.nbytes else (fits, count)
        if target.aim <= known[fits]:
            break
    return _ranks(increments[:fits])


def _increments(slots: Sequence[Slot]) -> list[Slot]:
    """Return whose turn it is, rank after rank; of one rank, layers near the output first."""
    highest = min(max((slot.most for slot in slots), default=0), MAX_RANK)
    turns = itertools.product(range(1, highest + 1), reversed(slots))
    return [slot for rank, slot in turns if rank <= slot.most]


def _costs(increments: Sequence[Slot]) -> list[float]:
    seen: set[str] = set()
    costs = []
    for slot in increments:
        new = 0 if slot.stored in seen else _RECORD_NBYTES
        seen.add(slot.stored)
        costs.append(slot.rows * _BITS / 8 + _WEIGHT_NBYTES + new)
    return costs


def _ranks(increments: Sequence[Slot]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for slot in increments:
        ranks[slot.stored] = ranks.get(slot.stored, 0) + 1
    return ranks


def _guess_most(
    increments: Sequence[Slot], costs: np.ndarray, build: Callable[[Mapping[str, int]], int]
) -> int:
    """Return about the size with all ranks, from one rank each; codes of all take long to try."""
    once = len({slot.stored for slot in increments})
    size = build(_ranks(increments[:once]))
    return round(size + float(costs[-1] - costs[once - 1])) if once else size


def random_layers(
    slots: Sequence[Slot], ranks: Mapping[str, int], origin: Origin
) -> dict[str, Encoded]:
    """Return layers of these ranks that take as much as any."""
    random = np.random.Generator(np.random.PCG64(0))
    layers = {}
    for slot in slots:
        rank = ranks.get(slot.stored, 0)
        if rank:
            left = random.integers(-8, 8, (slot.rows, rank), dtype=np.int8)
            drawn = np.empty((rank, 0), np.int8)  # from the seed, not stored
            factors = Factors(left, drawn, np.ones(rank, "<u2"), 2.0**-20, _BITS)
            layers[slot.stored] = encode_factors(factors, origin, seed=1)
    return layers


def random_bytes(nbytes: int) -> bytes:
    """Return finite floats of any dtype, which nothing compresses much."""
    random = np.random.Generator(np.random.PCG64(1))
    # 0x3f: an exponent that neither float16, bfloat16 nor float32 takes for infinite.
    values: np.ndarray = random.integers(0, 256, nbytes, dtype=np.uint8)
    values[1::2] &= 0x3F
    return values.tobytes()


def _unreachable(target: Target, least: int, most: int, files: Sequence[str]) -> ExtractError:
    along = f" and files ({', '.join(files[:4])[:120]})" if files else ""
    return ExtractError(
        f"{target.text} is a file of {target.nbytes:.0f} bytes, "
        f"a trained delta of this model takes about {least} to {most}",
        rule="EXT-70",
        where="target",
        hint=f"the smallest is records, with a head{along} that the base lacks; files with the "
        "very bytes of the base's own cost nothing",
    )
