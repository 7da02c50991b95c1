"""The manifest's types, and the one encoding that each value has (spec: MAN-1, MAN-2)."""

from __future__ import annotations

import functools
import operator

import msgpack
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from seedpack.container.manifest import Manifest, decode_manifest, encode_manifest
from seedpack.errors import FormatError, SeedError
from tests.builders import (
    bare_manifest,
    make_architecture,
    make_attachment,
    make_chunk,
    make_claim,
    make_layer,
    make_manifest,
    make_parity,
)
from tests.ids import plain_id
from tests.refusals import refused

GOOD = make_manifest(layers=[make_layer(params={"a": 1, "b": "x", "c": b"\xff"})])

integers = st.integers(0, 2**63 - 1)
texts = st.text(max_size=12)
chunks = st.lists(st.builds(make_chunk, integers, st.integers(0, 255)), max_size=3)
layers = st.builds(
    make_layer,
    chunks=chunks,
    dtype=texts,
    finite=st.booleans(),
    params=st.dictionaries(texts, st.one_of(integers, texts, st.binary(max_size=5)), max_size=4),
    shape=st.lists(integers, max_size=4),
)
manifests = st.builds(
    make_manifest,
    architecture=st.one_of(st.none(), st.builds(make_architecture, config=texts)),
    attachments=st.lists(st.builds(make_attachment, nbytes=integers, chunks=chunks), max_size=2),
    claims=st.lists(st.builds(make_claim, dataset=texts, seeds=integers), max_size=2),
    decoded_nbytes=integers,
    expires=st.one_of(st.none(), integers),
    layers=st.lists(layers, max_size=2),
    name=texts,
    parity=st.one_of(st.none(), st.builds(lambda c: make_parity([], chunks=c), chunks)),
    recipe=st.dictionaries(texts, st.one_of(integers, texts), max_size=3),
)


def as_plain(manifest: Manifest = GOOD) -> dict[str, object]:
    return msgpack.unpackb(encode_manifest(manifest))


def at(plain: dict[str, object], path: tuple[str | int, ...]) -> dict[str, object]:
    return functools.reduce(operator.getitem, path, plain)


# ---------------------------------------------------------------- the three laws


@given(manifests)
def test_decoding_inverts_encoding(manifest):
    assert decode_manifest(encode_manifest(manifest)) == manifest


@pytest.mark.spec("MAN-2")
@given(manifests, st.data())
def test_no_second_encoding_is_accepted(manifest, data):
    encoded = bytearray(encode_manifest(manifest))
    where = data.draw(st.integers(0, len(encoded) - 1))
    encoded[where] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_manifest(bytes(encoded))
    except FormatError:
        return
    assert other != manifest
    assert encode_manifest(other) == encoded


@given(st.one_of(st.binary(max_size=80), st.builds(msgpack.packb, st.dictionaries(texts, texts))))
def test_any_bytes_are_refused_or_a_manifest(data):
    try:
        manifest = decode_manifest(data)
    except SeedError:
        return
    assert encode_manifest(manifest) == data


# ---------------------------------------------------------------- the encoding


@pytest.mark.spec("MAN-2")
def test_the_encoding_is_msgpack_with_ascending_keys():
    def keys_ascend(value: object) -> bool:
        if isinstance(value, dict):
            ascending = list(value) == sorted(value, key=str.encode)
            return ascending and all(map(keys_ascend, value.values()))
        return all(map(keys_ascend, value)) if isinstance(value, list) else True

    plain = as_plain()
    assert keys_ascend(plain)
    assert len(plain) == 15
    assert msgpack.packb(plain) == encode_manifest(GOOD)
    assert list(plain["architecture"]) == ["class", "config", "framework", "model_type"]
    assert plain["layers"][0]["chunks"][0] == [16, bytes(32)]


def test_chunks_are_in_payload_order():
    manifest = make_manifest(
        layers=[
            make_layer(name="a", chunks=[make_chunk(1), make_chunk(2)]),
            make_layer(name="b", chunks=[make_chunk(3)]),
        ],
        attachments=[make_attachment(chunks=[make_chunk(4), make_chunk(5)])],
        parity=make_parity([], chunks=[make_chunk(6), make_chunk(7)]),
    )
    assert [chunk.stored_nbytes for chunk in manifest.data_chunks] == [1, 2, 3, 4, 5]
    assert [chunk.stored_nbytes for chunk in manifest.chunks] == [1, 2, 3, 4, 5, 6, 7]
    assert bare_manifest().chunks == []


# ---------------------------------------------------------------- grammar

RECORDS = [
    pytest.param((), "", id="manifest"),
    pytest.param(("architecture",), ".architecture", id="architecture"),
    pytest.param(("attachments", 0), ".attachments[0]", id="attachment"),
    pytest.param(("base",), ".base", id="base"),
    pytest.param(("claims", 0), ".claims[0]", id="claim"),
    pytest.param(("layers", 0), ".layers[0]", id="layer"),
    pytest.param(("parity",), ".parity", id="parity"),
]


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("path, place", RECORDS)
def test_every_key_of_every_record_is_needed(path, place):
    for key in at(as_plain(), path):
        plain = as_plain()
        del at(plain, path)[key]
        message = f"manifest: Object missing required field `{key}`"
        with refused(FormatError, "MAN-1", f"manifest{place}", message):
            decode_manifest(msgpack.packb(plain))


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("path, place", RECORDS)
def test_no_record_has_another_key(path, place):
    plain = as_plain()
    at(plain, path)["zzz"] = 1
    message = "manifest: Object contains unknown field `zzz`"
    with refused(FormatError, "MAN-1", f"manifest{place}", message):
        decode_manifest(msgpack.packb(plain))


