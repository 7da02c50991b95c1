"""Damage, then repair or merge: the original's bytes, or a refusal and no file (spec: PAR-4, PRT).

Input: u8 which seed, and in bit 7 whether to merge instead of repair | u8 number of chunks left
out, u8 index of each | damage of 5 bytes each: u8 kind, u24 offset, u8 value.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final, NamedTuple

from fuzz.drafts import Draft, drop_chunks, write_container
from fuzz.harness import Target, scratch_folder
from fuzz.samples import ALICE, NOW, drafts, trust_store
from fuzz.trees import copy_tree
from seedpack.container.stripes import stripe_layout
from seedpack.crypto.digests import digest
from seedpack.errors import IntegrityError
from seedpack.seed.opening import open_seed
from seedpack.seed.partial import merge_seeds, split_evenly
from seedpack.seed.repair import find_lost_chunks, repair_seed
from seedpack.seed.verify import verify_seed

if TYPE_CHECKING:
    from pathlib import Path

    from seedpack.seed.opening import Seed

_BASES: Final = ("parity", "full", "small", "lying-parity")
_MERGE: Final = 0x80
_STEP_NBYTES: Final = 5
_MAX_STEPS: Final = 64


class _Case(NamedTuple):
    original: bytes
    damaged: bytes
    payload_offset: int  # of the damaged file, before it was damaged
    first_hit: int  # lowest offset that was damaged
    merges: bool  # with an intact copy, instead of repairing
    lies: bool  # the parity that was signed is no parity of these chunks


def _check(data: bytes) -> None:
    case = _read_case(data)
    folder = scratch_folder()
    damaged, output = folder / "damaged.seed", folder / "output.seed"
    output.unlink(missing_ok=True)
    damaged.write_bytes(case.damaged)
    try:
        seed = open_seed(damaged, store=trust_store(), now=NOW, damaged=True)
    except Exception:
        assert case.first_hit < case.payload_offset, "damage to the payload alone ends repair"
        raise
    with seed:
        if case.merges:
            _check_merge(case, seed, folder)
        else:
            _check_repair(case, seed, output)


def _check_repair(case: _Case, seed: Seed, output: Path) -> None:
    lost = find_lost_chunks(seed)
    assert lost == _expected_lost(case, seed)
    enough = _is_recoverable(seed, lost)
    try:
        report = repair_seed(seed, output)
    except IntegrityError:
        assert not output.exists(), "a refused repair leaves a file"
        assert case.lies or not enough, "parity is enough, and repair refuses"
        raise
    assert enough
    assert set(report.lost) == lost
    assert output.read_bytes() == case.original


def _check_merge(case: _Case, seed: Seed, folder: Path) -> None:
    """Demand that merging with an intact copy makes good for any damage."""
    intact, merged = folder / "intact.seed", folder / "merged.seed"
    intact.write_bytes(case.original)
    with open_seed(intact, store=trust_store(), now=NOW) as other:
        missing = merge_seeds([seed, other], merged, overwrite=True)
    assert not missing
    assert merged.read_bytes() == case.original
    halves = [folder / "half-0.seed", folder / "half-1.seed"]
    with open_seed(merged, store=trust_store(), now=NOW) as whole:
        assert verify_seed(whole).is_whole
        if len(whole.chunks) > 1:
            split_evenly(whole, halves, overwrite=True)
            _check_halves(case, halves, merged)


def _check_halves(case: _Case, halves: list[Path], merged: Path) -> None:
    """Demand that two halves make the whole again."""
    opened = [open_seed(half, store=trust_store(), now=NOW) for half in halves]
    with opened[0] as first, opened[1] as second:
        assert not merge_seeds([second, first], merged, overwrite=True)
    assert merged.read_bytes() == case.original


def _expected_lost(case: _Case, seed: Seed) -> set[int]:
    """Compare each chunk with the original's, which needs no digest."""
    lost, at = set(), len(case.original) - sum(chunk.stored_nbytes for chunk in seed.chunks)
    for chunk in seed.chunks:
        true = case.original[at : at + chunk.stored_nbytes]
        at += chunk.stored_nbytes
        start = chunk.offset
        if start is None or case.damaged[start : start + chunk.stored_nbytes] != true:
            lost.add(chunk.index)
    return lost


