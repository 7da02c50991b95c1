"""Every byte that was signed is checked, and what is absent is said (spec: steps 6 to 8)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from seedpack.errors import CodecError, FormatError, IntegrityError, SeedError
from seedpack.seed import verify
from seedpack.seed.opening import open_seed
from seedpack.seed.verify import VerifyReport, check_chunks, verify_seed
from tests.builders import (
    NOW,
    FileData,
    TensorData,
    build_seed,
    container_bytes,
    damage,
    make_key,
    replace,
    trusting,
)
from tests.refusals import refused, refused_by

MIB = 1 << 20
PARTIAL_HINT = "merge the parts, choose --layers that are here, or pass --partial"
BIG = TensorData("big", bytes(range(256)) * (24 * 1_024), chunk_nbytes=MIB)  # 6 MiB


def lie(**changes: object):
    """Change the record of the first layer."""
    return lambda manifest: {
        "layers": [replace(manifest.layers[0], **changes), *manifest.layers[1:]]
    }


# ---------------------------------------------------------------- whole seeds


def test_a_good_seed_is_reported_whole(opened):
    built, seed = opened(parity=50)
    stored_nbytes = sum(map(len, built.stored))
    report = verify_seed(seed)
    assert report == VerifyReport(3, 3, len(built.stored), len(built.stored), stored_nbytes, False)
    assert report.is_whole
    assert verify_seed(seed, decode=True) == report._replace(decoded=True)


def test_a_seed_without_chunks_is_whole(opened):
    _, seed = opened(layers=[TensorData("none", b"")], attachments=[])
    assert verify_seed(seed, decode=True) == VerifyReport(1, 1, 0, 0, 0, True)
    assert verify_seed(seed).is_whole


@pytest.mark.spec("CHK-2")
@pytest.mark.parametrize("decode", [False, True])
def test_every_chunk_counts(opened, path, decode):
    _, seed = opened(parity=50)
    good = path.read_bytes()
    for chunk in seed.chunks:
        damage(path, seed, chunk.index)
        with open_seed(path, store=trusting(make_key()), now=NOW) as damaged:
            with refused_by(IntegrityError, "CHK-2") as caught:
                verify_seed(damaged, decode=decode)
            assert caught.value.where == f"chunk {chunk.index}, byte {chunk.offset}"
        path.write_bytes(good)


@pytest.mark.spec("PRE-9", "PRE-10", "SIG-5", "SIG-6", "CHK-2")
def test_every_byte_of_a_seed_counts(path):
    good = container_bytes(build_seed(parity=50), keys=[make_key()])
    path.write_bytes(good)
    store = trusting(make_key())
    with path.open("r+b", buffering=0) as file:
        for at, byte in enumerate(good):
            os.pwrite(file.fileno(), bytes([byte ^ 1 << at % 8]), at)
            with pytest.raises(SeedError), open_seed(path, store=store, now=NOW) as seed:
                verify_seed(seed)
            os.pwrite(file.fileno(), bytes([byte]), at)
    with open_seed(path, store=store, now=NOW) as seed:
        assert verify_seed(seed).is_whole


@pytest.mark.spec("PRE-1", "PRE-9")
def test_every_truncation_is_refused(path):
    good = container_bytes(build_seed(), keys=[make_key()])
    path.write_bytes(good)
    store = trusting(make_key())
    for nbytes in reversed(range(len(good))):
        os.truncate(path, nbytes)
        with pytest.raises(FormatError) as caught:
            open_seed(path, store=store, now=NOW)
        assert caught.value.rule == ("PRE-1" if nbytes < 64 else "PRE-9")


@pytest.mark.spec("FIL-2")
def test_a_file_that_changes_meanwhile_is_refused(opened, path):
    _, seed = opened()
    content = path.read_bytes()
    path.write_bytes(content)  # equal bytes, another time
    os.utime(path, ns=(0, 1))
    with refused_by(IntegrityError, "FIL-2"):
        verify_seed(seed)


def test_the_first_of_several_damaged_chunks_is_named(opened, path):
    _, seed = opened(layers=[BIG])
    damage(path, seed, 4, 1, 5)
    with refused_by(IntegrityError, "CHK-2") as caught:
        check_chunks(seed, seed.chunks)
    assert caught.value.where.startswith("chunk 1,")


# ---------------------------------------------------------------- parts of a seed


@pytest.mark.spec("PRT-3")
def test_a_partial_seed_is_never_reported_complete(opened):
    _, seed = opened(absent=[1, 2, 6])
    message = "partial seed: 3 of 9 chunks are not in this file, the first is of layer embed"
    with refused(IntegrityError, "PRT-3", "chunk 1", message, PARTIAL_HINT):
        verify_seed(seed)


@pytest.mark.spec("PRT-3")
def test_a_partial_seed_is_checked_as_far_as_it_goes_where_asked(opened, path):
    built, seed = opened(absent=[1, 2, 8])
    stored_nbytes = sum(len(s) for i, s in enumerate(built.stored) if i not in {1, 2, 8})
    for decode in (False, True):
        report = verify_seed(seed, partial=True, decode=decode)
        assert report == VerifyReport(2, 3, 6, 9, stored_nbytes, decode)
        assert not report.is_whole
    damage(path, seed, 7)
    with refused_by(IntegrityError, "CHK-2"):
        verify_seed(seed, partial=True)


def test_chosen_layers_are_checked_and_others_are_not(opened, reopened, path):
    built, seed = opened(absent=[0])
    damage(path, seed, 7, 8)
    seed = reopened(path)
    stored_nbytes = sum(map(len, built.stored[4:7]))
    for decode in (False, True):
        report = verify_seed(seed, layers="dense", decode=decode)
        assert report == VerifyReport(1, 3, 3, 9, stored_nbytes, decode)
        assert not report.is_whole


@pytest.mark.spec("PRT-3")
def test_chosen_layers_must_be_whole(opened):
    _, seed = opened(absent=[5])
    message = "partial seed: 1 of 3 chunks are not in this file, the first is of layer dense"
    with refused(IntegrityError, "PRT-3", "chunk 5", message, PARTIAL_HINT):
        verify_seed(seed, layers="dense")
    report = verify_seed(seed, layers="dense", partial=True)
    assert (report.layers, report.chunks) == (0, 2)


def test_a_pattern_without_a_layer_is_a_wrong_call(opened):
    _, seed = opened()
    with pytest.raises(ValueError):
        verify_seed(seed, layers="nothing")


# ---------------------------------------------------------------- decoding


@pytest.mark.spec("LAY-8")
def test_decoding_checks_the_tensors_digest(opened):
    _, seed = opened(patch=lie(digest=bytes(32)))
    verify_seed(seed)
    with refused_by(IntegrityError, "LAY-8"):
        verify_seed(seed, decode=True)


@pytest.mark.spec("CHK-3")
def test_decoding_checks_the_codecs_params(opened):
    _, seed = opened(patch=lie(params={"chunk_values": 63}))
    verify_seed(seed)
    with pytest.raises(CodecError):
        verify_seed(seed, decode=True)


@pytest.mark.spec("ATT-6")
def test_decoding_checks_attachments_unless_layers_are_chosen(opened):
    wrong = lambda manifest: {  # noqa: E731
        "attachments": [replace(manifest.attachments[0], digest=bytes(32))]
    }
    _, seed = opened(attachments=[FileData("a.txt", b"x")], patch=wrong)
    verify_seed(seed)
    verify_seed(seed, decode=True, layers="*")
    with refused_by(IntegrityError, "ATT-6"):
        verify_seed(seed, decode=True)


@pytest.mark.spec("ATT-6")
def test_decoding_leaves_out_attachments_that_are_absent(opened):
    wrong = lambda manifest: {  # noqa: E731
        "attachments": [replace(f, digest=bytes(32)) for f in manifest.attachments]
    }
    files = [FileData("a.txt", b"xy", chunk_nbytes=1), FileData("b.txt", b"z")]
    _, seed = opened(attachments=files, patch=wrong, absent=[9, 10])
    assert not verify_seed(seed, decode=True, partial=True).is_whole
    _, seed = opened(attachments=files, patch=wrong, absent=[9])
    with refused_by(IntegrityError, "ATT-6") as caught:
        verify_seed(seed, decode=True, partial=True)
    assert caught.value.where == "attachment b.txt"


# ---------------------------------------------------------------- progress, threads


def test_progress_counts_bytes(opened):
    built, seed = opened()
    seen = []
    verify_seed(seed, progress=lambda done, total: seen.append((done, total)))
    total = sum(map(len, built.stored))
    ends = [sum(map(len, built.stored[: i + 1])) for i in range(len(built.stored))]
    assert seen == [(end, total) for end in ends]


def test_progress_ends_with_all_bytes_on_many_threads(opened):
    _, seed = opened(layers=[BIG], attachments=[])
    seen = []
    check_chunks(seed, seed.chunks, progress=lambda done, total: seen.append((done, total)))
    assert len(seen) == 6
    assert {total for _, total in seen} == {6 * MIB}
    assert max(seen)[0] <= 6 * MIB


@pytest.mark.parametrize("nbytes, parallel", [(4 * MIB, False), (4 * MIB + 1, True)])
def test_threads_are_started_only_where_they_pay_off(opened, monkeypatch, nbytes, parallel):
    counts = []
    real = verify.for_each

    def for_each(items, make_worker, *, threads):
        counts.append(threads)
        real(items, make_worker, threads=threads)

    monkeypatch.setattr(verify, "for_each", for_each)
    monkeypatch.setattr(verify, "thread_count", lambda: 7)
    layer = TensorData("x", bytes(nbytes), chunk_nbytes=MIB)
    _, seed = opened(layers=[layer], attachments=[])
    check_chunks(seed, seed.chunks)
    assert counts == [7 if parallel else 1]


def test_a_buffer_is_as_large_as_the_largest_chunk(opened, monkeypatch):
    built, seed = opened()
    sizes = []
    real = type(seed).read_chunk

    def read_chunk(self, chunk, buffer):
        sizes.append(len(buffer))
        return real(self, chunk, buffer)

    monkeypatch.setattr(type(seed), "read_chunk", read_chunk)
    verify_seed(seed)
    assert set(sizes) == {max(map(len, built.stored))}


def test_plain_verification_imports_neither_numpy_nor_a_decoder(opened, path):
    make = container_bytes(build_seed(parity=50), keys=[make_key()])
    path.write_bytes(make)
    public = make_key().public
    program = f"""
import sys
from pathlib import Path
from seedpack.crypto.keys import Algorithm, PublicKey
from seedpack.seed.opening import open_seed
from seedpack.seed.verify import verify_seed
from seedpack.trust.store import TrustStore
store = TrustStore.of_keys([PublicKey(Algorithm.ED25519, {public.raw!r})])
verify_seed(open_seed(Path({str(path)!r}), store=store, now={NOW}))
print(sorted({{"numpy", "torch", "transformers", "rich", "zstandard", "zfec"}} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"
