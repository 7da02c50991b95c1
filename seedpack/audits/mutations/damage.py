"""Any bytes, anywhere: what disks, networks and careless hands do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from seedpack import limits
from seedpack.audits.mutations.base import Mutation, Patch, Target

if TYPE_CHECKING:
    import numpy as np

_MAX_FLIPS: Final = 8
_MAX_BURST_NBYTES: Final = 4096
_MAX_CUT_NBYTES: Final = 16 * limits.MIB  # what is cut off has to be written again
_WINDOW_NBYTES: Final = 4096


def flip_bits(target: Target, random: np.random.Generator) -> Mutation:
    """Flip one to eight bits anywhere."""
    return _flip(target, random, "bit flip", 0, target.nbytes)


def flip_front_bits(target: Target, random: np.random.Generator) -> Mutation:
    """Flip bits of one part before the payload, however small the part is."""
    parts = [part for part in target.regions if part[1] <= _payload_offset(target)]
    start, end = parts[int(random.integers(len(parts)))]
    return _flip(target, random, "bit flip before the payload", start, end)


def _flip(target: Target, random: np.random.Generator, kind: str, start: int, end: int) -> Mutation:
    count = 1 if random.random() < 0.5 else int(random.integers(2, _MAX_FLIPS + 1))  # noqa: PLR2004 -- half of them are the smallest change there is
    offsets = sorted({int(i) for i in random.integers(start, end, size=count)})
    patches = tuple(
        Patch(i, bytes([target.read(i, 1)[0] ^ 1 << int(random.integers(8))])) for i in offsets
    )
    return Mutation(kind, f"bits of bytes {', '.join(map(str, offsets))}", patches)


def burst(target: Target, random: np.random.Generator) -> Mutation:
    """Write random bytes over a run."""
    start, nbytes = _run(target, random)
    patch = Patch(start, random.bytes(nbytes))
    return Mutation("byte burst", f"{nbytes} random bytes at {start}", (patch,))


def blank(target: Target, random: np.random.Generator) -> Mutation:
    """Write zeros over a run, as a file system does after a crash."""
    start, nbytes = _run(target, random)
    return Mutation("zeroed run", f"{nbytes} zeros at {start}", (Patch(start, bytes(nbytes)),))


def slide(target: Target, random: np.random.Generator) -> Mutation:
    """Move the bytes of a run by some places; what falls out comes back at its start."""
    start = int(random.integers(target.nbytes))
    window = target.read(start, _WINDOW_NBYTES)
    by = int(random.integers(1, max(len(window), 2)))
    patch = Patch(start, window[by:] + window[:by])
    return Mutation("moved bytes", f"{len(window)} bytes at {start} moved by {by}", (patch,))


def cut(target: Target, random: np.random.Generator) -> Mutation:
    """Cut off the end."""
    nbytes = int(random.integers(1, min(target.nbytes, _MAX_CUT_NBYTES) + 1))
    left = target.nbytes - nbytes
    return Mutation("truncation", f"the last {nbytes} bytes are gone", (), left)


def extend(target: Target, random: np.random.Generator) -> Mutation:
    """Append bytes: random ones, or the file's own beginning."""
    nbytes = int(random.integers(1, _MAX_BURST_NBYTES + 1))
    tail = random.bytes(nbytes) if random.random() < 0.5 else target.read(0, nbytes)  # noqa: PLR2004 -- half of each
    patch = Patch(target.nbytes, tail)
    return Mutation("extension", f"{len(tail)} bytes appended", (patch,), target.nbytes + len(tail))


def _run(target: Target, random: np.random.Generator) -> tuple[int, int]:
    """Return start and length of a run inside the file; short ones are as frequent as long."""
    longest = min(_MAX_BURST_NBYTES, target.nbytes)
    nbytes = int(longest ** random.random())
    return int(random.integers(target.nbytes - nbytes + 1)), nbytes


def _payload_offset(target: Target) -> int:
    return target.contents.header.preamble.payload_offset
