"""Both readers and the program say of each vector what its line in the index says."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from seedpack import errors
from spec.reference.read_seed import read_seed
from spec.vectors.builders.codec_delta import bases
from spec.vectors.builders.everything import all_vectors, index_text, store_texts
from tests.vectors.readers import (
    ACCEPT,
    FOLDER,
    arguments,
    ask_library,
    ask_reference,
    call_program,
    load_vectors,
)

VECTORS = load_vectors()
BUILT = all_vectors()
EXIT_CODES = {
    error.code: error.exit_code
    for error in vars(errors).values()
    if isinstance(error, type) and issubclass(error, errors.SeedError)
}
each_folder = pytest.mark.parametrize("folder", sorted({v.file.split("/")[0] for v in VECTORS}))
each_depth = pytest.mark.parametrize("decode", [False, True], ids=["verify", "decode"])


def test_there_are_at_least_200_vectors_and_150_refusals():
    assert len(VECTORS) >= 200
    assert sum(vector.expect == "refuse" for vector in VECTORS) >= 150


def test_the_index_names_each_file_once_and_no_other():
    files = sorted(str(path.relative_to(FOLDER)) for path in FOLDER.glob("*/*.seed"))
    assert sorted(vector.file for vector in VECTORS) == files
    assert {vector.trust for vector in VECTORS} == {
        str(path.relative_to(FOLDER)) for path in FOLDER.glob("trust/*.json")
    }


def test_the_vectors_are_small():
    sizes = sorted(vector.path.stat().st_size for vector in VECTORS)
    assert sum(sizes) < 3_000_000
    assert sizes[len(sizes) // 2] < 1_000


def test_the_programs_build_the_index_and_the_trust_stores_again():
    assert index_text(BUILT) == (FOLDER / "index.json").read_text("utf-8")
    for name, text in store_texts().items():
        assert text == (FOLDER / name).read_text("utf-8"), name
    for name, data in bases().items():
        assert data == (FOLDER / name).read_bytes(), name


def in_folder(folder, vectors=VECTORS):
    """Yield the vectors of a folder; a test for each would take longer than what it asks."""
    return (vector for vector in vectors if vector.file.startswith(f"{folder}/"))


def right(folder, decode):
    return {vector.file: vector.verdict(decode=decode) for vector in in_folder(folder)}


@each_folder
def test_the_programs_build_each_file_again(folder):
    for built in in_folder(folder, BUILT):
        frozen = (FOLDER / built.file).read_bytes()
        if built.hedged:  # its ML-DSA signature is another one each time
            assert len(built.data) == len(frozen), built.file
            assert built.data[:64] == frozen[:64], built.file
        else:
            assert built.data == frozen, built.file


def verdicts(folder, decode, ask):
    """Return what ``ask`` says of each vector of a folder, given also what it is to be asked."""
    return {
        v.file: ask(v, {"decode": decode, "partial": v.partial, "base": v.base_path})
        for v in in_folder(folder)
    }


@each_depth
@each_folder
def test_the_reference_reader_agrees(folder, decode):
    def ask(vector, options):
        store = json.loads(vector.store.read_text("utf-8"))
        return ask_reference(vector.path.read_bytes(), store, vector.now, **options)

    assert verdicts(folder, decode, ask) == right(folder, decode)


@each_depth
@each_folder
def test_the_library_agrees(folder, decode):
    def ask(vector, options):
        return ask_library(vector.path, vector.store, vector.now, **options)

    assert verdicts(folder, decode, ask) == right(folder, decode)


@each_depth
@each_folder
def test_the_program_agrees(folder, decode):
    calls = {v.file: call_program(*arguments(v, decode=decode)) for v in in_folder(folder)}
    assert {file: call.verdict for file, call in calls.items()} == right(folder, decode)
    for file, call in calls.items():
        status = 0 if call.verdict == ACCEPT else EXIT_CODES[call.verdict.code]
        assert call.status == status, file
        assert "Traceback" not in call.stderr, file
        assert (f"error[{call.verdict.code}]: " in call.stderr) == (call.verdict != ACCEPT), file


@pytest.mark.parametrize("vector", VECTORS[::60], ids=lambda vector: vector.file)
def test_the_program_as_a_process_agrees(vector, run_cli, tmp_path):
    outcome = run_cli(*arguments(vector, decode=True))
    verdict = vector.verdict(decode=True)
    assert outcome.status == (0 if verdict == ACCEPT else EXIT_CODES[verdict.code])
    assert json.loads(outcome.stdout)["result"] == ("verified" if verdict == ACCEPT else "refused")
    assert "Traceback" not in outcome.stderr
    assert list(tmp_path.iterdir()) == []


def test_partial_vectors_lack_what_the_index_says():
    for vector in VECTORS:
        if vector.expect == "accept":
            store = json.loads(vector.store.read_text("utf-8"))
            data = vector.path.read_bytes()
            answer = read_seed(data, store, vector.now, partial=vector.partial)
            assert tuple(answer["missing"]) == tuple(vector.missing), vector.file


# VmHWM, because ru_maxrss also counts the process that started this one.
MEASURED = """
import sys
from seedpack_cli.app import main
try:
    main()
finally:
    status = open("/proc/self/status").read()
    print(status.split("VmHWM:")[1].split()[0], file=sys.stderr)
"""


def _peak_kib(file):
    (vector,) = (vector for vector in VECTORS if vector.file == file)
    words = [sys.executable, "-c", MEASURED, *arguments(vector, decode=True)]
    root = FOLDER.parents[1]
    env = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'cli'}"}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=env)
    return int(done.stderr.splitlines()[-1])


@pytest.mark.spec("ZST-2", "MAN-3")
@pytest.mark.parametrize(
    "file",
    [
        "zstd/fcs-7e18.seed",
        "zstd/fcs-1-gib.seed",
        "zstd/bomb-of-blocks.seed",
        "zstd/window-2-31.seed",
        "manifest/announces-array32-all-ones.seed",
        "manifest/announces-bin32.seed",
        "layers/shape-2-40-plus-1.seed",
        "manifest/decoded-5-tib.seed",
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/status")
def test_a_bomb_costs_no_memory(file):
    assert _peak_kib(file) - _peak_kib("zstd/plane-good.seed") < 32 * 1024
