"""The digest of a decoded tensor (spec: section 7)."""

from __future__ import annotations

import hashlib
import struct

import blake3
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.codecs.tensors import tensor_digest
from seedpack.dtypes import DTYPES
from tests.codecs.laws import any_bits


@given(any_bits(), st.sampled_from(["sha2-256", "blake3-256"]), st.integers(1, 3))
@pytest.mark.spec("LAY-8")
def test_it_is_the_formula_of_the_specification(drawn, algorithm, threads):
    dtype, values = drawn
    message = b"seedpack-tensor-v1\x00" + dtype.name.encode() + b"\x00" + bytes([values.ndim])
    message += struct.pack(f"<{values.ndim}Q", *values.shape) + values.tobytes()
    expected = {"sha2-256": hashlib.sha256, "blake3-256": blake3.blake3}[algorithm](message)
    found = tensor_digest(algorithm, dtype, values.shape, values, threads=threads)
    assert found == expected.digest()


@pytest.mark.spec("LAY-8")
def test_dtype_shape_and_elements_all_count():
    values = np.arange(6, dtype="<i2")
    cases = [
        ("int16", (6,), values),
        ("uint16", (6,), values.view("<u2")),
        ("int16", (2, 3), values),
        ("int16", (3, 2), values),
        ("int16", (6, 1), values),
        ("int16", (6,), values[::-1].copy()),
    ]
    assert len({tensor_digest("sha2-256", DTYPES[d], s, v) for d, s, v in cases}) == len(cases)
