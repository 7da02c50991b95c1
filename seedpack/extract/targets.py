"""A size to hit, and the search for the level that hits it (spec: EXT-16 to EXT-18).

    level --estimate--> build the whole seed --its size--> better level --...-- good enough?

Estimates tell how the size changes with the level; what is judged is the size of a seed
that was built: header, manifest, attachments, parity and all.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from seedpack.errors import ExtractError

if TYPE_CHECKING:
    from collections.abc import Callable

    from seedpack.extract.allocation import Allocation

GRID_CODEC: Final = "ecq"
TARGET_CODEC: Final = "tcq"  # with a target; where a plain grid comes as near, that
TARGET_CODECS: Final = frozenset({GRID_CODEC, TARGET_CODEC})  # whose steps can be chosen

_TOLERANCE: Final = 0.02  # EXT-16, EXT-17
_GOOD_ENOUGH: Final = 0.005  # not worth another round
_MAX_ROUNDS: Final = 16  # two or three in practice; more where tables outweigh small matrices
_PATIENCE: Final = 4  # rounds of interpolation before every other one halves the levels left


class Target(NamedTuple):
    """How large the file is to be."""

    nbytes: float
    is_limit: bool  # never more than that; else as near as possible
    text: str  # as the user asked for it

    @property
    def aim(self) -> float:
        """What to aim at: a limit is approached from below."""
        return self.nbytes * (1 - _GOOD_ENOUGH) if self.is_limit else self.nbytes

    def allows(self, nbytes: int) -> bool:
        """Return whether a file of ``nbytes`` keeps what was asked for."""
        if self.is_limit:
            return nbytes <= self.nbytes
        return abs(nbytes / self.nbytes - 1) <= _TOLERANCE

    def is_met_well(self, nbytes: int) -> bool:
        """Return whether another round is not worth its time."""
        return self.allows(nbytes) and abs(nbytes / self.aim - 1) <= _GOOD_ENOUGH


class Size(NamedTuple):
    """What one round of building has shown."""

    file_nbytes: int
    matrices_nbytes: int  # of the layers that allocation governs
    overhead: float  # bytes of the file per byte of layers, with parity


def check_target(codec: str, ratio: float | None, max_nbytes: int | None) -> None:
    """Refuse a wrong call.

    Raises:
        ValueError: Both targets, one for a codec without steps, or one out of range.
    """
    if ratio is None and max_nbytes is None:
        return
    if ratio is not None and max_nbytes is not None:
        raise ValueError("either a ratio or a largest size")
    if codec not in TARGET_CODECS:
        raise ValueError(f"codec {codec} has one size, targets are for {sorted(TARGET_CODECS)}")
    if ratio is not None and not 0 < ratio < math.inf:
        raise ValueError(f"ratio {ratio}")
    if max_nbytes is not None and max_nbytes < 1:
        raise ValueError(f"largest size {max_nbytes}")


def make_target(ratio: float | None, max_nbytes: int | None, raw_nbytes: int) -> Target | None:
    """Return the target of options that ``check_target`` has passed, None where there is none."""
    if ratio is not None:
        return Target(max(raw_nbytes / ratio, 1.0), is_limit=False, text=f"ratio {ratio:g}")
    if max_nbytes is not None:
        return Target(float(max_nbytes), is_limit=True, text=f"at most {max_nbytes} bytes")
    return None


def search_level(
    target: Target,
    allocation: Allocation,
    measure: Callable[[int], Size],
    *,
    other_nbytes: float,
) -> int:
    """Return the level whose seed hits ``target``.

    Args:
        target: Size to hit.
        allocation: Estimates.
        measure: Builds the seed of a level.
        other_nbytes: First guess of what is not governed: other layers, attachments, header.

    Raises:
        ExtractError: EXT-18, no level does.
    """
    sizes: dict[int, Size] = {}
    level = allocation.find_level(target.aim - other_nbytes)
    for _ in range(_MAX_ROUNDS):
        sizes[level] = measure(level)
        if target.is_met_well(sizes[level].file_nbytes):
            break
        level = _improve(target, allocation, sizes, level)
        if level in sizes:
            break
    allowed = {at: size for at, size in sizes.items() if target.allows(size.file_nbytes)}
    if not allowed:
        raise _unreachable(target, allocation, sizes)
    return min(allowed, key=lambda at: abs(allowed[at].file_nbytes - target.aim))


def _improve(target: Target, allocation: Allocation, sizes: dict[int, Size], level: int) -> int:
    """Return a level between those known to be too fine and too coarse, or one of them."""
    too_fine = [at for at, known in sizes.items() if known.file_nbytes > target.aim]
    too_coarse = [at for at, known in sizes.items() if known.file_nbytes <= target.aim]
    lowest = max(too_fine) + 1 if too_fine else allocation.finest
    highest = min(too_coarse) - 1 if too_coarse else allocation.coarsest
    if lowest > highest:
        return level
    if too_fine and too_coarse:
        if len(sizes) > _PATIENCE and len(sizes) % 2:
            return (lowest + highest) // 2
        wanted = _interpolate(target, allocation, sizes, (lowest - 1, highest + 1))
    else:
        size = sizes[level]
        excess = (size.file_nbytes - target.aim) / _slope(allocation, level, size)
        wanted = allocation.find_level(allocation.estimate_nbytes(level) - excess)
    return min(max(wanted, lowest), highest)


def _interpolate(
    target: Target, allocation: Allocation, sizes: dict[int, Size], around: tuple[int, int]
) -> int:
    """Return the level between two that were built, as if files grew with estimates.

    Code tables grow with fineness, too: of small matrices they are most of the file, and no
    estimate of the values tells of them.
    """
    estimates = [allocation.estimate_nbytes(level) for level in around]
    excesses = [sizes[level].file_nbytes - target.aim for level in around]
    share = excesses[0] / (excesses[0] - excesses[1])  # of the way from the finer to the coarser
    return allocation.find_level(estimates[0] + share * (estimates[1] - estimates[0]))


def _slope(allocation: Allocation, level: int, size: Size) -> float:
    """Return bytes of the file per estimated byte."""
    estimate = allocation.estimate_nbytes(level)
    return size.overhead * (size.matrices_nbytes / estimate if estimate else 1)


def _unreachable(target: Target, allocation: Allocation, sizes: dict[int, Size]) -> ExtractError:
    def about(level: int) -> int:
        nearest = min(sizes, key=lambda at: abs(at - level))
        size = sizes[nearest]
        change = allocation.estimate_nbytes(level) - allocation.estimate_nbytes(nearest)
        return round(size.file_nbytes + change * _slope(allocation, nearest, size))

    smallest, largest = about(allocation.coarsest), about(allocation.finest)
    return ExtractError(
        f"{target.text} is a file of {target.nbytes:.0f} bytes, "
        f"reachable are about {smallest} to {largest}",
        rule="EXT-18",
        where="target",
        hint=f"ask for {smallest} to {largest} bytes; codec raw keeps every bit, in more",
    )
