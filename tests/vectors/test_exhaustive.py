"""Every truncation and every single-bit flip of three small seeds is refused.

There are no bits that change nothing: each bit of a file is signed, or derived from what is
signed, or fixed, or under the CRC of a record.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zlib

import pytest

from seedpack.errors import SeedError
from seedpack.seed.opening import open_seed
from seedpack.seed.verify import verify_seed
from seedpack.trust.storefile import load_trust_store
from tests.vectors.readers import ACCEPT, ask_library, ask_reference, load_vectors

FILES = (
    "preamble/good.seed",  # raw, one signature
    "partial/without-parity.seed",  # parity is described, and absent from the file
    "signatures/unknown-after-known.seed",  # a record that nobody here can verify
)
SEEDS = [vector for vector in load_vectors() if vector.file in FILES]
BITS_THAT_CHANGE_NOTHING: dict[str, set[int]] = {file: set() for file in FILES}
RECORD_NBYTES = {1: 128, 2: 3456}
each_seed = pytest.mark.parametrize("seed", SEEDS, ids=lambda seed: seed.file)


@each_seed
def test_the_seed_itself_is_small_and_accepted(seed):
    data = seed.path.read_bytes()
    assert len(data) < 1_300
    store = json.loads(seed.store.read_text("utf-8"))
    assert ask_reference(data, store, seed.now, decode=True, partial=seed.partial) == ACCEPT
    assert ask_library(seed.path, seed.store, seed.now, decode=True, partial=seed.partial) == ACCEPT


@each_seed
def test_every_truncation_is_refused_by_both_readers(seed, tmp_path):
    data = seed.path.read_bytes()
    store = json.loads(seed.store.read_text("utf-8"))
    path = tmp_path / "cut.seed"
    path.write_bytes(data)
    for nbytes in reversed(range(len(data))):
        os.truncate(path, nbytes)
        verdict = ask_reference(data[:nbytes], store, seed.now, decode=True, partial=seed.partial)
        assert verdict.rule == ("PRE-1" if nbytes < 64 else "PRE-9")
        again = ask_library(path, seed.store, seed.now, decode=True, partial=seed.partial)
        assert again == verdict, nbytes


@pytest.mark.slow
@each_seed
def test_every_flipped_bit_is_refused_by_both_readers(seed, tmp_path):
    data = seed.path.read_bytes()
    store = json.loads(seed.store.read_text("utf-8"))
    loaded = load_trust_store(seed.store)
    path = tmp_path / "flipped.seed"
    path.write_bytes(data)
    accepted = set()
    with path.open("r+b", buffering=0) as file:
        for bit in range(8 * len(data)):
            flipped = bytearray(data)
            flipped[bit // 8] ^= 1 << bit % 8
            os.pwrite(file.fileno(), flipped, 0)  # in place: many times as fast as a new file
            reference = ask_reference(
                bytes(flipped), store, seed.now, decode=True, partial=seed.partial
            )
            code = _code(path, loaded, seed)
            assert code == reference.code, bit  # a bit may break two rules of one step
            if code is None:
                accepted.add(bit)
    assert accepted == BITS_THAT_CHANGE_NOTHING[seed.file]


def _code(path, store, seed):
    try:
        with open_seed(path, store=store, now=seed.now) as opened:
            verify_seed(opened, decode=True, partial=seed.partial)
    except SeedError as error:
        return error.code
    return None


def _resealed(data):
    """Make seed id and CRC of the first record right again, as an attacker would."""
    signatures_nbytes, manifest_nbytes = struct.unpack_from("<II", data, 12)
    manifest = data[64 + signatures_nbytes :][:manifest_nbytes]
    (algorithm,) = struct.unpack_from("<H", data, 64)
    end = 64 + RECORD_NBYTES[algorithm]
    record = data[64:68] + bytes(4) + data[72:end]
    crc = struct.pack("<I", zlib.crc32(record))
    middle = data[64:68] + crc + data[72:]
    return data[:32] + hashlib.sha256(manifest).digest() + middle


def _flip(data, bit):
    flipped = bytearray(data)
    flipped[bit // 8] ^= 1 << bit % 8
    return bytes(flipped)


@pytest.mark.spec("KEY-1")
@pytest.mark.parametrize(
    ("file", "first", "nbytes", "step"),
    [
        ("preamble/good.seed", 64 + 48, 64, 1),  # every bit of an Ed25519 signature
        ("keys/ml-dsa-only.seed", 64 + 48, 3309, 8),  # one bit of each byte of ML-DSA-65
        ("preamble/good.seed", 64 + 128, 341, 1),  # every bit of the manifest
        ("preamble/good.seed", 64 + 8, 4, 1),  # every bit of `expires` that is a possible time
    ],
    ids=["ed25519", "ml-dsa-65", "manifest", "expires"],
)
def test_every_signed_bit_counts_even_when_all_else_is_made_to_match(
    file, first, nbytes, step, tmp_path
):
    (seed,) = (vector for vector in load_vectors() if vector.file == file)
    data, store = seed.path.read_bytes(), json.loads(seed.store.read_text("utf-8"))
    loaded = load_trust_store(seed.store)
    assert _resealed(data) == data
    path = tmp_path / "flipped.seed"
    path.write_bytes(data)
    with path.open("r+b", buffering=0) as out:
        for i, bit in enumerate(range(8 * first, 8 * (first + nbytes), step)):
            forged = _resealed(_flip(data, bit + (i % 8 if step == 8 else 0)))
            os.pwrite(out.fileno(), forged, 0)
            assert ask_reference(forged, store, seed.now, decode=False).rule == "KEY-1", bit
            assert _code(path, loaded, seed) == "SP202", bit
