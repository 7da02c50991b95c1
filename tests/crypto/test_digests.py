from __future__ import annotations

import hashlib

import blake3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.crypto.digests import ALGORITHMS, DIGEST_NBYTES, digest, new_hasher

# of nothing: the BLAKE3 paper's test vectors, and FIPS 180-4 (as in every SHA-256 test suite)
OF_NOTHING = {
    "blake3-256": "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262",
    "sha2-256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
}


@pytest.mark.spec("MAN-13")
def test_there_are_exactly_two_algorithms():
    assert frozenset(OF_NOTHING) == ALGORITHMS


@pytest.mark.parametrize("algorithm", sorted(OF_NOTHING))
def test_digest_of_nothing_is_the_published_one(algorithm):
    assert digest(algorithm).hex() == OF_NOTHING[algorithm]
    assert new_hasher(algorithm).digest().hex() == OF_NOTHING[algorithm]


@pytest.mark.parametrize("algorithm", sorted(OF_NOTHING))
@given(parts=st.lists(st.binary(max_size=300), max_size=5), threads=st.integers(1, 4))
def test_digest_is_of_the_parts_joined_whatever_the_threads(algorithm, parts, threads):
    joined = b"".join(parts)
    expected = {
        "blake3-256": lambda: blake3.blake3(joined).digest(),
        "sha2-256": lambda: hashlib.sha256(joined).digest(),
    }[algorithm]()
    hasher = new_hasher(algorithm, threads=threads)
    for part in parts:
        hasher.update(memoryview(part))
    assert hasher.digest() == digest(algorithm, *parts) == expected
    assert len(expected) == DIGEST_NBYTES == 32


@pytest.mark.parametrize("algorithm", ["", "md5", "BLAKE3-256", "sha2-256 ", "sha256"])
def test_another_algorithm_is_a_wrong_call(algorithm):
    with pytest.raises(ValueError, match="unknown digest algorithm"):
        new_hasher(algorithm)
