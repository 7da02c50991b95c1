"""Reed-Solomon stripes: any k of k + m restore the rest, by the code that the spec describes."""

from __future__ import annotations

import sys
from functools import cache, reduce
from operator import xor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.errors import IntegrityError, StoreError
from seedpack.parity import encode_stripe, recover_stripe

# ---------------------------------------------------------------- the specification, in Python

POLYNOMIAL = 0x11D


@cache
def multiply(a, b):
    """Return the product in GF(2^8), by schoolbook: no tables to get wrong."""
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= POLYNOMIAL << (bit - 8)
    return product


@cache
def power(exponent):
    return 1 if exponent == 0 else multiply(power(exponent - 1), 2)


@cache
def inverse(a):
    return next(b for b in range(1, 256) if multiply(a, b) == 1)


def inverted(matrix):
    """Return the inverse of a square matrix, by Gauss and Jordan."""
    n = len(matrix)
    rows = [row + [int(i == j) for j in range(n)] for i, row in enumerate(matrix)]
    for column in range(n):
        pivot = next(i for i in range(column, n) if rows[i][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        factor = inverse(rows[column][column])
        rows[column] = [multiply(factor, v) for v in rows[column]]
        for i in range(n):
            if i != column and (factor := rows[i][column]):
                pairs = zip(rows[i], rows[column], strict=True)
                rows[i] = [a ^ multiply(factor, b) for a, b in pairs]
    return [row[n:] for row in rows]


def parity_by_hand(shards, nparity):
    """Return the parity shards: rows k to n - 1 of V inv(V[0..k-1]), applied to the data."""
    k = len(shards)
    vandermonde = [[1] + [0] * (k - 1)]
    vandermonde += [[power((i - 1) * j % 255) for j in range(k)] for i in range(1, k + nparity)]
    base = inverted(vandermonde[:k])
    parity = []
    for row in vandermonde[k:]:
        products = [[multiply(r, base[t][j]) for j in range(k)] for t, r in enumerate(row)]
        coefficients = [reduce(xor, column) for column in zip(*products, strict=True)]
        terms = [
            [multiply(c, byte) for byte in shard]
            for c, shard in zip(coefficients, shards, strict=True)
        ]
        parity.append(bytes(reduce(xor, column) for column in zip(*terms, strict=True)))
    return parity


def make_shards(k, nbytes):
    return [bytes((37 * i + 11 * j * j + 5) % 256 for j in range(nbytes)) for i in range(k)]


# ---------------------------------------------------------------- laws


@pytest.mark.spec("PAR-1")
@pytest.mark.parametrize(
    ("k", "m"), [(1, 1), (1, 5), (2, 1), (3, 2), (16, 4), (5, 40), (20, 236), (60, 3)]
)
def test_the_code_is_the_one_that_the_specification_describes(k, m):
    shards = make_shards(k, 3)
    assert encode_stripe(shards, 3, m) == parity_by_hand(shards, m)


@pytest.mark.spec("PAR-1")
def test_frozen_data_have_frozen_parity():
    parity = encode_stripe([b"seed", b"pack", b"\x00\x01\x02\xff"], 4, 2)
    assert [shard.hex() for shard in parity] == ["5c001a61", "2e2165d6"]


@given(st.data())
def test_any_k_shards_restore_the_rest(data):
    shards = data.draw(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=12))
    k, m, nbytes = len(shards), data.draw(st.integers(1, 8)), max(map(len, shards))
    padded = [shard.ljust(nbytes, b"\x00") for shard in shards]
    whole = dict(enumerate(shards + encode_stripe(shards, nbytes, m)))
    lost = data.draw(st.sets(st.sampled_from(range(k + m)), max_size=m))
    present = {place: shard for place, shard in whole.items() if place not in lost}
    restored = recover_stripe(present, k, m, nbytes)
    assert restored == {p: padded[p] if p < k else whole[p] for p in lost}


@pytest.mark.parametrize(("k", "m"), [(255, 1), (128, 128), (1, 255)])
def test_the_largest_stripes_restore_as_much_as_they_may_lose(k, m):
    shards = make_shards(k, 8)
    whole = dict(enumerate(shards + encode_stripe(shards, 8, m)))
    present = {place: whole[place] for place in range(m, k + m)}
    restored = recover_stripe(present, k, m, 8)
    assert restored == {place: whole[place] for place in range(m)}


def test_shards_may_be_views_of_larger_buffers():
    buffer = memoryview(bytearray(b"".join(make_shards(3, 8))))
    shards = [buffer[i : i + 8] for i in range(0, 24, 8)]
    assert encode_stripe(shards, 8, 2) == encode_stripe(make_shards(3, 8), 8, 2)


@pytest.mark.spec("PAR-4")
def test_one_loss_too_many_is_refused():
    whole = dict(enumerate(make_shards(4, 8) + encode_stripe(make_shards(4, 8), 8, 2)))
    assert recover_stripe({p: whole[p] for p in (0, 1, 4, 5)}, 4, 2, 8) == {
        2: whole[2],
        3: whole[3],
    }
    with pytest.raises(IntegrityError, match="3 of 6 chunks are lost, 2 can be") as caught:
        recover_stripe({p: whole[p] for p in (0, 4, 5)}, 4, 2, 8)
    assert (caught.value.rule, caught.value.where) == ("PAR-4", "stripe")


@pytest.mark.spec("PAR-5")
def test_without_zfec_parity_is_refused_with_the_way_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "zfec", None)
    for call in (
        lambda: encode_stripe([b"a"], 1, 1),
        lambda: recover_stripe({0: b"a"}, 1, 1, 1),
    ):
        with pytest.raises(StoreError) as caught:
            call()
        assert (caught.value.rule, caught.value.where) == ("PAR-5", "parity")
        assert "seedpack[parity]" in caught.value.hint


@pytest.mark.parametrize(("k", "m"), [(0, 1), (1, 0), (129, 128), (256, 1)])
def test_stripes_that_the_field_does_not_hold_are_a_wrong_call(k, m):
    with pytest.raises(ValueError, match="no stripe has"):
        encode_stripe(make_shards(k, 2), 2, m)
    with pytest.raises(ValueError, match="no stripe has"):
        recover_stripe({}, k, m, 2)


def test_shards_longer_than_the_stripe_and_places_outside_it_are_a_wrong_call():
    with pytest.raises(ValueError, match="shard of 3 bytes in a stripe of 2"):
        encode_stripe([b"abc"], 2, 1)
    with pytest.raises(ValueError, match="places outside"):
        recover_stripe({0: b"ab", 2: b"cd"}, 1, 1, 2)
