"""Damaged and absent chunks are restored bit-exactly, or nothing is written (spec: PAR-4)."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.manifest import Chunk
from seedpack.container.stripes import stripe_layout
from seedpack.crypto.digests import digest
from seedpack.errors import IntegrityError, StoreError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.repair import RepairReport, find_lost_chunks, repair_seed
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    TensorData,
    build_seed,
    container_bytes,
    damage,
    make_key,
    make_seed,
    replace,
    trusting,
)
from tests.refusals import refused, refused_by

if TYPE_CHECKING:
    from pathlib import Path

KEY = make_key()
HINT = "nothing was written; merge with another copy of this seed, or fetch it again"
# 8 chunks of 64 to 127 bytes: with at most 4 in a stripe and 50 %, two stripes of 4 + 2
EVEN = [TensorData("even", bytes(range(256)) + bytes(range(256))[::-1])]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def stripes_of(built) -> list[list[int]]:
    """Return the chunk indices of each stripe: data, then parity."""
    data = [chunk.stored_nbytes for chunk in built.manifest.data_chunks]
    parity = built.manifest.parity
    return [
        [*s.members, *range(len(data) + s.first_parity, len(data) + s.first_parity + s.nparity)]
        for s in stripe_layout(data, parity.stripe_nchunks, parity.percent)
    ]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "fixed.seed"


# ---------------------------------------------------------------- up to the parity


@pytest.mark.spec("PAR-4")
def test_a_stripe_loses_any_chunks_up_to_its_parity(opened, path, out):
    built, seed = opened(layers=EVEN, attachments=[], parity=50)
    good = path.read_bytes()
    first, second = stripes_of(built)
    assert (len(first), len(second)) == (6, 6)
    for lost in itertools.combinations(first, 2):
        damage(path, seed, *lost)
        report = repair_seed(seed, out, overwrite=True)
        assert report == RepairReport(12, sorted(lost))
        assert out.read_bytes() == good
        path.write_bytes(good)


@pytest.mark.spec("PAR-4")
def test_every_stripe_loses_as_much_as_its_parity_at_once(opened, path, out):
    built, seed = opened(layers=EVEN, attachments=[], parity=50)
    good = path.read_bytes()
    lost = [index for stripe in stripes_of(built) for index in (stripe[0], stripe[-1])]
    damage(path, seed, *lost)
    assert repair_seed(seed, out) == RepairReport(12, sorted(lost))
    assert out.read_bytes() == good
    with open_seed(out, store=trusting(KEY), now=NOW) as fixed:
        assert verify_seed(fixed, decode=True).is_whole


@pytest.mark.spec("PAR-4")
def test_one_more_than_the_parity_is_refused_and_nothing_is_written(opened, path, out, tmp_path):
    built, seed = opened(layers=EVEN, attachments=[], parity=50)
    _, second = stripes_of(built)
    damage(path, seed, *second[1:4])
    message = "3 chunks of a stripe are lost, its parity restores 2"
    where = f"chunk {second[1]}, layer even"
    with refused(IntegrityError, "PAR-4", where, message, HINT):
        repair_seed(seed, out)
    assert names(tmp_path) == ["a.seed"]


@pytest.mark.spec("PAR-4")
def test_a_stripe_that_lost_nothing_does_not_help_another(opened, path, out):
    built, seed = opened(layers=EVEN, attachments=[], parity=50)
    first, _ = stripes_of(built)
    damage(path, seed, first[3], first[4], first[5])
    with refused_by(IntegrityError, "PAR-4") as caught:
        repair_seed(seed, out)
    assert caught.value.where == f"chunk {first[3]}, layer even"


@pytest.mark.spec("PAR-4")
def test_chunks_of_many_sizes_are_restored(opened, path, out):
    built, seed = opened(parity=100)
    good = path.read_bytes()
    lost = [stripe[0] for stripe in stripes_of(built)]
    assert len({len(built.stored[index]) for index in lost}) > 2
    damage(path, seed, *lost)
    assert repair_seed(seed, out).lost == sorted(lost)
    assert out.read_bytes() == good


@given(st.sets(st.integers(0, 11)))
def test_repair_restores_all_or_writes_nothing(tmp_path_factory, lost):
    folder = tmp_path_factory.mktemp("repair")
    built = make_seed(folder / "a.seed", layers=EVEN, attachments=[], parity=50)
    good = (folder / "a.seed").read_bytes()
    recoverable = all(len(lost.intersection(stripe)) <= 2 for stripe in stripes_of(built))
    with open_unverified(folder / "a.seed") as seed:
        damage(folder / "a.seed", seed, *lost)
        try:
            report = repair_seed(seed, folder / "out")
        except IntegrityError:
            assert not recoverable
            assert names(folder) == ["a.seed"]
        else:
            assert recoverable
            assert report == RepairReport(12, sorted(lost))
            assert (folder / "out").read_bytes() == good


# ---------------------------------------------------------------- kinds of loss


@pytest.mark.spec("PRE-9", "PAR-4")
@pytest.mark.parametrize("cut, lost", [(1, [11]), (64, [11]), (65, [10, 11]), (128, [10, 11])])
def test_a_truncated_file_is_repaired(opened, reopened, path, out, cut, lost):
    opened(layers=EVEN, attachments=[], parity=50)
    good = path.read_bytes()
    os.truncate(path, len(good) - cut)
    seed = reopened(path, damaged=True)
    assert repair_seed(seed, out).lost == lost
    assert out.read_bytes() == good


def test_appended_bytes_are_dropped(opened, reopened, path, out):
    opened(parity=50)
    good = path.read_bytes()
    path.write_bytes(good + b"tail")
    assert repair_seed(reopened(path, damaged=True), out).lost == []
    assert out.read_bytes() == good


@pytest.mark.spec("PRT-3", "PAR-4")
def test_a_partial_seed_is_completed(opened, out):
    built, seed = opened(layers=EVEN, attachments=[], parity=50, absent=[0, 1, 2, 3])
    assert repair_seed(seed, out) == RepairReport(12, [0, 1, 2, 3])
    assert out.read_bytes() == container_bytes(built, keys=[KEY])


def test_an_intact_seed_is_copied(opened, path, out):
    _, seed = opened(parity=50)
    assert repair_seed(seed, out) == RepairReport(len(seed.chunks), [])
    assert out.read_bytes() == path.read_bytes()
    _, plain = opened()
    assert repair_seed(plain, out, overwrite=True) == RepairReport(9, [])
    assert out.read_bytes() == path.read_bytes()


@pytest.mark.spec("PAR-4")
def test_without_parity_nothing_can_be_restored(opened, path, out, tmp_path):
    _, seed = opened()
    damage(path, seed, 5, 7, 6)
    message = "3 chunks are lost and there is no parity"
    with refused(IntegrityError, "PAR-4", "chunk 5, layer dense", message, HINT):
        repair_seed(seed, out)
    assert names(tmp_path) == ["a.seed"]


@pytest.mark.spec("OUT-2")
def test_a_repaired_file_replaces_another_only_where_asked(opened, path, out):
    _, seed = opened(parity=50)
    out.write_bytes(b"old")
    with refused_by(StoreError, "OUT-2"):
        repair_seed(seed, out)
    assert out.read_bytes() == b"old"
    repair_seed(seed, out, overwrite=True)
    assert out.read_bytes() == path.read_bytes()


def test_a_file_is_repaired_in_its_own_place(opened, path):
    _, seed = opened(parity=50)
    good = path.read_bytes()
    damage(path, seed, 3)
    repair_seed(seed, path, overwrite=True)
    assert path.read_bytes() == good


def test_all_signatures_are_kept(opened, reopened, out):
    _, seed = opened(keys=[KEY, make_key(2)], parity=50)
    repair_seed(seed, out)
    assert reopened(out).header == seed.header


# ---------------------------------------------------------------- what was restored is checked


def forge_parity(manifest):
    """Sign parity that restores something else: the digests of zero bytes."""
    chunks = [
        Chunk(chunk.stored_nbytes, digest("blake3-256", bytes(chunk.stored_nbytes)))
        for chunk in manifest.parity.chunks
    ]
    return {"parity": replace(manifest.parity, chunks=chunks)}


@pytest.mark.spec("PAR-4")
def test_a_restored_chunk_that_is_not_what_was_signed_is_not_written(tmp_path, reopened, out):
    path = tmp_path / "a.seed"
    built = build_seed(layers=EVEN, attachments=[], parity=50, patch=forge_parity)
    stored = [*built.stored[:8], *(bytes(len(piece)) for piece in built.stored[8:])]
    path.write_bytes(container_bytes(built._replace(stored=stored), keys=[KEY]))
    seed = reopened(path)
    assert verify_seed(seed).is_whole
    damage(path, seed, 3)
    message = "the restored chunk is not what was signed"
    with refused(IntegrityError, "PAR-4", "chunk 3, layer even", message, HINT):
        repair_seed(reopened(path), out)
    assert names(tmp_path) == ["a.seed"]


@pytest.mark.spec("CHK-2")
def test_what_is_damaged_while_it_is_repaired_is_not_written(opened, path, out, tmp_path):
    _, seed = opened(parity=50)

    def progress(done: int, total: int) -> None:
        if done == 2:
            damage(path, seed, 5)

    with refused_by(IntegrityError, "CHK-2"):
        repair_seed(seed, out, progress=progress)
    assert names(tmp_path) == ["a.seed"]


# ---------------------------------------------------------------- finding, progress


def test_lost_chunks_are_found(opened, path):
    _, seed = opened(parity=50, absent=[2])
    assert find_lost_chunks(seed) == {2}
    damage(path, seed, 0, 8, 10)
    assert find_lost_chunks(seed) == {0, 2, 8, 10}


def test_a_disk_that_fails_is_damage(opened, monkeypatch):
    _, seed = opened(parity=50)
    bad = {seed.chunks[1].offset, seed.chunks[6].offset}
    real = os.preadv

    def preadv(fd, buffers, offset):
        if offset in bad:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert find_lost_chunks(seed) == {1, 6}


def test_progress_counts_chunks(opened, path, out):
    _, seed = opened(parity=50)
    damage(path, seed, 0)
    seen = []
    repair_seed(seed, out, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, len(seed.chunks)) for done in range(1, len(seed.chunks) + 1)]
