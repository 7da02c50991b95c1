"""Parts of a seed, and seeds from parts (spec: PRT)."""

from __future__ import annotations

import itertools
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import FormatError, IntegrityError, StoreError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.partial import merge_seeds, split_evenly, split_seed
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    TensorData,
    build_seed,
    container_bytes,
    damage,
    make_key,
    make_seed,
    trusting,
)
from tests.refusals import refused, refused_by

KEY = make_key()


def present(contents) -> list[int]:
    return [chunk.index for chunk in contents.chunks if chunk.offset is not None]


# ---------------------------------------------------------------- split by layers


@pytest.mark.spec("PRT-2")
def test_a_part_has_the_chosen_layers_and_all_attachments(opened, reopened, path, tmp_path):
    built, seed = opened(parity=50)
    out = tmp_path / "part.seed"
    assert split_seed(seed, out, layers="dense") == 4
    assert out.read_bytes() == container_bytes(
        built, keys=[KEY], absent=set(range(len(built.stored))) - {4, 5, 6, 8}
    )
    part = reopened(out)
    assert present(part) == [4, 5, 6, 8]
    assert part.id == seed.id
    assert verify_seed(part, layers="dense", decode=True).layers == 1


def test_a_part_of_everything_is_complete_without_parity_only(opened, reopened, tmp_path):
    _, seed = opened()
    split_seed(seed, tmp_path / "a", layers="*")
    assert reopened(tmp_path / "a").is_complete
    assert (tmp_path / "a").read_bytes() == seed.file.path.read_bytes()
    _, seed = opened(parity=50)
    split_seed(seed, tmp_path / "b", layers="*")
    assert not reopened(tmp_path / "b").is_complete


@pytest.mark.spec("PRT-3")
def test_what_is_absent_or_damaged_cannot_be_split_off(opened, path, tmp_path):
    _, seed = opened(absent=[5])
    with refused_by(IntegrityError, "PRT-3"):
        split_seed(seed, tmp_path / "out", layers="dense")
    _, seed = opened()
    damage(path, seed, 8)
    with refused_by(IntegrityError, "CHK-2"):
        split_seed(seed, tmp_path / "out", layers="dense")
    assert [p.name for p in tmp_path.iterdir()] == ["a.seed"]


def test_a_pattern_without_a_layer_writes_nothing(opened, tmp_path):
    _, seed = opened()
    with pytest.raises(ValueError):
        split_seed(seed, tmp_path / "out", layers="x")
    assert not (tmp_path / "out").exists()


@pytest.mark.spec("OUT-2")
def test_a_part_replaces_a_file_only_where_asked(opened, path, tmp_path):
    _, seed = opened()
    out = tmp_path / "out"
    out.write_bytes(b"old")
    with refused_by(StoreError, "OUT-2"):
        split_seed(seed, out, layers="*")
    with refused_by(StoreError, "OUT-2"):
        split_evenly(seed, [out])
    with refused_by(StoreError, "OUT-2"):
        merge_seeds([seed], out)
    assert out.read_bytes() == b"old"
    split_seed(seed, out, layers="*", overwrite=True)
    assert out.read_bytes() == path.read_bytes()
    split_evenly(seed, [out], overwrite=True)
    assert merge_seeds([seed], out, overwrite=True) == []
    assert out.read_bytes() == path.read_bytes()


# ---------------------------------------------------------------- split evenly


@pytest.mark.parametrize("nparts", range(1, 10))
def test_even_parts_are_consecutive_and_merge_to_the_same_file(
    opened, reopened, path, tmp_path, nparts
):
    _, seed = opened()
    outputs = [tmp_path / f"{i}.seed" for i in range(nparts)]
    counts = split_evenly(seed, outputs)
    parts = [reopened(out) for out in outputs]
    assert [len(present(part)) for part in parts] == counts
    assert min(counts) >= 1
    assert list(itertools.chain(*map(present, parts))) == list(range(9))
    assert merge_seeds(parts[::-1], tmp_path / "merged") == []
    assert (tmp_path / "merged").read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    "sizes, nparts, counts",
    [
        ([10, 10, 10, 10], 2, [2, 2]),
        ([10, 10, 10, 10], 4, [1, 1, 1, 1]),
        ([10, 10, 10, 10, 10], 2, [2, 3]),
        ([40, 10, 10, 10, 10], 2, [1, 4]),
        ([10, 10, 10, 10, 40], 2, [4, 1]),
        ([1, 1, 98], 3, [1, 1, 1]),
        ([98, 1, 1], 3, [1, 1, 1]),
        ([10, 20, 30], 1, [3]),
        ([10, 21, 10, 10], 2, [2, 2]),
        ([10, 19, 10, 10], 2, [2, 2]),
        ([10, 10, 10], 2, [1, 2]),
        ([10, 9, 10, 2], 2, [2, 2]),
        ([10, 12, 10], 2, [1, 2]),
    ],
)
def test_parts_are_about_equal_in_bytes(opened, tmp_path, sizes, nparts, counts):
    layers = [TensorData(f"l{i}", bytes(n), chunk_nbytes=100) for i, n in enumerate(sizes)]
    _, seed = opened(layers=layers, attachments=[])
    assert split_evenly(seed, [tmp_path / str(i) for i in range(nparts)]) == counts


