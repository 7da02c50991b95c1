"""Chunks are released only when their digest holds (spec: CHK-2, PRT-3, ATT-6)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seedpack.crypto.digests import digest
from seedpack.errors import CodecError, IntegrityError
from tests.builders import FileData, damage, replace
from tests.refusals import refused, refused_by

DAMAGED_HINT = "fetch the file again, or try `seedpack repair` if it carries parity"
ABSENT_HINT = "merge it with the other parts, repair it, or ask for other layers"


def test_a_seed_is_named_by_the_digest_of_its_manifest(opened):
    built, seed = opened()
    assert seed.id == built.seed_id.hex()
    assert len(seed.id) == 64
    assert seed.is_complete


def test_a_file_that_lacks_chunks_is_not_complete(opened):
    _, seed = opened(absent=[2])
    assert not seed.is_complete


def test_every_chunk_has_an_owner(opened):
    _, seed = opened(parity=100)
    owners = [seed.owner(chunk.index) for chunk in seed.chunks]
    data = ["layer embed"] * 4 + ["layer dense"] * 3 + ["layer bias", "attachment README.md"]
    assert owners[:9] == data
    assert owners[9:] == ["parity"] * (len(owners) - 9)
    assert len(owners) == 18


def test_layers_come_with_their_chunks(opened):
    _, seed = opened()
    found = [(layer.name, [chunk.index for chunk in owned]) for layer, owned in seed.layers()]
    assert found == [("embed", [0, 1, 2, 3]), ("dense", [4, 5, 6]), ("bias", [7])]
    assert [layer.name for layer, _ in seed.layers("*e*")] == ["embed", "dense"]
    assert [layer.name for layer, _ in seed.layers("bia[s]")] == ["bias"]
    (dense,) = seed.layers("dense")
    assert [chunk.index for chunk in dense[1]] == [4, 5, 6]


def test_a_pattern_without_a_layer_is_a_wrong_call(opened):
    _, seed = opened()
    for pattern in ("x*", "", "EMBED"):
        with pytest.raises(ValueError) as caught:
            seed.layers(pattern)
        assert str(caught.value) == f"no layer matches {pattern!r}"
    _, empty = opened(layers=())
    assert empty.layers() == []


def test_attachments_come_with_their_chunks(opened):
    files = [
        FileData("a.txt", b"12345", chunk_nbytes=2),
        FileData("b.txt", b""),
        FileData("c", b"x"),
    ]
    _, seed = opened(attachments=files)
    found = [(file.name, [chunk.index for chunk in owned]) for file, owned in seed.attachments()]
    assert found == [("a.txt", [8, 9, 10]), ("b.txt", []), ("c", [11])]
    assert [seed.read_attachment(*file) for file in seed.attachments()] == [b"12345", b"", b"x"]


@pytest.mark.spec("CHK-2")
def test_a_chunk_is_a_read_only_view_of_the_buffer_that_was_digested(opened):
    built, seed = opened()
    for chunk, stored in zip(seed.chunks, built.stored, strict=True):
        buffer = bytearray(100_000)
        view = seed.read_chunk(chunk, buffer)
        assert bytes(view) == stored
        assert view.readonly
        assert view.obj is buffer


@pytest.mark.spec("CHK-2")
def test_the_bytes_are_read_once_and_digested_where_they_lie(opened, monkeypatch):
    built, seed = opened()
    calls = []
    real = os.preadv

    def preadv(fd, buffers, offset):
        calls.append((offset, len(buffers[0])))
        return real(fd, buffers, offset)

    monkeypatch.setattr(os, "preadv", preadv)
    chunk = seed.chunks[1]
    seed.read_chunk(chunk, bytearray(64))
    assert calls == [(chunk.offset, len(built.stored[1]))]


@pytest.mark.spec("CHK-2")
@pytest.mark.parametrize("algorithm", ["blake3-256", "sha2-256"])
def test_a_damaged_chunk_is_refused_by_name(opened, path, algorithm):
    built, seed = opened(digest_algorithm=algorithm)
    damage(path, seed, 5)
    wrong = bytearray(built.stored[5])
    wrong[len(wrong) // 2] ^= 0x10
    message = (
        f"layer dense is damaged or was changed: digest {digest(algorithm, wrong).hex()[:16]}, "
        f"signed is {seed.chunks[5].digest.hex()[:16]}"
    )
    where = f"chunk 5, byte {seed.chunks[5].offset}"
    with refused(IntegrityError, "CHK-2", where, message, DAMAGED_HINT):
        seed.read_chunk(seed.chunks[5], bytearray(64))
    seed.read_chunk(seed.chunks[4], bytearray(64))


@pytest.mark.spec("PRT-3")
def test_an_absent_chunk_is_refused_by_name(opened):
    _, seed = opened(absent=[8])
    message = "this file lacks a chunk of attachment README.md"
    with refused(IntegrityError, "PRT-3", "chunk 8", message, ABSENT_HINT):
        seed.read_chunk(seed.chunks[8], bytearray(1_000))


@pytest.mark.spec("FIL-2")
def test_a_chunk_behind_the_end_of_the_file_is_refused(opened, path):
    _, seed = opened()
    os.truncate(path, seed.chunks[3].offset)
    seed.read_chunk(seed.chunks[2], bytearray(64))
    with refused_by(IntegrityError, "FIL-2"):
        seed.read_chunk(seed.chunks[3], bytearray(64))


def patch_attachment(**changes: object):
    """Lie about the first attachment."""
    return lambda manifest: {
        "attachments": [replace(manifest.attachments[0], **changes), *manifest.attachments[1:]]
    }


@pytest.mark.spec("ATT-6")
def test_an_attachment_that_is_not_what_was_signed_is_refused(opened):
    _, seed = opened(patch=patch_attachment(digest=bytes(32)))
    hint = "the publisher's writer is at fault; ask for a new seed"
    message = "decoded attachment is not what was signed"
    with refused(IntegrityError, "ATT-6", "attachment README.md", message, hint):
        seed.read_attachment(*seed.attachments()[0])


@pytest.mark.spec("ATT-6", "ZST-2")
def test_an_attachment_that_does_not_decode_is_refused_at_its_chunk(opened):
    _, seed = opened(patch=patch_attachment(nbytes=361))
    with refused_by(CodecError, "ZST-2") as caught:
        seed.read_attachment(*seed.attachments()[0])
    assert caught.value.where == "chunk 8"


def test_contents_close_their_file(opened):
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    _, seed = opened()
    before = descriptors()
    with seed as same:
        assert same is seed
    assert descriptors() == before - 1
    seed.close()
    assert descriptors() == before - 1
