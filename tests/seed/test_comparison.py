"""What differs between two seeds, by the digests of decoded content."""

from __future__ import annotations

import pytest

from seedpack.container.manifest import Base
from seedpack.seed.comparison import Comparison, compare_seeds
from seedpack.seed.contents import Contents
from tests.builders import (
    ATTACHMENTS,
    CREATED,
    LAYERS,
    FileData,
    TensorData,
    make_architecture,
    make_claim,
)

EVERYTHING = ["layer embed", "layer dense", "layer bias", "file README.md", "file empty.txt"]


def test_a_seed_equals_itself(opened):
    _, seed = opened()
    assert compare_seeds(seed, seed) == Comparison(EVERYTHING, [], [], [], [])


def test_layers_and_files_are_compared_by_name_and_content(opened, tmp_path):
    changed = [
        LAYERS[1],
        LAYERS[0]._replace(raw=LAYERS[0].raw[::-1]),
        TensorData("new", b"\x01"),
        LAYERS[2]._replace(shape=(1, 3)),
    ]
    _, first = opened()
    files = [ATTACHMENTS[0]._replace(content=b"x"), FileData("more.txt", b"y")]
    _, second = opened(tmp_path / "b.seed", layers=changed, attachments=files)
    assert compare_seeds(first, second) == Comparison(
        same=["layer dense"],
        changed=["layer embed", "layer bias", "file README.md"],
        only_first=["file empty.txt"],
        only_second=["layer new", "file more.txt"],
        fields=[],
    )


def test_how_a_tensor_is_stored_does_not_matter(opened, tmp_path):
    _, first = opened()
    again = [layer._replace(chunk_nbytes=16) for layer in LAYERS]
    _, second = opened(tmp_path / "b.seed", layers=again, parity=50)
    assert compare_seeds(first, second) == Comparison(EVERYTHING, [], [], [], ["parity"])


def test_digests_of_two_algorithms_say_nothing_about_each_other(opened, tmp_path):
    _, first = opened()
    _, second = opened(tmp_path / "b.seed", digest_algorithm="sha2-256")
    expected = Comparison([], EVERYTHING, [], [], ["digest_algorithm"])
    assert compare_seeds(first, second) == expected


@pytest.mark.parametrize(
    "field, value",
    [
        ("architecture", make_architecture()),
        ("base", Base(digest=bytes(32), name="acme/base")),
        ("claims", [make_claim()]),
        ("created", CREATED + 1),
        ("expires", CREATED + 10**9),
        ("name", "acme/other"),
        ("producer", "another program"),
        ("recipe", {"epochs": 4}),
        ("version", 2),
    ],
)
def test_fields_that_differ_are_named(opened, tmp_path, field, value):
    _, first = opened()
    _, second = opened(tmp_path / "b.seed", **{field: value})
    assert compare_seeds(first, second).fields == [field]


def test_a_layer_and_a_file_of_one_name_are_two_things(opened, tmp_path):
    _, first = opened(layers=[TensorData("x", b"1")], attachments=[])
    _, second = opened(tmp_path / "b.seed", layers=[], attachments=[FileData("x", b"1")])
    assert compare_seeds(first, second) == Comparison([], [], ["layer x"], ["file x"], [])


def test_the_payload_is_not_read(opened, tmp_path, monkeypatch):
    _, first = opened()
    _, second = opened(tmp_path / "b.seed", absent=[0, 1])
    monkeypatch.delattr(Contents, "read_chunk")
    assert compare_seeds(first, second).changed == []
