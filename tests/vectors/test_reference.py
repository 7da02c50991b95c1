"""The independent reader is independent, small, and a program."""

from __future__ import annotations

import ast
import json
import subprocess
import sys

import pytest

from tests.vectors.readers import FOLDER, load_vectors

REFERENCE = FOLDER.parent / "reference"
PACKAGES = {"blake3", "cryptography", "msgpack", "zstandard"}
OWN = {"spec", *(path.stem for path in REFERENCE.glob("*.py"))}


def _imports(path):
    """Names of the top packages that a file imports; relative imports stay inside."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("path", sorted(REFERENCE.glob("*.py")), ids=lambda path: path.name)
def test_the_reader_imports_four_packages_and_has_fewer_than_500_lines(path):
    assert set(_imports(path)) - sys.stdlib_module_names <= PACKAGES | OWN
    assert len(path.read_text("utf-8").splitlines()) < 500


@pytest.mark.parametrize("path", sorted(FOLDER.glob("builders/*.py")), ids=lambda path: path.name)
def test_the_builders_import_nothing_of_the_product(path):
    assert set(_imports(path)) - sys.stdlib_module_names <= PACKAGES


def _run(file, *options):
    (vector,) = (vector for vector in load_vectors() if vector.file == file)
    words = [vector.path, "--trust", vector.store, "--now", str(vector.now), *options]
    return subprocess.run(
        [sys.executable, REFERENCE / "read_seed.py", *words],
        capture_output=True,
        text=True,
        check=True,
    )


def test_the_reader_is_a_program():
    answer = json.loads(_run("layers/two-layers.seed", "--decode").stdout)
    assert answer["result"] == "accept"
    assert list(answer["layers"]) == ["a", "b"]
    assert answer["missing"] == []


def test_the_program_says_which_rule_refuses():
    answer = json.loads(_run("preamble/version-2.seed").stdout)
    assert answer == {"result": "refuse", "code": "SP100", "rule": "PRE-3"}


def test_the_program_names_what_a_partial_seed_lacks():
    file = "partial/first-layer-absent.seed"
    assert json.loads(_run(file).stdout)["rule"] == "PRT-3"
    assert json.loads(_run(file, "--partial").stdout)["missing"] == ["w0"]
