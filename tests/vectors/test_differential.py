"""Two readers that share no code say the same of files that neither has seen before.

A mutated file may break several rules at once. The steps of section 12 are ordered, so both
readers refuse it with the same class of error; which of several rules of one step they name is
theirs to choose.
"""

from __future__ import annotations

import copy
import json
import struct

import hypothesis.strategies as st
import msgpack
import pytest
from hypothesis import given

from spec.vectors.builders.writer import Draft, Part, frame, pack
from tests.vectors.readers import FOLDER, ask_library, ask_reference, load_vectors

NOW = 1_700_000_000
STORE_PATH = FOLDER / "trust" / "default.json"
STORE = json.loads(STORE_PATH.read_text("utf-8"))
SMALL = [v for v in load_vectors() if v.path.stat().st_size < 2_500 and not v.trust.count("key-")]
GOOD = [v for v in SMALL if v.expect == "accept" and v.trust == "trust/default.json"]

# Pairs of rules that one odd value can break at once, besides MAN-6 and what names must match.
BROKEN_TOGETHER = [{"MAN-10", "PAR-3"}, {"CHK-1", "CHK-3"}, {"CHK-1", "MAN-12"}]

small_vectors = st.sampled_from(SMALL)
good_vectors = st.sampled_from(GOOD)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("differential") / "mutated.seed"


def compare(path, data, *, trust=STORE_PATH, now=NOW, partial=True):
    """Ask both readers at both depths; return the rule, or the two, that they name last."""
    path.write_bytes(data)
    store = json.loads(trust.read_text("utf-8"))
    for decode in (False, True):
        reference = ask_reference(data, store, now, decode=decode, partial=partial)
        library = ask_library(path, trust, now, decode=decode, partial=partial)
        assert library[:2] == reference[:2], (decode, library, reference)
    return {library.rule, reference.rule}


@st.composite
def edited(draw, data):
    """Overwrite, insert and delete at a few places."""
    data = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        nbytes = draw(st.integers(0, 8))
        data[at : at + nbytes] = draw(st.binary(max_size=8))
    return bytes(data)


@given(st.data())
def test_they_agree_on_files_with_edited_bytes(path, data):
    vector = data.draw(small_vectors)
    mutated = data.draw(edited(vector.path.read_bytes()))
    compare(path, mutated, trust=vector.store, now=vector.now)


@given(st.data())
def test_they_agree_on_files_spliced_from_two(path, data):
    first, second = data.draw(small_vectors), data.draw(small_vectors)
    head, tail = first.path.read_bytes(), second.path.read_bytes()
    at = data.draw(st.integers(0, len(head)))
    mutated = head[:at] + tail[data.draw(st.integers(0, len(tail))) :]
    compare(path, mutated, trust=first.store, now=first.now)


def manifest_and_payload(data):
    s, m, p = struct.unpack_from("<III", data, 12)
    rest = data[64 + s :]
    return rest[:m], rest[m : m + p], rest[m + p :]


def signed(manifest, presence, payload):
    """Put a file together that only the manifest can be wrong in."""
    draft = Draft()
    draft.presence = lambda: presence
    draft.payload = lambda: payload
    return frame(manifest, draft)


@given(st.data())
def test_they_agree_on_signed_manifests_with_edited_bytes(path, data):
    manifest, presence, payload = manifest_and_payload(data.draw(good_vectors).path.read_bytes())
    compare(path, signed(data.draw(edited(manifest)), presence, payload))


def places(value, where=()):
    """List the way to every value inside a manifest."""
    yield where
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*where, key))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            yield from places(item, (*where, i))


texts = st.one_of(
    st.text(max_size=6),
    st.sampled_from(
        [
            "raw",
            "q8",
            "bool",
            "float32",
            "bfloat16",
            "sha2-256",
            "__metadata__",
            "a/b",
            "CON",
            "1.5",
        ]
    ),
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 9),
    st.integers(0, 70).map(lambda n: (1 << n) - 1 if n < 65 else 1 << 63),
    st.floats(),
    texts,
    st.binary(max_size=3),
    st.just(bytes(32)),
)
odd_values = st.one_of(
    scalars, st.lists(scalars, max_size=3), st.dictionaries(texts, scalars, max_size=2)
)


@given(st.data())
def test_they_agree_on_signed_manifests_with_an_odd_value(path, data):
    raw, presence, payload = manifest_and_payload(data.draw(good_vectors).path.read_bytes())
    manifest = msgpack.unpackb(raw)
    where = data.draw(st.sampled_from(list(places(manifest))[1:]))
    target = manifest
    for key in where[:-1]:
        target = target[key]
    change = data.draw(st.sampled_from(["replace", "replace", "replace", "remove", "double"]))
    if change == "replace" or not isinstance(target, list):
        target[where[-1]] = data.draw(odd_values)
    elif change == "remove":
        del target[where[-1]]
    else:
        target.insert(where[-1], copy.deepcopy(target[where[-1]]))
    rules = compare(path, signed(pack(manifest), presence, payload))
    assert len(rules) == 1 or "MAN-6" in rules or rules in BROKEN_TOGETHER


@given(st.binary(max_size=300))
def test_they_agree_on_any_signed_bytes(path, manifest):
    if manifest:
        compare(path, signed(manifest, b"", b""))


@given(st.binary(max_size=200))
def test_they_agree_on_any_file(path, data):
    compare(path, data)


DECODED = [v for v in GOOD if v.file.startswith(("codecs/", "zstd/plane", "layers/dtype"))]


@given(st.data())
def test_they_agree_on_what_an_edited_chunk_decodes_to(path, data):
    raw, _, payload = manifest_and_payload(data.draw(st.sampled_from(DECODED)).path.read_bytes())
    layers = []
    for record in msgpack.unpackb(raw)["layers"]:
        stored = []
        for nbytes, _ in record.pop("chunks"):
            chunk, payload = payload[:nbytes], payload[nbytes:]
            stored.append(data.draw(edited(chunk)) or b"\0")
        layers.append(Part(record, stored))
    compare(path, Draft(layers).build())
