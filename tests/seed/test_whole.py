"""The three laws of parsers, for a container as a whole."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.preamble import MAGIC
from seedpack.crypto.keys import Algorithm
from seedpack.errors import SeedError
from seedpack.seed.opening import open_seed, open_unverified
from seedpack.seed.tensors import decode_layers
from seedpack.seed.verify import verify_seed
from tests.builders import (
    NOW,
    FileData,
    TensorData,
    build_seed,
    container_bytes,
    make_key,
    raw_container,
    trusting,
)

KEYS = [make_key(1), make_key(2), make_key(1, Algorithm.ML_DSA_65)]

tensors = st.lists(st.binary(max_size=200), max_size=3).map(
    lambda raws: [TensorData(f"l{i}", raw, chunk_nbytes=48) for i, raw in enumerate(raws)]
)
files = st.lists(st.binary(max_size=200), max_size=2).map(
    lambda contents: [FileData(f"f{i}.txt", c, chunk_nbytes=90) for i, c in enumerate(contents)]
)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "a.seed"


@given(
    tensors,
    files,
    st.sampled_from([None, 10, 100]),
    st.sets(st.integers(0, 30)),
    st.sets(st.integers(0, 2), min_size=1),
)
def test_opening_inverts_writing(path, layers, attachments, parity, absent, signers):
    parity = parity if any(t.raw for t in layers) or any(f.content for f in attachments) else None
    built = build_seed(layers=layers, attachments=attachments, parity=parity)
    absent = {index for index in absent if index < len(built.stored)}
    keys = [KEYS[number] for number in sorted(signers)]
    path.write_bytes(container_bytes(built, keys=keys, absent=absent))
    with open_seed(path, store=trusting(*keys, threshold=len(keys)), now=NOW) as seed:
        assert seed.manifest == built.manifest
        assert {chunk.index for chunk in seed.chunks if chunk.offset is None} == absent
        report = verify_seed(seed, decode=True, partial=True)
        assert report.is_whole == (not absent)
        decoded = {t.name: t.array.tobytes() for t in decode_layers(seed, skip_absent=True)}
        assert decoded.items() <= {t.name: t.raw for t in layers}.items()
        if not absent:
            assert len(decoded) == len(layers)
            contents = [seed.read_attachment(*owned) for owned in seed.attachments()]
            assert contents == [file.content for file in attachments]


def read_all(path) -> None:
    with open_unverified(path) as contents:
        verify_seed(contents, decode=True, partial=True)


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda rest: MAGIC + rest)))
def test_any_bytes_are_refused_or_read(path, data):
    path.write_bytes(data)
    with pytest.raises(SeedError):
        read_all(path)


GOOD = build_seed(parity=50, stripe_nchunks=3)


@given(st.data())
def test_any_manifest_is_refused_or_read_whoever_made_it(path, data):
    manifest = bytearray(GOOD.manifest_bytes)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(manifest) - 1))
        manifest[at] = data.draw(st.integers(0, 255))
    path.write_bytes(raw_container(bytes(manifest), b"".join(GOOD.stored)))
    with contextlib.suppress(SeedError):
        read_all(path)
