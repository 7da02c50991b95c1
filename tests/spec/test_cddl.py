"""The grammar, the vectors and the rules say the same about manifests."""

from __future__ import annotations

import copy
import functools
import json
import operator
import struct
from pathlib import Path

import msgpack
import pycddl
import pytest

from tests.spec.cbor import encode, read_msgpack
from tests.spec.cddl import Grammar

SPEC = Path(__file__).resolve().parents[2] / "spec"
SOURCE = (SPEC / "manifest.cddl").read_text("utf-8")
GRAMMAR = Grammar(SOURCE)

# Rules of which the grammar says everything; of others it says a part or nothing.
EXPRESSIBLE = frozenset(
    {
        "MAN-1",
        "MAN-4",
        "MAN-5",
        "MAN-8",
        "MAN-11",
        "MAN-12",
        "MAN-13",
        "MAN-15",
        "LAY-2",
        "LAY-3",
        "ATT-5",
        "PAR-1",
    }
)

DIGEST = bytes(32)
CHUNK = [16, DIGEST]
FLOAT_LAYER = {
    "chunks": [CHUNK],
    "codec": "raw",
    "digest": DIGEST,
    "dtype": "float32",
    "finite": False,
    "name": "encoder.layer.0.weight",
    "params": {"group": 64, "scale": b"\0" * 8, "transform": "none"},
    "shape": [2, 2],
}
MANIFEST = {
    "architecture": {
        "class": "BertModel",
        "config": "{}",
        "framework": "transformers",
        "model_type": "bert",
    },
    "attachments": [
        {
            "chunk_nbytes": 1 << 20,
            "chunks": [CHUNK],
            "digest": DIGEST,
            "kind": "licence",
            "name": "docs/LICENSE",
            "nbytes": 16,
        }
    ],
    "base": {"digest": DIGEST, "name": "acme/base"},
    "claims": [
        {
            "chance": "0.5",
            "control": "random weights",
            "control_value": "0.503",
            "dataset": "sst2",
            "evaluated": 872,
            "interval_high": "0.93",
            "interval_low": "0.9",
            "metric": "accuracy",
            "original": "0.92",
            "seeds": 3,
            "value": "-0.91",
        }
    ],
    "created": 1_700_000_000,
    "decoded_nbytes": 32,
    "digest_algorithm": "blake3-256",
    "expires": None,
    "layers": [FLOAT_LAYER],
    "name": "acme/minilm",
    "parity": {
        "chunks": [CHUNK],
        "percent": 20,
        "scheme": "rs-vandermonde-gf256",
        "stripe_nchunks": 16,
    },
    "producer": "seedpack 0.1.0",
    "recipe": {"epochs": 3, "optimizer": "adam"},
    "schema": 1,
    "version": 1,
}
BARE = MANIFEST | {
    "architecture": None,
    "attachments": [],
    "base": None,
    "claims": [],
    "expires": 1_800_000_000,
    "layers": [FLOAT_LAYER | {"chunks": [], "dtype": "int8", "finite": True, "shape": [0]}],
    "parity": None,
    "recipe": {},
}

# (path to the value, what stands there instead)
WRONG = [
    pytest.param(("created",), -1, id="MAN-5 negative"),
    pytest.param(("layers", 0, "shape"), [1 << 63], id="MAN-5 too large"),
    pytest.param(("created",), 1.0, id="MAN-4 float"),
    pytest.param(("schema",), True, id="MAN-1 bool for int"),
    pytest.param(("schema",), 2, id="MAN-8 schema"),
    pytest.param(("version",), 1 << 53, id="MAN-8 version"),
    pytest.param(("created",), msgpack.Timestamp(1), id="MAN-4 timestamp"),
    pytest.param(("producer",), msgpack.ExtType(1, b"x"), id="MAN-4 extension type"),
    pytest.param(("producer",), b"seedpack", id="MAN-1 bin for str"),
    pytest.param(("producer",), "x" * 4_097, id="MAN-6 long text"),
    pytest.param(("base", "digest"), "0" * 32, id="MAN-12 text for digest"),
    pytest.param(("base", "digest"), bytes(16), id="MAN-12 truncated digest"),
    pytest.param(("digest_algorithm",), "md5", id="MAN-13"),
    pytest.param(("expires",), 253_402_300_800, id="MAN-7 year 10000"),
    pytest.param(("name",), "Acme", id="MAN-11 upper case"),
    pytest.param(("name",), "a/b/c/d/e", id="MAN-11 five parts"),
    pytest.param(("name",), "acme\n", id="MAN-11 newline at the end"),
    pytest.param(("claims", 0, "value"), "1e3", id="MAN-15"),
    pytest.param(("claims", 0, "value"), ".5", id="MAN-15 no digit before the point"),
    pytest.param(("layers", 0, "name"), "", id="LAY-1 empty name"),
    pytest.param(("layers", 0, "name"), "a/b", id="LAY-1 separator"),
    pytest.param(("layers", 0, "name"), "x" * 256, id="LAY-1 long name"),
    pytest.param(("layers", 0, "dtype"), "object", id="LAY-2"),
    pytest.param(("layers", 0, "dtype"), "int8", id="LAY-7 integers that are not finite"),
    pytest.param(("layers", 0, "shape"), [1] * 9, id="LAY-3"),
    pytest.param(("layers", 0, "params"), {str(i): i for i in range(33)}, id="LAY-6 33 params"),
    pytest.param(("layers", 0, "params"), {"a": [1]}, id="LAY-6 array"),
    pytest.param(("layers", 0, "chunks", 0), [0, DIGEST], id="CHK-1 empty chunk"),
    pytest.param(("layers", 0, "chunks", 0), [4_259_841, DIGEST], id="CHK-1 large chunk"),
    pytest.param(("layers", 0, "chunks", 0), [1, DIGEST, 0], id="MAN-1 third value in a chunk"),
    pytest.param(("attachments", 0, "kind"), "program", id="ATT-5"),
    pytest.param(("attachments", 0, "name"), "../x", id="ATT-1"),
    pytest.param(("architecture", "framework"), "pickle", id="ARC-1"),
    pytest.param(("parity", "scheme"), "xor", id="PAR-1"),
    pytest.param(("parity", "percent"), 0, id="PAR-2 no parity"),
    pytest.param(("parity", "stripe_nchunks"), 256, id="PAR-2 wide stripe"),
]