def _is_recoverable(seed: Seed, lost: set[int]) -> bool:
    parity = seed.manifest.parity
    if parity is None:
        return not lost
    data = seed.manifest.data_chunks
    stored = [chunk.stored_nbytes for chunk in data]
    for stripe in stripe_layout(stored, parity.stripe_nchunks, parity.percent):
        start = len(data) + stripe.first_parity
        members = {*stripe.members, *range(start, start + stripe.nparity)}
        if len(members & lost) > stripe.nparity:
            return False
    return True


def _read_case(data: bytes) -> _Case:
    """Damage a seed as the input says; every input says something."""
    which, nabsent, *rest = [*data, 0, 0][: max(len(data), 2)]
    name = _BASES[which % _MERGE % len(_BASES)]
    nabsent %= 8
    draft = _draft(name)
    partial = Draft(draft.tree, draft.contents)
    manifest = draft.manifest()
    assert manifest is not None
    drop_chunks(partial, {index % len(manifest.chunks) for index in rest[:nabsent]})
    whole = write_container(partial, [ALICE])
    header_nbytes = len(write_container(Draft(draft.tree, {}, partial.presence), [ALICE]))
    damaged, first_hit = _damage(whole, bytes(rest[nabsent:]))
    original = write_container(draft, [ALICE])
    merges, lies = which >= _MERGE, name == "lying-parity"
    return _Case(original, damaged, header_nbytes, first_hit, merges, lies)


@cache
def _draft(name: str) -> Draft:
    """Return a valid seed; of one, the first parity chunk is signed as it should not be."""
    if name != "lying-parity":
        return drafts()[name]
    good = drafts()["parity"]
    tree, contents = copy_tree(good.tree), dict(good.contents)
    chunk = tree["parity"]["chunks"][0]
    false = bytes(chunk[0])
    chunk[1] = digest(tree["digest_algorithm"], false)
    return Draft(tree, contents | {chunk[1]: false})


def _damage(whole: bytes, steps: bytes) -> tuple[bytes, int]:
    damaged, first_hit = bytearray(whole), len(whole)
    for at in range(0, min(len(steps), _MAX_STEPS * _STEP_NBYTES), _STEP_NBYTES):
        kind, *offset, value = steps[at : at + _STEP_NBYTES].ljust(_STEP_NBYTES, b"\0")
        start = int.from_bytes(bytes(offset), "little") % len(whole)
        first_hit = min(first_hit, start)
        match kind % 4:
            case 0:
                damaged[start : start + 1] = bytes([value])
            case 1:
                del damaged[start:]
            case 2:
                damaged[start : start + value] = bytes(value)
            case _:
                damaged += bytes(value)
    return bytes(damaged), first_hit


def _starts() -> dict[str, bytes]:
    return {
        "intact": bytes([0, 0]),
        "flip": bytes([0, 0, 0, 0xFF, 0x0A, 0, 7]),
        "run": bytes([0, 0, 2, 0x00, 0x09, 0, 200]),
        "cut": bytes([1, 0, 1, 0x00, 0x0A, 0, 0]),
        "absent": bytes([0, 3, 1, 2, 3]),
        "absent-and-flip": bytes([1, 1, 4, 0, 0xF0, 0x09, 0, 1]),
        "grown": bytes([2, 0, 3, 0, 0, 0, 9]),
        "header": bytes([2, 0, 0, 70, 0, 0, 9]),
        "lying-parity": bytes([3, 1, 8]),
        "merge-flip": bytes([0x80, 0, 0, 0xFF, 0x0A, 0, 7]),
        "merge-absent": bytes([0x81, 3, 1, 2, 3, 1, 0x00, 0x0A, 0, 0]),
    }


TARGET: Final = Target(_check, _starts, memory_mib=128, max_input_nbytes=256)