@given(st.lists(st.integers(1, 64), min_size=1, max_size=12), st.data())
def test_no_part_is_empty_or_far_from_its_share(tmp_path_factory, sizes, data):
    folder = tmp_path_factory.mktemp("parts")
    layers = [TensorData(f"l{i}", bytes(n)) for i, n in enumerate(sizes)]
    make_seed(folder / "a.seed", layers=layers, attachments=[])
    nparts = data.draw(st.integers(1, len(sizes)))
    with open_unverified(folder / "a.seed") as seed:
        counts = split_evenly(seed, [folder / str(i) for i in range(nparts)])
    assert sum(counts) == len(sizes)
    assert min(counts) >= 1
    assert len(counts) == nparts


@pytest.mark.parametrize("nparts", [0, 10])
def test_there_are_not_more_parts_than_chunks(opened, tmp_path, nparts):
    _, seed = opened()
    with pytest.raises(ValueError) as caught:
        split_evenly(seed, [tmp_path / str(i) for i in range(nparts)])
    assert str(caught.value) == f"{nparts} parts of a seed with 9 chunks"


# ---------------------------------------------------------------- merge


@pytest.mark.spec("PRT-4")
def test_parts_of_two_seeds_are_not_merged(opened, tmp_path):
    _, first = opened()
    _, second = opened(tmp_path / "b.seed", version=2)
    where = f"{tmp_path / 'b.seed'}: seed id {second.id[:16]}"
    hint = f"{first.file.path} has seed id {first.id[:16]}"
    message = "these are parts of different seeds"
    for parts in ([first, second], [first, first, second], [first, second, first]):
        with refused(FormatError, "PRT-4", where, message, hint):
            merge_seeds(parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_no_part_has_is_returned(opened, reopened, tmp_path):
    built, first = opened(absent=[1, 2, 3, 8])
    _, second = opened(tmp_path / "b.seed", absent=[2, 5, 8])
    missing = merge_seeds([first, second], tmp_path / "out")
    assert [chunk.index for chunk in missing] == [2, 8]
    assert all(chunk.offset is None for chunk in missing)
    expected = container_bytes(built, keys=[KEY], absent=[2, 8])
    assert (tmp_path / "out").read_bytes() == expected


@pytest.mark.spec("CHK-2")
def test_an_intact_copy_stands_in_for_a_damaged_one(opened, reopened, path, tmp_path):
    built, first = opened(absent=[0])
    other = tmp_path / "b.seed"
    _, second = opened(other, absent=[8])
    damage(path, first, 1, 7)
    damage(other, second, 2, 6)
    for number, parts in enumerate(([first, second], [second, first])):
        out = tmp_path / f"out{number}"
        assert merge_seeds(parts, out) == []
        assert out.read_bytes() == container_bytes(built, keys=[KEY])


@pytest.mark.spec("CHK-2")
def test_without_an_intact_copy_nothing_is_written(opened, path, tmp_path):
    _, first = opened()
    other = tmp_path / "b.seed"
    _, second = opened(other, absent=[0, 1])
    damage(path, first, 1)
    damage(path, first, 4)
    damage(other, second, 4)
    # chunk 1: only one part claims it; its refusal names the first part's copy
    with refused_by(IntegrityError, "CHK-2") as caught:
        merge_seeds([second, first], tmp_path / "out")
    assert caught.value.where == f"chunk 1, byte {first.chunks[1].offset}"
    damage(path, first, 1)  # intact again
    with refused_by(IntegrityError, "CHK-2") as caught:
        merge_seeds([second, first], tmp_path / "out")
    assert caught.value.where == f"chunk 4, byte {second.chunks[4].offset}"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_another_copy_stands_in_where_the_disk_fails(opened, tmp_path, monkeypatch, order):
    built, first = opened()
    _, second = opened(tmp_path / "b.seed")
    real, bad = os.preadv, first.file._fd

    def preadv(fd, buffers, offset):
        if fd == bad and offset == first.chunks[3].offset:
            raise OSError(5, "Input/output error")
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    assert merge_seeds([first, second][order], tmp_path / "out") == []
    assert (tmp_path / "out").read_bytes() == container_bytes(built, keys=[KEY])
    with refused_by(StoreError, "FIL-2"):
        merge_seeds([first], tmp_path / "alone")
    assert not (tmp_path / "alone").exists()


def test_signatures_are_united_and_the_first_of_a_key_stays(reopened, tmp_path):
    built = build_seed()
    keys = [make_key(number) for number in (1, 2, 3)]
    for name, signers, expires in (("a", keys[:2], 0), ("b", keys[1:], NOW + 9)):
        content = container_bytes(built, keys=signers, expires=expires)
        (tmp_path / name).write_bytes(content)
    merge_seeds([reopened(tmp_path / "a"), reopened(tmp_path / "b")], tmp_path / "out")
    records = reopened(tmp_path / "out").header.records
    assert [record.key_id for record in records] == [key.public.key_id for key in keys]
    assert [record.expires for record in records] == [0, 0, NOW + 9]
    store = trusting(*keys, threshold=3)
    open_seed(tmp_path / "out", store=store, now=NOW).close()


@pytest.mark.spec("SIG-2")
def test_more_than_sixteen_signatures_are_not_merged(reopened, tmp_path):
    built = build_seed()
    for name, numbers in (("a", range(1, 17)), ("b", [17])):
        keys = [make_key(number) for number in numbers]
        (tmp_path / name).write_bytes(container_bytes(built, keys=keys))
    parts = [reopened(tmp_path / "a"), reopened(tmp_path / "b")]
    with refused_by(FormatError, "SIG-2"):
        merge_seeds(parts, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_one_part_merges_to_itself(opened, path, tmp_path):
    _, seed = opened(absent=[3], parity=50)
    assert [chunk.index for chunk in merge_seeds([seed], tmp_path / "out")] == [3]
    assert (tmp_path / "out").read_bytes() == path.read_bytes()