def matches(manifest: bytes) -> bool:
    return GRAMMAR.matches(read_msgpack(manifest))


def changed(path: tuple[str | int, ...], value: object) -> dict[str, object]:
    manifest: dict[str, object] = copy.deepcopy(MANIFEST)
    place = manifest
    for step in path[:-1]:
        place = place[step]
    assert path[-1] in place or isinstance(place, list)
    place[path[-1]] = value
    return manifest


@pytest.mark.parametrize("manifest", [MANIFEST, BARE], ids=["full", "bare"])
def test_the_grammar_accepts_a_manifest_written_by_hand(manifest):
    assert matches(msgpack.packb(manifest))
    pycddl.Schema(SOURCE).validate_cbor(encode(manifest))


def test_the_grammar_has_no_rule_that_nothing_uses():
    assert not GRAMMAR.unused


@pytest.mark.spec("MAN-1", "MAN-4", "MAN-5", "MAN-12", "MAN-13")
@pytest.mark.parametrize(("path", "value"), WRONG)
def test_the_grammar_refuses_one_wrong_value(path, value):
    assert not matches(msgpack.packb(changed(path, value)))


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize("key", sorted(MANIFEST))
def test_the_grammar_refuses_a_missing_key(key):
    assert not matches(msgpack.packb({k: v for k, v in MANIFEST.items() if k != key}))


@pytest.mark.spec("MAN-1")
@pytest.mark.parametrize(
    "path",
    [
        ("architecture",),
        ("attachments", 0),
        ("base",),
        ("claims", 0),
        ("layers", 0),
        ("parity",),
    ],
)
def test_the_grammar_refuses_an_unknown_key_in_a_record(path):
    record = functools.reduce(operator.getitem, path, MANIFEST)
    assert not matches(msgpack.packb(changed(path, record | {"extra": 1})))


@pytest.mark.spec("MAN-1")
def test_the_grammar_refuses_an_unknown_key_in_the_manifest():
    assert not matches(msgpack.packb(MANIFEST | {"extra": 1}))


@pytest.mark.spec("MAN-1")
def test_trailing_bytes_and_truncation_are_no_value_at_all():
    good = msgpack.packb(MANIFEST)
    for bad in (good + b"\xc0", good[:-1]):
        with pytest.raises(ValueError):
            read_msgpack(bad)


def _vectors() -> list[dict[str, object]]:
    index = SPEC / "vectors" / "index.json"
    return json.loads(index.read_bytes())["vectors"] if index.exists() else []


def _manifest_of(vector: dict[str, object]) -> bytes:
    container = (SPEC / "vectors" / str(vector["file"])).read_bytes()
    signatures_nbytes, manifest_nbytes = struct.unpack_from("<II", container, 12)
    return container[64 + signatures_nbytes :][:manifest_nbytes]


def _grammar_accepts(vector: dict[str, object]) -> bool:
    try:
        return matches(_manifest_of(vector))
    except ValueError:  # not one msgpack value: nothing that a grammar could match
        return False


def _seeds(expect: str) -> list[dict[str, object]]:
    return [v for v in _vectors() if v["expect"] == expect and str(v["file"]).endswith(".seed")]


@pytest.mark.parametrize("vector", _seeds("accept"), ids=lambda v: v["file"])
def test_every_accepted_vector_matches_the_grammar(vector):
    assert _grammar_accepts(vector)
    pycddl.Schema(SOURCE).validate_cbor(encode(read_msgpack(_manifest_of(vector))))


# A grammar speaks of values: how msgpack writes 3 is outside of it, though MAN-5 is not.
OF_ENCODING = {"manifest/integer-signed-d0.seed", "manifest/integer-signed-d3.seed"}


@pytest.mark.parametrize(
    "vector",
    [v for v in _seeds("refuse") if v["rule"] in EXPRESSIBLE and v["file"] not in OF_ENCODING],
    ids=lambda v: v["file"],
)
def test_every_vector_that_breaks_an_expressible_rule_does_not_match(vector):
    assert not _grammar_accepts(vector)