WRONG_TYPES = [
    (("created",), True),
    (("created",), "1"),
    (("created",), None),
    (("schema",), False),
    (("version",), b"1"),
    (("name",), b"acme"),
    (("name",), None),
    (("expires",), "never"),
    (("layers",), {}),
    (("layers",), None),
    (("recipe",), []),
    (("recipe",), {"a": None}),
    (("recipe",), {"a": b"x"}),
    (("recipe",), {"a": True}),
    (("base", "digest"), "0" * 32),
    (("layers", 0, "finite"), 1),
    (("layers", 0, "shape"), ["2"]),
    (("layers", 0, "shape"), 4),
    (("layers", 0, "params"), []),
    (("layers", 0, "chunks", 0), [16]),
    (("layers", 0, "chunks", 0), [16, bytes(32), 0]),
    (("layers", 0, "chunks", 0), {"stored_nbytes": 16}),
    (("parity", "percent"), []),
    (("claims", 0, "value"), 1),
]


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("path, value", WRONG_TYPES, ids=plain_id)
def test_a_value_of_another_type_is_refused(path, value):
    plain = as_plain()
    at(plain, path[:-1])[path[-1]] = value
    with pytest.raises(FormatError) as caught:
        decode_manifest(msgpack.packb(plain))
    assert caught.value.rule == "MAN-1"
    assert caught.value.where.startswith("manifest." + str(path[0]))
    assert isinstance(caught.value.__cause__, msgspec.ValidationError)


@pytest.mark.spec("MAN-1", "LAY-6")
@pytest.mark.parametrize("value", [None, True, [], [1], {}, {"a": 1}], ids=plain_id)
def test_a_param_is_an_integer_text_or_a_binary(value):
    plain = as_plain(make_manifest(layers=[make_layer(name="a"), make_layer(name="b")]))
    plain["layers"][1]["params"] = {"good": 1, "wrong": value}
    message = "manifest: a param is no integer, text or binary"
    with refused(FormatError, "MAN-1", "manifest.layers[1].params", message):
        decode_manifest(msgpack.packb(plain))


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("value", [[], 1, None, "manifest", b"\x80"], ids=plain_id)
def test_the_manifest_is_a_map(value):
    with pytest.raises(FormatError) as caught:
        decode_manifest(msgpack.packb(value))
    assert (caught.value.rule, caught.value.where) == ("MAN-1", "manifest")


@pytest.mark.spec("MAN-1")
def test_what_a_key_says_is_escaped_and_cut():
    plain = as_plain() | {"\x1b[2J" + "y" * 400: 1}
    with pytest.raises(FormatError) as caught:
        decode_manifest(msgpack.packb(plain))
    unknown = "Object contains unknown field `"
    expected = unknown + "\\x1b[2J" + "y" * (200 - len(unknown) - 7)
    assert caught.value.message == f"manifest: {expected}"
    faked = as_plain() | {"z - at `$" + "w" * 400: 1}
    with pytest.raises(FormatError) as caught:
        decode_manifest(msgpack.packb(faked))
    assert caught.value.where == "manifest" + "w" * 80


# ---------------------------------------------------------------- canonical

NOT_CANONICAL = "manifest is not in its canonical encoding"


@pytest.mark.spec("MAN-2")
@pytest.mark.parametrize(
    "path", [(), ("layers", 0), ("recipe",), ("layers", 0, "params")], ids=plain_id
)
def test_keys_out_of_order_are_refused(path):
    plain = as_plain()
    record = at(plain, path)
    first = next(iter(record))
    record[first] = record.pop(first)  # now the last
    with refused(FormatError, "MAN-2", "manifest", NOT_CANONICAL):
        decode_manifest(msgpack.packb(plain))


@pytest.mark.spec("MAN-2")
def test_a_key_that_stands_twice_is_refused():
    once = msgpack.packb({"recipe": {"a": 1}})[1:]
    twice = msgpack.packb("recipe") + b"\x82" + 2 * msgpack.packb({"a": 1})[1:]
    encoded = encode_manifest(make_manifest(recipe={"a": 1}))
    assert encoded.count(once) == 1
    with refused(FormatError, "MAN-2", "manifest", NOT_CANONICAL):
        decode_manifest(encoded.replace(once, twice))


@pytest.mark.spec("MAN-2")
def test_a_manifest_key_that_stands_twice_is_refused():
    encoded = encode_manifest(GOOD)
    assert encoded[0] == 0x8F  # fifteen keys: one more needs the form of 16 bits
    doubled = b"\xde\x00\x10" + encoded[1:] + msgpack.packb("version") + b"\x01"
    with refused(FormatError, "MAN-2", "manifest", NOT_CANONICAL):
        decode_manifest(doubled)


@pytest.mark.spec("MAN-2")
def test_a_long_form_is_refused_before_anything_is_decoded():
    encoded = encode_manifest(GOOD)
    key = msgpack.packb("schema")
    bad = encoded.replace(key + b"\x01", key + b"\xcc\x01")
    where = f"manifest byte {encoded.index(key) + len(key)}"
    with refused(FormatError, "MAN-2", where, "int in a longer form than it needs"):
        decode_manifest(bad)


@pytest.mark.spec("MAN-1")
def test_nothing_may_follow():
    encoded = encode_manifest(GOOD)
    message = "bytes behind the manifest's only value"
    with refused(FormatError, "MAN-1", f"manifest byte {len(encoded)}", message):
        decode_manifest(encoded + b"\xc0")
