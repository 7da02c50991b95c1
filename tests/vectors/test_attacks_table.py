"""The table of attacks is complete, and everything that it names exists."""

from __future__ import annotations

import fnmatch
import json
import re
from pathlib import Path

import msgpack
import pytest

from spec.vectors.builders.writer import NOW, Draft, frame, layer
from tests.vectors.readers import ACCEPT, Verdict, ask_library, ask_reference, load_vectors

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([0-9]+) \| (.+?) \| (.+) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "spec" / "attacks.md").read_text("utf-8"))
VECTORS = load_vectors()
TOO_MANY = Verdict("refuse", "SP100", "MAN-9")
NO_FILE = ("cannot be expressed: ", "not part of this version: ")


def test_every_case_stands_there_once_and_in_order():
    assert [int(number) for number, _, _ in ROWS] == list(range(1, 163))


@pytest.mark.parametrize(("number", "kept_by"), [(int(n), k) for n, _, k in ROWS])
def test_everything_that_a_case_names_exists(number, kept_by):
    named = re.findall(r"`([^`]+)`", kept_by)
    assert named or kept_by.startswith(NO_FILE)
    tagged = [vector.file for vector in VECTORS if number in vector.attack]
    for name in named:
        if name.endswith(".seed"):
            assert fnmatch.filter(tagged, name), f"{name} is no vector of case {number}"
        else:
            file, function = name.split("::")
            source = (ROOT / file).read_text("utf-8")
            assert re.search(rf"^def {function}\(", source, re.MULTILINE), name


def test_every_case_with_vectors_names_one():
    tagged = {number for vector in VECTORS for number in vector.attack}
    naming = {int(number) for number, _, kept_by in ROWS if ".seed`" in kept_by}
    known = {23, 93}  # their vectors stand for a part of the attack; tests show it whole
    assert tagged - naming == known


@pytest.mark.slow
@pytest.mark.spec("MAN-9")
@pytest.mark.parametrize(("nlayers", "verdict"), [(65_536, ACCEPT), (65_537, TOO_MANY)])
def test_case_42_65537_layers_are_refused(tmp_path, nlayers, verdict):
    """No vector, because the file has 7 MB."""
    nothing = Draft([layer(shape=[0], elements=b"")])
    manifest = nothing.manifest()
    (record,) = manifest["layers"]
    manifest["layers"] = [record | {"name": f"w{i}"} for i in range(nlayers)]
    data = frame(msgpack.packb(manifest), nothing)
    store = ROOT / "spec" / "vectors" / "trust" / "default.json"
    assert ask_reference(data, json.loads(store.read_text("utf-8")), NOW, decode=False) == verdict
    path = tmp_path / "many.seed"
    path.write_bytes(data)
    assert ask_library(path, store, NOW, decode=False) == verdict
