"""Mutations change something, are refused when replayed, and leave no trace."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import pytest

from seedpack.audits.mutations import (
    KINDS,
    Mutation,
    Patch,
    Replay,
    Target,
    draw_mutations,
    verify_fully,
)
from seedpack.crypto.keys import Algorithm
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.trust.model import Principal, TrustedKey
from seedpack.trust.store import TrustStore
from tests.builders import LAYERS, make_architecture, make_key, make_seed, trusting

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNT = 10 * len(KINDS)


@pytest.fixture(params=["plain", "parity", "two signers", "hybrid", "stranger beside"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A seed of each layout with a donor, and a store that accepts it."""
    key, second = make_key(1), make_key(2)
    keys, store = [key], trusting(key)
    if request.param == "two signers":
        keys, store = [key, second], trusting(key, second, threshold=2)
    elif request.param == "hybrid":
        keys = [key, make_key(1, Algorithm.ML_DSA_65)]
        required = tuple(k.public.algorithm for k in keys)
        known = tuple(TrustedKey(k.public) for k in keys)
        store = TrustStore((Principal("p", known, require=required),))
    elif request.param == "stranger beside":
        keys = [second, key]
    path, donor = tmp_path / "a.seed", tmp_path / "donor.seed"
    parity = 50 if request.param == "parity" else None
    make_seed(path, keys=keys, parity=parity, architecture=make_architecture())
    other = LAYERS[0]._replace(raw=bytes(range(50, 250)))
    make_seed(donor, keys=[make_key(9)], layers=[other, *LAYERS[1:]], version=2)
    with open_seed(path, store=store) as contents, open_unverified(donor) as donated:
        yield Target(contents, store, donated)


@pytest.mark.spec("AUD-INT-1")
def test_every_kind_is_made_and_refused(target: Target, tmp_path: Path) -> None:
    replay = Replay(target, tmp_path / "copy.seed", verify_fully)
    assert not replay.judge_unchanged().rule
    mutations = list(islice(draw_mutations(target, seed=0), COUNT))
    accepted = [m for m in mutations if not replay.judge(m).rule]
    assert accepted == []
    assert len({m.kind for m in mutations}) == len(KINDS)


@pytest.mark.spec("AUD-INT-2")
def test_each_changes_something_and_none_comes_twice(target: Target) -> None:
    mutations = list(islice(draw_mutations(target, seed=1), COUNT))
    assert all(target.is_changed_by(m) for m in mutations)
    assert len({m.key for m in mutations}) == len(mutations)


@pytest.mark.spec("AUD-INT-2")
def test_bytes_written_as_they_were_are_no_change(target: Target) -> None:
    same = Patch(100, target.read(100, 8))
    assert not target.is_changed_by(Mutation("none", "nothing", (same,), target.nbytes))
    assert target.is_changed_by(Mutation("cut", "one byte", (same,), target.nbytes - 1))
    assert target.is_changed_by(Mutation("rollback", "memory", store=target.store))


@pytest.mark.spec("AUD-INT-4")
def test_the_random_seed_decides_all_of_them(target: Target) -> None:
    def keys(seed: int) -> list[bytes]:
        # Signatures by ML-DSA are hedged: no two are the same.
        drawn = islice(draw_mutations(target, seed=seed), COUNT)
        return [m.key for m in drawn if m.kind != "forged signature"]

    first, again, other = (keys(seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.spec("AUD-INT-4")
def test_the_copy_is_restored_after_each_and_the_seed_is_never_written(
    target: Target, tmp_path: Path
) -> None:
    path, copy = target.contents.file.path, tmp_path / "copy.seed"
    before = path.read_bytes()
    replay = Replay(target, copy, verify_fully)
    for mutation in islice(draw_mutations(target, seed=2), 3 * len(KINDS)):
        replay.judge(mutation)
        assert copy.read_bytes() == before
    assert path.read_bytes() == before


def test_a_verifier_that_breaks_leaves_a_whole_copy(target: Target, tmp_path: Path) -> None:
    def broken(path: Path, store: TrustStore) -> None:
        raise MemoryError

    replay = Replay(target, tmp_path / "copy.seed", broken)
    with pytest.raises(MemoryError):
        replay.judge(Mutation("burst", "zeros", (Patch(0, bytes(300)),), 200))
    assert (tmp_path / "copy.seed").read_bytes() == target.contents.file.path.read_bytes()


def test_without_a_donor_nothing_is_spliced(target: Target) -> None:
    alone = Target(target.contents, target.store)
    kinds = {m.kind for m in islice(draw_mutations(alone, seed=0), COUNT)}
    assert len(kinds) == len(KINDS) - 3
    assert not any("another seed" in kind or "two seeds" in kind for kind in kinds)


def test_a_seed_of_a_single_chunk_is_tampered_with_all_the_same(tmp_path: Path) -> None:
    path, store = tmp_path / "a.seed", trusting(make_key())
    make_seed(path, keys=[make_key()], layers=[LAYERS[2]], attachments=[])
    with open_seed(path, store=store) as contents:
        mutations = list(islice(draw_mutations(Target(contents, store), seed=0), 200))
        replay = Replay(Target(contents, store), tmp_path / "copy.seed", verify_fully)
        assert all(replay.judge(m).rule for m in mutations)
    assert len(mutations) == 200
