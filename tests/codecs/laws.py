"""What tests of all codecs share: values of every dtype, layer records, decoding."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy._core._multiarray_umath import __cpu_features__

from seedpack.codecs import encode_tensor, get_codec, init
from seedpack.container.manifest import Chunk, Layer
from seedpack.dtypes import DTYPES
from seedpack.errors import CodecError
from tests.conftest import ROOT

FLOATS = [d for d in DTYPES.values() if d.kind == "float"]


def bits_of(dtype):
    """Draw arrays over all bit patterns that a dtype has, in the storage type."""
    words = np.dtype(f"<u{dtype.itemsize}")
    highest = 1 if dtype.kind == "bool" else None
    elements = arrays.from_dtype(words, max_value=highest)
    shapes = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=40)
    drawn = arrays.arrays(words, shapes, elements=elements)
    return drawn.map(lambda array: array.view(dtype.storage))


def any_bits():
    """Draw (dtype, array) over every dtype."""
    return st.sampled_from(list(DTYPES.values())).flatmap(
        lambda dtype: st.tuples(st.just(dtype), bits_of(dtype))
    )


def gaussian(dtype, n, *, seed=0):
    """Return n values distributed as trained weights are, in the storage type."""
    values = np.random.default_rng(seed).normal(0, 0.05, n).astype(np.float32)
    if dtype.name == "bfloat16":
        return (values.view(np.uint32) >> 16).astype("<u2")
    if dtype.kind == "float" and dtype.itemsize > 1:
        return values.astype(dtype.storage)
    return (values * 100).astype(np.int8).astype(dtype.storage)


def liked_by(codec_id, n=100):
    """Return n float32 values that a codec does not leave to raw."""
    dtype = DTYPES["float32"]
    if codec_id == "const":
        return np.ones(n, dtype.storage)
    if codec_id == "init":
        return init.make_values(5, 0.25, n, dtype)
    if codec_id == "sparse":
        values = gaussian(dtype, max(n, 1500))
        values[np.random.default_rng(n).random(values.size) > 1 / 8] = 0
        return values
    if codec_id in {"lowrank", "pca"}:
        left, right = gaussian(dtype, 50), gaussian(dtype, max(n // 50, 12), seed=1)
        noise = gaussian(dtype, 50 * right.size, seed=2).reshape(50, -1)
        return np.outer(left, right) + right + noise / np.float32(999)
    return gaussian(dtype, n)


def layer_for(encoded, dtype, shape, **changes):
    """Return the layer record of an encoded tensor, with changes."""
    record = {
        "chunks": [Chunk(len(chunk), bytes(32)) for chunk in encoded.chunks],
        "codec": encoded.codec,
        "digest": bytes(32),
        "dtype": dtype.name,
        "finite": dtype.kind != "float",
        "name": "w",
        "params": encoded.params,
        "shape": list(shape),
    }
    return Layer(**record | changes)


def decode(layer, chunks, order=None):
    """Return the decoded values of a layer; ``order`` is that in which chunks arrive."""
    decoder = get_codec(layer.codec).decoder(layer, DTYPES[layer.dtype])
    for index in order or range(len(chunks)):
        decoder.decode_chunk(index, memoryview(chunks[index]))
    return decoder.finish()


def round_trip(codec_id, values, dtype, **options):
    """Return what a tensor is after it was stored."""
    encoded = encode_tensor(codec_id, values, dtype, **options)
    return decode(layer_for(encoded, dtype, values.shape), encoded.chunks)


def refusal(layer, chunks):
    """Return (rule, where) with which a layer is refused."""
    with pytest.raises(CodecError) as caught:
        decode(layer, chunks)
    return caught.value.rule, caught.value.where


def outcome(layer, chunks):
    """Return "values" when a layer decodes, else the rule that refused it."""
    try:
        decode(layer, chunks)
    except CodecError as error:
        return error.rule
    return "values"


finite_floats = arrays.arrays(
    np.float32,
    st.just(150),
    elements=st.floats(width=32, allow_nan=False, allow_infinity=False),
    fill=st.just(0.0),
)


def hold(values, dtype):
    """Return float32 values in the storage type; bfloat16 by cutting bits off."""
    if dtype.name == "bfloat16":
        return (values.view(np.uint32) >> 16).astype("<u2")
    with np.errstate(over="ignore"):
        return values.astype(dtype.storage)


def is_within(values, decoded, most, dtype):
    """Return whether each float32 is within ``most`` and two roundings, in exact arithmetic."""
    smallest_unit = {"float32": 2.0**-149, "float16": 2.0**-24, "bfloat16": 2.0**-133}[dtype.name]
    for x, y in zip(values.tolist(), decoded.tolist(), strict=True):
        product = abs(Fraction(y)) * (1 + Fraction(2) ** -8)
        unit = max(product / 2**dtype.mantissa_bits, Fraction(smallest_unit))
        if abs(Fraction(x) - Fraction(y)) > Fraction(most) + product / 2**24 + unit / 2:
            return False
    return True


PROGRAM = """
import hashlib, sys
from seedpack.codecs import encode_tensor
from seedpack.dtypes import DTYPES
from tests.codecs.laws import decode, gaussian, layer_for
f32 = DTYPES["float32"]
values = gaussian(f32, 70_000)
encoded = encode_tensor(sys.argv[1], values, f32)
decoded = decode(layer_for(encoded, f32, [70_000], finite=True), encoded.chunks)
print(hashlib.sha256(repr(encoded).encode() + decoded.tobytes()).hexdigest())
"""


def digests_without_vector_units(codec_id, *settings):
    """Return the digests of all that a codec gives where numpy may not use some features."""
    digests = set()
    for disabled in settings:
        known = [name for name in disabled.split() if __cpu_features__.get(name)]
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", PROGRAM, codec_id],
            cwd=ROOT,
            env={**os.environ, "NPY_DISABLE_CPU_FEATURES": " ".join(known)},
            capture_output=True,
            text=True,
            check=True,
        )
        digests.add(done.stdout)
    return digests
